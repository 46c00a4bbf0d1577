# Keys, lock names, leases, allocator keys and contexts come from kvadm itself, which asks the configured store.
_kvadm_live() {
    local out
    local -a found
    out="$("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null </dev/null)" || return 1
    found=("${(@f)out}")
    found=(${found:#})
    (( ${#found} )) || return 0
    compadd -S '' -- ${(M)found:#*/}
    compadd -- ${found:#*/}
    return 0
}

_kvadm() {
    _kvadm_live || _kvadm_static "$@"
}

