# Completion of kvadm in bash.
command -v kvadm >/dev/null && source <(kvadm completions bash)
