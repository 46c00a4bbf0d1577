
# Keys, lock names, leases, allocator keys and contexts come from kvadm itself, which asks the configured store.
function __fish_kvadm_live
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l current (commandline -ct | string collect --allow-empty)
    # fish itself puts back the option in front of =.
    command $program __complete $words "$current" 2>/dev/null </dev/null | string replace -r -- '^--[a-z-]+=' ''
end

complete -c kvadm -a '(__fish_kvadm_live)'
for option in base context exact from if-exists lease prefix to
    complete -c kvadm -l $option -r -a '(__fish_kvadm_live)'
end
