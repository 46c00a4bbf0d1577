
# Keys, lock names, leases, allocator keys and contexts come from kvadm itself, which asks the configured store.
_kvadm_live() {
    local line="${COMP_LINE:0:${COMP_POINT:-0}}" breaks="${COMP_WORDBREAKS//[\"\'[:space:]]/}"
    local word cur open prefix="" found candidate i
    local -a words=()
    # Words that bash has split at : and = are joined again.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        [[ $i -eq 1 && -n "$line" ]] && line="${line#*"${COMP_WORDS[0]}"}"
        word="${COMP_WORDS[i]}"
        if [[ ${#words[@]} -gt 0 && -n "$COMP_LINE" && "$line" != [[:space:]]* ]]; then
            words[${#words[@]}-1]+="$word"
        else
            words+=("$word")
        fi
        line="${line#"${line%%[![:space:]]*}"}"
        line="${line#"$word"}"
    done
    cur="${words[${#words[@]}-1]}"
    [[ "$cur" == [\"\']* ]] && open=1
    for i in "${!words[@]}"; do
        words[i]="${words[i]//[\"\'\\]/}"
    done
    cur="${words[${#words[@]}-1]}"
    found="$("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null </dev/null)" || return 1
    # Only what stands behind the last break is replaced.
    if [[ -z "$open" ]]; then
        for ((i = ${#cur}; i > 0; i--)); do
            if [[ "$breaks" == *"${cur:i-1:1}"* ]]; then
                prefix="${cur:0:i}"
                break
            fi
        done
    fi
    COMPREPLY=()
    while IFS= read -r candidate; do
        [[ -n "$candidate" ]] || continue
        if [[ -z "$open" ]]; then
            printf -v candidate '%q' "${candidate#"$prefix"}"
        fi
        COMPREPLY+=("$candidate")
    done <<<"$found"
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        [[ ${#COMPREPLY[@]} -gt 0 && "${COMPREPLY[0]}" == */ ]] && compopt -o nospace 2>/dev/null
        # No key is no reason to offer files.
        compopt +o default +o bashdefault 2>/dev/null
    fi
    return 0
}

_kvadm_live_first() {
    [[ ${COMP_CWORD} -gt 0 ]] && _kvadm_live || _kvadm "$@"
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _kvadm_live_first -o nosort -o bashdefault -o default kvadm
else
    complete -F _kvadm_live_first -o bashdefault -o default kvadm
fi
