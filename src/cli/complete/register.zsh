#compdef kvadm

_kvadm() {
    local line
    local -a levels values options descriptions
    if [[ $PREFIX == '~'* ]]; then
        _files
        return
    fi
    for line in "${(@f)$(KVADM_COMPLETE=zsh "${(Q)words[1]}" -- "${(@)words[1,CURRENT-1]}" \
        "$QIPREFIX$IPREFIX$PREFIX" 2>/dev/null </dev/null)}"; do
        if [[ $line == *$'\t'* ]]; then
            options+=("${line%%$'\t'*}")
            descriptions+=("${line/$'\t'/  -- }")
        elif [[ $line == */ ]]; then
            levels+=("$line")
        elif [[ -n $line ]]; then
            values+=("$line")
        fi
    done
    # compadd quotes what it inserts. No space behind a level of keys or a folder.
    compadd -S '' -a levels
    compadd -a values
    compadd -l -d descriptions -a options
    (( $#levels + $#values + $#options ))
}

(( $+functions[compdef] )) && compdef _kvadm kvadm
