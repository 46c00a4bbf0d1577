//! `kvadm completions`.

use std::path::Path;
use std::time::{Duration, Instant};

use super::list::load;
use super::support::{Etcd, Kvadm, Mode, Proxy, eventually, shared, unique_prefix};

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

/// What `kvadm __complete` tells for these words against the shared server.
fn told(words: &[&str]) -> Vec<String> {
    let endpoint = shared().endpoint();
    let run = Kvadm::new().args(["__complete", "--endpoints", &endpoint]).args(words).run();
    run.ok().err_empty().stdout_text().lines().map(str::to_owned).collect()
}

fn seed(names: &[&str]) -> String {
    let at = unique_prefix();
    load(shared(), names.iter().map(|name| (format!("{at}{name}"), "v")));
    at
}

#[test]
fn keys_come_a_level_at_a_time() {
    let at =
        seed(&["a", "b/1", "b/2/x", "b/2/y", "b0", "c:d=e", "c:d=f g", "with\nnewline", "-dash", "caf\u{e9}", "z//y"]);
    load(shared(), [([at.as_bytes(), b"\xff"].concat(), "v")]);
    let below = |names: &[&str]| names.iter().map(|name| format!("{at}{name}")).collect::<Vec<_>>();
    let top = ["-dash", "a", "b/", "b0", "caf\u{e9}", "c:d=e", "c:d=f g", "z/"];
    let mut wanted = below(&top);
    wanted.sort();
    assert_eq!(told(&["get", &at]), wanted);
    assert_eq!(told(&["get", &format!("{at}b/")]), below(&["b/1", "b/2/"]));
    assert_eq!(told(&["list", &format!("{at}b")]), below(&["b/", "b0"]));
    assert_eq!(told(&["watch", &format!("--exact={at}b/2/")]), ["x", "y"].map(|k| format!("--exact={at}b/2/{k}")));
    assert_eq!(told(&["get", &format!("{at}nothing")]), below(&[]));
    assert_eq!(told(&["--namespace", &at, "delete", "z/"]), ["z//"]);
    assert_eq!(told(&["--namespace", &at, "put", "a"]), ["a"]);
    // What begins like an option would be taken for one.
    assert_eq!(told(&["--namespace", &at, "get", ""]).len(), top.len() - 1);
    // A value is nobody's business, and a word that stands for nothing of the store's is left to the script.
    for words in [&["put", "k", ""][..], &["list", "--limit", ""], &["ge"], &["get", "--"], &["nonsense", ""], &[]] {
        Kvadm::new().arg("__complete").args(words).run().code(1).out_empty().err_empty();
    }
}

#[test]
fn lock_names_leases_allocator_keys_and_contexts() {
    let at = seed(&["jobs/a/1f", "jobs/a/20", "jobs/nested/b/c0ffee", "jobs/plain", "jobs/word/xyz"]);
    let jobs = format!("{at}jobs/");
    let wanted = ["a", "nested/", "word/"].map(|name| format!("{jobs}{name}"));
    assert_eq!(told(&["lock", &jobs]), wanted);
    assert_eq!(told(&["lock", &format!("{jobs}nested/")]), [format!("{jobs}nested/b")]);

    let lease = shared().grant(60);
    assert!(told(&["lease", "revoke", &lease[..4]]).contains(&lease));
    assert!(told(&["put", "k", "v", "--lease", ""]).contains(&lease));

    let base = seed(&["value/k8s:a=b/node1", "value/k8s:a=b/node2", "value/deep/key/node1", "id/300"]);
    assert_eq!(told(&["allocate", "release", "--base", &base, ""]), ["deep/", "k8s:a=b"]);
    assert_eq!(told(&["allocate", "renew", &format!("--base={base}"), "deep/k"]), ["deep/key"]);

    let contexts = |words: &[&str]| {
        let ask = Kvadm::new().config_file("prod-a.yaml", "{}").config_file("prod-b.yaml", "{}");
        ask.config_file("dev.yaml", "{}").arg("__complete").args(words).run().ok().err_empty().stdout_text()
    };
    assert_eq!(contexts(&["--context", "prod"]), "prod-a\nprod-b\n");
    assert_eq!(contexts(&["list", "--context="]), "--context=dev\n--context=prod-a\n--context=prod-b\n");
}

/// The level is told without reading what is below it, however much that is; and no more than 200.
#[test]
fn many_keys_are_neither_read_nor_told() {
    let at = unique_prefix();
    let deep = (0..12).flat_map(|dir| (0..2000).map(move |n| (dir, n)));
    load(shared(), deep.map(|(dir, n)| (format!("{at}d{dir:02}/{n:05}"), "")));
    load(shared(), (0..500).map(|n| (format!("{at}f{n:03}"), "")));
    let found = told(&["get", &at]);
    let wanted: Vec<String> =
        (0..12).map(|dir| format!("{at}d{dir:02}/")).chain((0..188).map(|n| format!("{at}f{n:03}"))).collect();
    assert_eq!(found, wanted);
    let found = told(&["get", &format!("{at}d05/")]);
    assert_eq!((found.len(), found.last().unwrap()), (200, &format!("{at}d05/00199")));
    // Neighbours whose names differ in their length, and at their first byte.
    let at = seed(&["a/1", "a0/1", "a00/1", "a1", "b/x/y", "ba/x", "c", "\u{e9}/x"]);
    let wanted = ["a/", "a0/", "a00/", "a1", "b/", "ba/", "c", "\u{e9}/"].map(|name| format!("{at}{name}"));
    assert_eq!(told(&["get", &at]), wanted);
}

#[test]
fn whatever_goes_wrong_it_is_silent_and_quick() {
    let quick = Duration::from_millis(if cfg!(debug_assertions) { 900 } else { 250 });
    let silent = |kvadm: Kvadm| {
        let run = kvadm.run();
        run.ok().out_empty().err_empty().within(quick);
    };
    let ask = |endpoint: &str| Kvadm::new().args(["__complete", "--endpoints", endpoint, "get", "/"]);
    silent(ask("127.0.0.1:1"));
    silent(ask("no-such-host.invalid:2379"));
    silent(ask("not an endpoint"));
    let mut mute = Proxy::start(&shared().address());
    mute.set(Mode::Hang);
    silent(ask(&mute.endpoint()));
    let stuck = Etcd::start();
    stuck.pause();
    silent(ask(&stuck.endpoint()));
    stuck.resume();
    silent(Kvadm::new().args(["__complete", "-c", "/nowhere.yaml", "get", "/"]));
    silent(Kvadm::new().config_file("etcd.yaml", "endpoints: {").args(["__complete", "get", "/"]));
    silent(Kvadm::new().args(["__complete", "--user", "root", "get", "/"]));
    // A password file that never ends.
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let file = fifo.to_str().unwrap();
    silent(ask(&shared().endpoint()).args(["x"]).env("KVADM_USER", "root").env("KVADM_PASSWORD_FILE", file));
}

/// Runs bash with the script loaded and with these words as bash splits them; what `COMPREPLY` is then.
fn replies(line: &str, words: &[&str]) -> Vec<String> {
    let script = r#". completions/kvadm.bash; COMP_LINE=$1; COMP_POINT=${#1}; shift; COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1)); _kvadm_live_first kvadm "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let run = Kvadm::program("bash").args(["-c", script, "bash", line]).args(words);
    let path = format!("{}:{}", own_folder(), std::env::var("PATH").unwrap());
    let run =
        run.env("KVADM_ENDPOINTS", shared().endpoint()).env("PATH", path).folder(env!("CARGO_MANIFEST_DIR")).run();
    run.ok().err_empty().stdout_text().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn own_folder() -> String {
    Path::new(env!("CARGO_BIN_EXE_kvadm")).parent().unwrap().display().to_string()
}

#[test]
fn bash_gets_what_stands_behind_its_word_breaks() {
    let at = seed(&["a:b=c", "a:b=d e", "dir/x", "plain"]);
    let line = format!("kvadm get {at}a:b");
    assert_eq!(replies(&line, &["kvadm", "get", &format!("{at}a"), ":", "b"]), ["b=c", "b=d\\ e"]);
    let line = format!("kvadm get {at}a:b=");
    assert_eq!(replies(&line, &["kvadm", "get", &format!("{at}a"), ":", "b", "="]), ["c", "d\\ e"]);
    let line = format!("kvadm get '{at}a:b=d");
    assert_eq!(replies(&line, &["kvadm", "get", &format!("'{at}a:b=d")]), [format!("{at}a:b=d e")]);
    let line = format!("kvadm list --from={at}p");
    assert_eq!(replies(&line, &["kvadm", "list", "--from", "=", &format!("{at}p")]), [format!("{at}plain")]);
    let line = format!("kvadm  -o json  list {at}d");
    assert_eq!(replies(&line, &["kvadm", "-o", "json", "list", &format!("{at}d")]), [format!("{at}dir/")]);
    // The rest is as it was.
    assert_eq!(replies("kvadm list --with", &["kvadm", "list", "--with"]), ["--with-leases"]);
    assert_eq!(replies("kvadm compl", &["kvadm", "compl"]), ["completions"]);
    assert!(replies("kvadm -o ", &["kvadm", "-o", ""]).contains(&"json".to_owned()));
}

/// With a terminal and the Tab key.
#[test]
fn bash_types_the_key_for_the_user() {
    let at = seed(&["only:one=key/leaf"]);
    let path = format!("{}:{}", own_folder(), std::env::var("PATH").unwrap());
    let bash = Kvadm::program("bash").args(["--norc", "--noprofile", "-i"]).pty();
    let bash = bash.env("PATH", path).env("KVADM_ENDPOINTS", shared().endpoint()).folder(env!("CARGO_MANIFEST_DIR"));
    let mut bash = bash.env("PS1", "ready> ").spawn();
    let shows = |bash: &super::support::Running, text: &str| String::from_utf8_lossy(&bash.stdout()).contains(text);
    bash.write(". completions/kvadm.bash; echo lo''aded\n");
    eventually("the script", Duration::from_secs(10), || shows(&bash, "loaded"));
    bash.write(format!("echo begin; kvadm get {at}only:o\t"));
    eventually("the level", Duration::from_secs(10), || shows(&bash, &format!("{at}only:one=key/")));
    // Tab gives the slash and no space, so that the next level follows in the same word.
    let start = Instant::now();
    bash.write("\t");
    eventually("the key", Duration::from_secs(10), || shows(&bash, &format!("{at}only:one=key/leaf")));
    bash.write("-o json | grep -c '\"value\":\"v\"' | sed 's/^/found /'\n");
    eventually("the value", Duration::from_secs(10), || shows(&bash, "found 1"));
    assert!(start.elapsed() < Duration::from_secs(10));
    bash.write("exit\n");
    let _ = bash.wait();
}
