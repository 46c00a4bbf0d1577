# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kvadm_global_optspecs
    string join \n c/config= context= strict-config endpoints= ca-file= cert-file= key-file= insecure-transport= insecure-skip-tls-verify= user= password-file= dial-timeout= op-timeout= deadline= connect-wait= namespace= qps= o/output= color= q/quiet v/verbose no-progress yes dry-run h/help V/version
end

function __fish_kvadm_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kvadm_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kvadm_using_subcommand
    set -l cmd (__fish_kvadm_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kvadm -n "__fish_kvadm_needs_command" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_needs_command" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_needs_command" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_needs_command" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_needs_command" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_needs_command" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_needs_command" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_needs_command" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_needs_command" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_needs_command" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_needs_command" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_needs_command" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_needs_command" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_needs_command" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_needs_command" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_needs_command" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_needs_command" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_needs_command" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_needs_command" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_needs_command" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_needs_command" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_needs_command" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_needs_command" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_needs_command" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_needs_command" -s V -l version -d 'Print version'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "get" -d 'Read keys, all at one revision'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "put" -d 'Write a key, under conditions if wanted; or load many records'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "delete" -d 'Delete keys: one, several, or a whole range'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "list" -d 'List keys and values at one revision, in constant memory, whatever the size'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "watch" -d 'Watch keys: every change once, in order, and none missing'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "lock" -d 'Hold a lock while a command runs, or until a signal; or list who holds and who waits'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "lease" -d 'Show, grant, renew and revoke leases'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "allocate" -d 'Allocate cluster-wide IDs for keys, byte compatible with Cilium\'s kvstore allocator'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "gc" -d 'Look for garbage, plan, and remove what two looks agree on'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "compact" -d 'Compact the history, and give the space back'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "txn" -d 'Do a transaction from a YAML or JSON file: conditions, then one branch or the other, in one revision'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "status" -d 'Show each member\'s health, and prove the quorum'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "config" -d 'Show the effective configuration, and where each value came from; secrets are redacted'
complete -c kvadm -n "__fish_kvadm_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l rev -d 'As it was at this revision' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l history -d 'The key\'s earlier values and deletions too, newest first: at most N, or as far as compaction allows' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l if-locked -d 'Only while this lock is held; without a value, the one in KVADM_LOCK' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l proto -d 'Values are messages of this descriptor set (\'protoc --include_imports -o FILE\'), in place of the config\'s proto' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l message -d 'The full name of the message that each value is' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l no-proto -d 'Values are bytes, whatever the config\'s proto says'
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l file -d 'Take the value from this file, byte for byte' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l revert-to -d 'Take the value that the key had at this revision; its lease of then is not restored: the key has none, unless --ttl, --lease or --keep-lease say so' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l from -d 'Load JSON records, one a line, from this file; - reads stdin' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l if-rev -d 'Only if the key\'s last change was in this revision' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l if-value -d 'Only if the key has this value' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l if-exists -d 'Only if this other key is there' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l if-locked -d 'Only while this lock is held; without a value, the one in KVADM_LOCK' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l ttl -d 'Let the key live so long, on a lease of its own' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l lease -d 'Attach the key to this lease' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l proto -d 'Values are messages of this descriptor set (\'protoc --include_imports -o FILE\'), in place of the config\'s proto' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l message -d 'The full name of the message that each value is' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l create -d 'Only if the key is not there'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l update -d 'Only if the key is there'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l if-different -d 'Write only if the value (and the --lease) differ; says whether it wrote'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l keep-lease -d 'Keep the lease that the key has'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l hold -d 'Keep the key while CMD runs, or until a signal: restored if somebody deletes it, gone at the end'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l no-proto -d 'Values are bytes, whatever the config\'s proto says'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand put" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l prefix -d 'All keys that begin with this' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l from -d 'From this key on' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l to -d 'Below this key' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l match -d 'Only keys that match; * and ? also match /' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l if-rev -d 'Only if the key\'s last change was in this revision' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l if-value -d 'Only if the key has this value' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l if-exists -d 'Only if this other key is there' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l if-locked -d 'Only while this lock is held; without a value, the one in KVADM_LOCK' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l proto -d 'Values are messages of this descriptor set (\'protoc --include_imports -o FILE\'), in place of the config\'s proto' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l message -d 'The full name of the message that each value is' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l save -d 'Keep what is deleted in this new file, as records that \'put --from\' restores' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l all -d 'Needed for a range that is the whole store'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l dir -d 'Append the missing / to the prefix: /a means /a/, and not /ab'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l prev -d 'Print the records that went'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l no-proto -d 'Values are bytes, whatever the config\'s proto says'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l atomic -d 'A range in one single request; neighbours wait for all of it'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l from -d 'From this key on' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l to -d 'Below this key' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l match -d 'Only keys that match; * and ? also match /' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l limit -d 'At most so many' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l rev -d 'As it was at this revision' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l sort -d 'Order by this instead of the key; holds the whole listing in memory, or --limit of it' -r -f -a "key\t'The key\'s bytes'
create\t'The revision of the creation'
mod\t'The revision of the last change'
version\t'The number of changes'
value\t'The value\'s bytes'
size\t'The length of key and value together'"
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l depth -d 'Branches and keys down to this level: instead of what lies deeper, the branch; names only' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l top -d 'With --du, only the N largest branches, the largest first' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l separator -d 'What separates the levels, one byte' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l proto -d 'Values are messages of this descriptor set (\'protoc --include_imports -o FILE\'), in place of the config\'s proto' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l message -d 'The full name of the message that each value is' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l if-locked -d 'Only while this lock is held (checked with every page); without a value, the one in KVADM_LOCK' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l dir -d 'Append the missing / to the prefix: /a means /a/, and not /ab'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l keys-only -d 'Keys without their values'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l count -d 'Only how many there are'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l desc -d 'Largest first; holds the whole listing in memory, or --limit of it'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l with-leases -d 'With each lease\'s granted TTL in seconds, so that \'put --from\' grants it again'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l tree -d 'Branches and keys, indented; with --depth the number of keys in what lies deeper'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l du -d 'How many keys and bytes each branch holds, and their percentage of the quota (etcd 3.6 and later tell it); one level, or --depth'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l no-proto -d 'Values are bytes, whatever the config\'s proto says'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l exact -d 'This key alone' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l match -d 'Only keys that match; * and ? also match /' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l rev -d 'From this revision on' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l resume -d 'Keep the place in this file: the next run goes on where this one ended' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l only -d 'Only these kinds' -r -f -a "created\t'The key was not there before'
modified\t'The key was there already'
deleted\t'The key is not there any more'"
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l count -d 'End after so many changes' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l until -d 'End after the first event of this kind' -r -f -a "created\t'A key was created'
modified\t'A key was modified'
deleted\t'A key was deleted'
list-done\t'--list has told all keys'
in-sync\t'--sync has told all keys'"
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l timeout -d 'End with 1 after this time; what is being told is told to its end' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l proto -d 'Values are messages of this descriptor set (\'protoc --include_imports -o FILE\'), in place of the config\'s proto' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l message -d 'The full name of the message that each value is' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l on-error -d 'What a failing CMD means: stop ends with 6 and leaves the place before the event' -r -f -a "stop\t'End with 6'
continue\t'Say so on stderr and go on'"
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l dir -d 'Append the missing / to each prefix: /a means /a/, and not /ab'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l list -d 'First the keys that are there, as created, and list-done; then what changes'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l sync -d 'Keep in sync: first the keys that are there, then what changes, after a compaction the true differences; status records say wait-for-datastore, resync-in-progress and in-sync'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l prev -d 'With the value before each change, as far as compaction allows'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l keys-only -d 'Keys without their values'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l no-proto -d 'Values are bytes, whatever the config\'s proto says'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l exec -d 'Run CMD for each change instead of printing it: one at a time and in order, the value on its stdin, the rest in KVADM_EVENT, KVADM_EVENT_KEY (escaped), _KEY_RAW, _REV, _CREATE_REV, _VERSION and _LEASE'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l wait -d 'Wait at most so long; 1 if somebody still has it' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l ttl -d 'How long the lock outlives a kvadm that is gone [default: lock-ttl, 25s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l shared -d 'Share it with others that do; wait only for those that do not'
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l try -d 'Do not wait; 1 if somebody has it'
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l list -d 'Show holders and waiters, those of other programs too'
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand lock" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -f -a "list" -d 'List all leases: ID, TTL granted and left in seconds, number of keys'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -f -a "show" -d 'Show one lease and its keys'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -f -a "grant" -d 'Grant a lease that lives for a while'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -f -a "renew" -d 'Renew leases to their full TTL'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and not __fish_seen_subcommand_from list show grant renew revoke" -f -a "revoke" -d 'Revoke leases; their keys are deleted'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l ttl -d 'How long it lives without being renewed' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l id -d 'With this ID' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from grant" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l every -d 'Again every so often' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from renew" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand lease; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -f -a "new" -d 'Give keys their IDs: each the one it has, or the smallest that is free'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -f -a "get" -d 'Show which IDs keys have'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -f -a "lookup" -d 'Show which keys IDs stand for'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -f -a "renew" -d 'Renew this node\'s references: their leases live for their whole TTL again'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -f -a "release" -d 'Take this node\'s references away: the node uses the keys no more'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -f -a "hold" -d 'Use a key\'s ID while a command runs, or until a signal'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -f -a "list" -d 'List IDs with their key, the number of nodes that use them, and their state'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -f -a "watch" -d 'Watch IDs being created, modified and deleted'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and not __fish_seen_subcommand_from new get lookup renew release hold list watch check" -f -a "check" -d 'Check masters and references, and repair what can be repaired safely'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l label -d 'Cilium\'s key of these labels, [SOURCE:]KEY=VALUE each, sorted; repeatable' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l from -d 'Many keys from a file, or stdin for -: a key a line, or what \'allocate list -o json\' prints' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l ttl -d 'How long the reference lives without being renewed' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l wait -d 'How long to wait for whoever has a key\'s lock' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l if-locked -d 'Only while this lock is held; without a value, the one in KVADM_LOCK' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l base -d 'What the allocator\'s keys begin with' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l node -d 'The node whose references they are, such as its IP address [default: the host\'s name]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l min -d 'The smallest ID' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l max -d 'The largest ID' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l prefix-mask -d 'Bits set in every ID on top, such as a cluster\'s ID shifted left by 16; decimal or 0x…' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l permanent -d 'The reference lives until it is released'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l base -d 'What the allocator\'s keys begin with' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l remote -d 'Ask this context\'s store too, behind the command\'s own; repeatable, in this order. Its file alone says how it is reached' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l base -d 'What the allocator\'s keys begin with' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l remote -d 'Ask this context\'s store too, behind the command\'s own; repeatable, in this order. Its file alone says how it is reached' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from lookup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l label -d 'Cilium\'s key of these labels, [SOURCE:]KEY=VALUE each, sorted; repeatable' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l from -d 'Many keys from a file, or stdin for -: a key a line, or what \'allocate list -o json\' prints' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l ttl -d 'How long a reference that is made again lives without being renewed' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l wait -d 'How long to wait for whoever has a key\'s lock' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l base -d 'What the allocator\'s keys begin with' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l node -d 'The node whose references they are, such as its IP address [default: the host\'s name]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l min -d 'The smallest ID' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l max -d 'The largest ID' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l prefix-mask -d 'Bits set in every ID on top, such as a cluster\'s ID shifted left by 16; decimal or 0x…' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l recreate -d 'Make a reference or a master again that is gone'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from renew" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l label -d 'Cilium\'s key of these labels, [SOURCE:]KEY=VALUE each, sorted; repeatable' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l from -d 'Many keys from a file, or stdin for -: a key a line, or what \'allocate list -o json\' prints' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l if-locked -d 'Only while this lock is held; without a value, the one in KVADM_LOCK' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l base -d 'What the allocator\'s keys begin with' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l node -d 'The node whose references they are, such as its IP address [default: the host\'s name]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l ttl -d 'How long the reference outlives a kvadm that is gone [default: session-ttl]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l wait -d 'How long to wait for whoever has the key\'s lock' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l if-locked -d 'Allocate only while this lock is held; without a value, the one in KVADM_LOCK' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l base -d 'What the allocator\'s keys begin with' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l node -d 'The node whose references they are, such as its IP address [default: the host\'s name]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l min -d 'The smallest ID' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l max -d 'The largest ID' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l prefix-mask -d 'Bits set in every ID on top, such as a cluster\'s ID shifted left by 16; decimal or 0x…' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l protect -d 'Make the master again if somebody deletes it'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from hold" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l base -d 'What the allocator\'s keys begin with' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l remote -d 'Ask this context\'s store too, behind the command\'s own; repeatable, in this order. Its file alone says how it is reached' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l state -d 'Only IDs in these states' -r -f -a "in-use\t'Nodes refer to it'
unused\t'No node refers to it'
duplicate\t'Its key has another ID, which counts'
orphan\t'Nodes refer to it, and no master says that it is their key\'s'"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l node -d 'Only IDs that this node uses' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l key-prefix -d 'Only IDs of keys that begin with this' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l unused -d 'Only IDs that no node uses'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l ttl -d 'Ask for the TTLs of the references\' leases, and show the seconds until the last one has run out'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l base -d 'What the allocator\'s keys begin with' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l rev -d 'From this revision on' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l count -d 'End after so many changes' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l timeout -d 'End with 1 after this time' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l list -d 'First the IDs that are there, as created, and list-done; then what changes'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l sync -d 'Keep in sync: first the IDs that are there, then what changes, after a compaction the true differences; status records say wait-for-datastore, resync-in-progress and in-sync'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l base -d 'What the allocator\'s keys begin with' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l min -d 'The smallest ID' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l max -d 'The largest ID' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l prefix-mask -d 'Bits set in every ID on top, such as a cluster\'s ID shifted left by 16; decimal or 0x…' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l wait -d 'How long to wait for each key\'s lock' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l all -d 'Show what is no problem too: unused IDs'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l repair -d 'Write missing masters again'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand allocate; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -f -a "ids" -d 'Remove the masters of IDs that no node refers to'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -f -a "locks" -d 'Remove lock keys that nobody will take away'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and not __fish_seen_subcommand_from ids locks metadata" -f -a "metadata" -d 'Mark and sweep a tree of metadata that a schema describes'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l base -d 'What the allocator\'s keys begin with' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l min -d 'The smallest ID' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l max -d 'The largest ID' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l prefix-mask -d 'Bits set in every ID on top, such as a cluster\'s ID shifted left by 16; decimal or 0x…' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l since -d 'The earlier look: a plan that --save kept; several: what all of them agree on' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l grace -d 'The earlier look is made by this run, so long before [default: 30s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l every -d 'Again every so often, until a signal: each round is the next one\'s earlier look' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l save -d 'Keep this look\'s plan in a file; an older plan there is replaced' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l max-delete -d 'Refuse to remove anything where more than this would go' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l max-percent -d 'Refuse to remove anything where more than this share would go [default: 50, above 20 objects]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l rate -d 'Remove at most so many a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l apply -d 'Remove what this look and an earlier one agree on'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from ids" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l stale-after -d 'Holders too that were seen unchanged for so long' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l base -d 'What the allocator\'s keys begin with' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l since -d 'The earlier look: a plan that --save kept; several: what all of them agree on' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l grace -d 'The earlier look is made by this run, so long before [default: 30s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l every -d 'Again every so often, until a signal: each round is the next one\'s earlier look' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l save -d 'Keep this look\'s plan in a file; an older plan there is replaced' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l max-delete -d 'Refuse to remove anything where more than this would go' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l max-percent -d 'Refuse to remove anything where more than this share would go [default: 50, above 20 objects]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l rate -d 'Remove at most so many a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l apply -d 'Remove what this look and an earlier one agree on'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from locks" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l schema -d 'The tree\'s schema: a file, containerd or containerd-1.7' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l explain -d 'Why this object is kept, or would go, and who refers to it' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l print-schema -d 'Print a built-in schema [default: containerd]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l guard -d 'What each removal compares: the objects, or their whole scope' -r -f -a "object\t''
scope\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l lock -d 'Wait for this lock, and hold it while looking once more and removing' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l roots -d 'Keys of objects that are roots although etcd does not say so, one a line' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l now -d 'Judge what has expired as of this moment (RFC 3339); not later than now with --apply' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l skew -d 'How much clocks may differ: expired is what has been so for that long' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l allow-empty -d 'All objects of this kind may go' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l since -d 'The earlier look: a plan that --save kept; several: what all of them agree on' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l grace -d 'The earlier look is made by this run, so long before [default: 30s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l every -d 'Again every so often, until a signal: each round is the next one\'s earlier look' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l save -d 'Keep this look\'s plan in a file; an older plan there is replaced' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l max-delete -d 'Refuse to remove anything where more than this would go' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l max-percent -d 'Refuse to remove anything where more than this share would go [default: 50, above 20 objects]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l rate -d 'Remove at most so many a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l check -d 'Look for what is wrong in the tree; 1 if there is anything'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l graph -d 'Print the tree as a graph in DOT; what would go is red'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l roots-complete -d 'There are no roots outside etcd'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l ignore-unparsed -d 'Go on although there are keys that fit nothing in the schema; they, and what they lie in, stay'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l escape -d 'Decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys, prefixes and range ends'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l apply -d 'Remove what this look and an earlier one agree on'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand gc; and __fish_seen_subcommand_from metadata" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l keep -d 'Compact so many revisions before the current one' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l physical -d 'Wait until a member has removed the old revisions; false: etcd does it by and by' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l every -d 'Again and again, every D; without D as often as the config\'s auto-compact says' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l defrag -d 'Defragment all members, one at a time'
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l disarm -d 'Clear NOSPACE alarms where there is room again'
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l reclaim -d 'The way out of "database space exceeded": compact, defragment, disarm'
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l move-leader -d 'With --defrag or --reclaim: have another member lead before the leader\'s turn'
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l force -d 'With --defrag or --reclaim: although the cluster is not healthy, and on where a member fails'
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand compact" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l proto -d 'Values are messages of this descriptor set (\'protoc --include_imports -o FILE\'), in place of the config\'s proto' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l message -d 'The full name of the message that each value is' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l if-locked -d 'Only while this lock is held: a lost lock does not run the else branch; without a value, the one in KVADM_LOCK' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l no-proto -d 'Values are bytes, whatever the config\'s proto says'
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand txn" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l watch -d 'Look again and again, every D; without D every 30s when healthy and every 5s when not' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l nodes -d 'With --watch: stretch the default interval by ln(1+N), for N nodes that do the same' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l wait -d 'Wait until all is healthy, but no longer than D' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l revision -d 'Print the store\'s revision and nothing else'
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l diagnose -d 'Show every step to each endpoint, from the name to the quota, and what to do where one fails'
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l quorum -d 'Prove the quorum by a write under a lock, on kvadm\'s own key, which is removed again'
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand config" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -s c -l config -l etcd-config -d 'The YAML etcd config, Ligato\'s or clientv3\'s [env: ETCD_CONFIG]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l context -d 'Use $XDG_CONFIG_HOME/kvadm/NAME.yaml [env: KVADM_CONTEXT]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l endpoints -d 'Where etcd is: host[:port], http://, https://, unix:// [env: KVADM_ENDPOINTS]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l ca-file -d 'PEM certificates to trust [env: KVADM_CA_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l cert-file -d 'PEM certificate to present [env: KVADM_CERT_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l key-file -d 'PEM key of that certificate [env: KVADM_KEY_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l insecure-transport -d 'Speak plaintext, and do not open the TLS files' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l insecure-skip-tls-verify -d 'Accept whatever certificate the server shows' -r -f -a "true\t''
false\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l user -d 'The etcd user [env: KVADM_USER; the password: KVADM_PASSWORD]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l password-file -d 'A file that holds the password [env: KVADM_PASSWORD_FILE]' -r -F
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l dial-timeout -d 'Bound on reaching an endpoint, such as 500ms [default: 1s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l op-timeout -d 'Bound on each request; ten times that where a range is read and its member shows life [default: 3s]' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l deadline -d 'Bound on the whole command' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l connect-wait -d 'Keep trying so long until the store answers' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l namespace -d 'Put this before every key, and take it off again' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l qps -d 'At most so many requests a second' -r
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -s o -l output -d 'text, table, json, yaml or raw [default: table on a terminal, else text]' -r -f -a "text\t''
table\t''
json\t''
yaml\t''
raw\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l strict-config -d 'Refuse a config with unknown keys instead of warning'
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -s q -l quiet -d 'No notes and no warnings'
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -s v -l verbose -d 'Say more: -v what is decided, -vv every request (never values)'
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l no-progress -d 'No progress bars'
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l yes -d 'Do not ask before something that cannot be undone'
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -l dry-run -d 'Show what would be done, and change nothing'
complete -c kvadm -n "__fish_kvadm_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'

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
