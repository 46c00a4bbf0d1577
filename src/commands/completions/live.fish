
# Keys, lock names, leases, allocator keys and contexts come from kvadm itself, which asks the configured store.
function __fish_kvadm_live
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    command $program __complete $words (commandline -ct | string collect --allow-empty) 2>/dev/null </dev/null
end

complete -c kvadm -a '(__fish_kvadm_live)'
