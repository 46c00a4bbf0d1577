//! `kvadm completions`.

use super::support::Kvadm;

/// Each shell's name and the file in the repository.
const SCRIPTS: [(&str, &str); 5] = [
    ("bash", include_str!("../completions/kvadm.bash")),
    ("zsh", include_str!("../completions/_kvadm")),
    ("fish", include_str!("../completions/kvadm.fish")),
    ("elvish", include_str!("../completions/kvadm.elv")),
    ("powershell", include_str!("../completions/_kvadm.ps1")),
];

#[test]
fn each_shell_s_script_is_the_one_in_the_repository() {
    for (shell, script) in SCRIPTS {
        assert!(script.contains("kvadm") && script.contains("if-locked"), "{shell}");
        Kvadm::new().args(["completions", shell]).run().ok().err_empty().out(script);
    }
}

#[test]
fn bash_reads_its_script() {
    let script = "bash -n completions/kvadm.bash && . completions/kvadm.bash && complete -p kvadm";
    let run = Kvadm::program("bash").args(["-c", script]).folder(env!("CARGO_MANIFEST_DIR")).run();
    run.ok().out_has("_kvadm").err_empty();
}

#[test]
fn bash_completes_verbs_and_options() {
    let ask = ". completions/kvadm.bash; COMP_WORDS=(kvadm list --with); COMP_CWORD=2; _kvadm kvadm --with list; \
               echo ${COMPREPLY[@]}; COMP_WORDS=(kvadm compl); COMP_CWORD=1; _kvadm kvadm compl kvadm; echo ${COMPREPLY[@]}";
    let run = Kvadm::program("bash").args(["-c", ask]).folder(env!("CARGO_MANIFEST_DIR")).run();
    run.ok().out("--with-leases\ncompletions\n").err_empty();
}

#[test]
fn an_unknown_shell_is_wrong_usage() {
    let run = Kvadm::new().args(["completions", "tcsh"]).run();
    run.code(2).out_empty().err_has("tcsh").err_has("bash").err_has("powershell");
    Kvadm::new().arg("completions").run().code(2).out_empty().err_has("SHELL");
}

#[test]
fn no_server_and_no_readable_format_is_needed() {
    let bash = SCRIPTS[0].1;
    Kvadm::new().args(["--endpoints", "127.0.0.1:1", "-o", "json", "completions", "bash"]).run().ok().out(bash);
}
