# Completion of kvadm in fish.
command -q kvadm; and kvadm completions fish | source
