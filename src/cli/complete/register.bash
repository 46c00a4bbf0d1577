_kvadm() {
    local reply
    COMPREPLY=()
    # The answer is no where the word is not kvadm's, such as the file of a redirection.
    reply=$(KVADM_COMPLETE=bash KVADM_COMPLETE_BREAKS=$COMP_WORDBREAKS \
        "$1" -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null </dev/null) || return 0
    compopt +o bashdefault +o default 2>/dev/null
    [[ -n $reply ]] && mapfile -t COMPREPLY <<<"$reply"
    # No space behind a level of keys or a folder: the next level follows in the same word.
    [[ ${#COMPREPLY[@]} -eq 1 && $reply == */ ]] && compopt -o nospace 2>/dev/null
    return 0
}

# bash before 4.4 has no nosort.
complete -o bashdefault -o default -o nosort -F _kvadm kvadm 2>/dev/null ||
    complete -o bashdefault -o default -F _kvadm kvadm
