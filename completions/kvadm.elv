# Completion of kvadm in elvish.
eval (kvadm completions elvish | slurp)
