function __kvadm_complete
    set -l words (commandline --cut-at-cursor --current-process --tokenize)
    set -l current (commandline --cut-at-cursor --current-token)
    KVADM_COMPLETE=fish command $words[1] -- $words "$current" 2>/dev/null </dev/null
end

complete --command kvadm --no-files --keep-order --arguments '(__kvadm_complete)'
complete --command kvadm --force-files --condition 'string match --quiet -- "~*" (commandline --current-token)'
