//! The scripts that register kvadm's completion in a shell.

use clap_complete::env::{Elvish, EnvCompleter, Powershell};

use crate::commands::completions::Shell;

/// Names the shell that asks. Not clap's `COMPLETE`, which one program would leave behind for another.
pub const VARIABLE: &str = "KVADM_COMPLETE";

/// The script that makes a shell ask kvadm.
pub fn registration(shell: Shell) -> String {
    let builtin = |adapter: &dyn EnvCompleter| {
        let mut script = Vec::new();
        // Writing to memory does not fail.
        let _ = adapter.write_registration(VARIABLE, "kvadm", "kvadm", "kvadm", &mut script);
        format!("{}\n", String::from_utf8_lossy(&script).trim())
    };
    match shell {
        Shell::Bash => include_str!("register.bash").to_owned(),
        Shell::Zsh => include_str!("register.zsh").to_owned(),
        Shell::Fish => include_str!("register.fish").to_owned(),
        Shell::Elvish => builtin(&Elvish),
        Shell::Powershell => builtin(&Powershell),
    }
}

/// The script that is installed for a shell, by its file name. It takes the registration from the kvadm on PATH, so that
/// the two always fit together.
pub fn installed(shell: Shell) -> (&'static str, &'static str) {
    match shell {
        Shell::Bash => (
            "kvadm.bash",
            "# Completion of kvadm in bash.\ncommand -v kvadm >/dev/null && source <(kvadm completions bash)\n",
        ),
        Shell::Zsh => (
            "_kvadm",
            "#compdef kvadm\n# Completion of kvadm in zsh. The sourced script replaces this function.\n\
             (( $+commands[kvadm] )) || return 1\nsource <(kvadm completions zsh)\n_kvadm \"$@\"\n",
        ),
        Shell::Fish => {
            ("kvadm.fish", "# Completion of kvadm in fish.\ncommand -q kvadm; and kvadm completions fish | source\n")
        }
        Shell::Elvish => ("kvadm.elv", "# Completion of kvadm in elvish.\neval (kvadm completions elvish | slurp)\n"),
        Shell::Powershell => (
            "kvadm.ps1",
            "# Completion of kvadm in PowerShell.\nkvadm completions powershell | Out-String | Invoke-Expression\n",
        ),
    }
}
