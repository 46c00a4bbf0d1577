//! `kvadm completions`, and what real shells make of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::list::load;
use super::support::{Etcd, Kvadm, Mode, Proxy, Running, eventually, shared, unique_prefix};

const SHELLS: [&str; 5] = ["bash", "zsh", "fish", "elvish", "powershell"];
const SOON: Duration = Duration::from_secs(20);

#[test]
fn each_shell_has_a_registration_script() {
    for shell in SHELLS {
        let run = Kvadm::new().args(["completions", shell]).run();
        run.ok().err_empty().out_has("KVADM_COMPLETE").out_has("kvadm");
        Kvadm::new().env("KVADM_COMPLETE", shell).run().ok().err_empty().out(&run.stdout_text());
    }
    // As $SHELL has it; and an empty variable asks for nothing.
    Kvadm::new().env("KVADM_COMPLETE", "/usr/bin/fish").run().ok().out_has("function __kvadm_complete");
    Kvadm::new().env("KVADM_COMPLETE", "tcsh").run().code(2).out_empty().err_has("unknown shell 'tcsh'");
    Kvadm::new().env("KVADM_COMPLETE", "").arg("version").run().ok().out_has("kvadm ");
    // clap's own variable, which another program may have left, means nothing here.
    Kvadm::new().env("COMPLETE", "bash").arg("version").run().ok().out_has("kvadm ");
}

#[test]
fn an_unknown_shell_is_wrong_usage() {
    let run = Kvadm::new().args(["completions", "tcsh"]).run();
    run.code(2).out_empty().err_has("tcsh").err_has("bash").err_has("powershell");
    Kvadm::new().arg("completions").run().code(2).out_empty().err_has("SHELL");
}

#[test]
fn no_server_no_readable_format_and_no_configuration_is_needed() {
    let script = Kvadm::new().args(["completions", "bash"]).run().ok().stdout_text();
    Kvadm::new().args(["--endpoints", "127.0.0.1:1", "-o", "json", "completions", "bash"]).run().ok().out(&script);
    Kvadm::new().args(["-c", "/nowhere.yaml", "completions", "bash"]).run().ok().out(&script);
}

/// A completion that is asked for as elvish does: plain words in, plain candidates out.
fn asking(words: &[&str]) -> Kvadm {
    Kvadm::new().env("KVADM_COMPLETE", "elvish").args(["--", "kvadm"]).args(words)
}

/// The candidates for the last of these words against the shared server.
fn offered(words: &[&str]) -> Vec<String> {
    let endpoint = shared().endpoint();
    let run = asking(&[&["--endpoints", &endpoint], words].concat()).run();
    run.ok().err_empty().stdout_text().lines().map(str::to_owned).collect()
}

/// Checks the candidates for these words. On a busy machine etcd's answer may come too late for a completion, which is
/// silent then; so it is asked for a few times.
#[track_caller]
fn offers<S: AsRef<str>>(words: &[&str], expected: &[S]) {
    let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
    let found = (0..10).map(|_| offered(words)).find(|found| *found == expected);
    assert!(found.is_some(), "{words:?} offers {:?}, expected {expected:?}", offered(words));
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
    let mut expected = below(&top);
    expected.sort();
    offers(&["get", &at], &expected);
    offers(&["get", &format!("{at}b/")], &below(&["b/1", "b/2/"]));
    offers(&["list", &format!("{at}b")], &below(&["b/", "b0"]));
    offers(&["watch", &format!("--exact={at}b/2/")], &["x", "y"].map(|k| format!("--exact={at}b/2/{k}")));
    assert!(offered(&["get", &format!("{at}nothing")]).is_empty());
    offers(&["--namespace", &at, "delete", "z/"], &["z//"]);
    offers(&["--namespace", &at, "put", "a"], &["a"]);
    // What begins like an option would be taken for one.
    offers(&["--namespace", &at, "get", ""], &["a", "b/", "b0", "c:d=e", "c:d=f g", "caf\u{e9}", "z/"]);
    // A value is nobody's business.
    for words in [&["put", "k", "v"][..], &["list", "--limit", ""], &["nonsense", "x"]] {
        assert!(offered(words).is_empty(), "{words:?}");
    }
}

#[test]
fn lock_names_leases_allocator_keys_contexts_and_schemas() {
    let at = seed(&["jobs/a/1f", "jobs/a/20", "jobs/nested/b/c0ffee", "jobs/plain", "jobs/word/xyz"]);
    let jobs = format!("{at}jobs/");
    let expected = ["a", "nested/", "word/"].map(|name| format!("{jobs}{name}"));
    offers(&["lock", &jobs], &expected);
    offers(&["lock", &format!("{jobs}nested/")], &[format!("{jobs}nested/b")]);

    let lease = shared().grant(60);
    for words in [&["lease", "revoke", &lease[..4]][..], &["put", "k", "v", "--lease", ""]] {
        eventually("the lease", SOON, || offered(words).contains(&lease));
    }

    let base = seed(&["value/k8s:a=b/node1", "value/k8s:a=b/node2", "value/deep/key/node1", "id/300"]);
    offers(&["allocate", "release", "--base", &base, ""], &["deep/", "k8s:a=b"]);
    offers(&["allocate", "renew", &format!("--base={base}"), "deep/k"], &["deep/key"]);

    let contexts = |words: &[&str]| {
        let ask = asking(words).config_file("prod-a.yaml", "{}").config_file("prod-b.yaml", "{}");
        ask.config_file("dev.yaml", "{}").run().ok().err_empty().stdout_text()
    };
    assert_eq!(contexts(&["--context", "prod"]), "prod-a\nprod-b\n");
    assert_eq!(contexts(&["list", "--context="]), "--context=dev\n--context=prod-a\n--context=prod-b\n");
    assert_eq!(contexts(&["allocate", "list", "--remote", "d"]), "dev\n");
    assert_eq!(contexts(&["config", "use", "prod"]), "prod-a\nprod-b\n");
    assert_eq!(contexts(&["config", "test", "d"]), "dev\n");

    offers(&["gc", "metadata", "--print-schema", "containerd-"], &["containerd-1.7", "containerd-etcd"]);
}

#[test]
fn verbs_options_and_their_values_are_offered() {
    offers(&["compl"], &["completions"]);
    offers(&["lease", "re"], &["renew", "revoke"]);
    offers(&["help", "allocate", "lo"], &["lookup"]);
    offers(&["list", "--with"], &["--with-leases"]);
    offers(&["-o", "j"], &["json"]);
    offers(&["list", "--sort", "ve"], &["version"]);
    offers(&["delete", "--y"], &["--yes"]);
    assert!(offered(&["list", "--y"]).is_empty());
    assert!(offered(&[""]).iter().all(|word| !word.starts_with('-')));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("records.jsonl"), "").unwrap();
    let run = asking(&["put", "--from", "rec"]).folder(folder.path()).run();
    run.ok().out("records.jsonl\n");
}

/// A level is listed without reading what is below it, however much that is; and at most 200 candidates are printed.
#[test]
fn many_keys_are_neither_read_nor_printed() {
    let at = unique_prefix();
    let deep = (0..12).flat_map(|dir| (0..2000).map(move |n| (dir, n)));
    load(shared(), deep.map(|(dir, n)| (format!("{at}d{dir:02}/{n:05}"), "")));
    load(shared(), (0..500).map(|n| (format!("{at}f{n:03}"), "")));
    let expected: Vec<String> =
        (0..12).map(|dir| format!("{at}d{dir:02}/")).chain((0..188).map(|n| format!("{at}f{n:03}"))).collect();
    offers(&["get", &at], &expected);
    let expected: Vec<String> = (0..200).map(|n| format!("{at}d05/{n:05}")).collect();
    offers(&["get", &format!("{at}d05/")], &expected);
    // Neighbours whose names differ in their length, and at their first byte.
    let at = seed(&["a/1", "a0/1", "a00/1", "a1", "b/x/y", "ba/x", "c", "\u{e9}/x"]);
    let expected = ["a/", "a0/", "a00/", "a1", "b/", "ba/", "c", "\u{e9}/"].map(|name| format!("{at}{name}"));
    offers(&["get", &at], &expected);
}

#[test]
fn whatever_goes_wrong_it_is_silent_and_quick() {
    let quick = Duration::from_millis(if cfg!(debug_assertions) { 900 } else { 250 });
    let silent = |kvadm: Kvadm| {
        let run = kvadm.run();
        run.ok().out_empty().err_empty().within(quick);
    };
    let ask = |endpoint: &str| asking(&["--endpoints", endpoint, "get", "/"]);
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
    silent(asking(&["-c", "/nowhere.yaml", "get", "/"]));
    silent(asking(&["get", "/"]).config_file("etcd.yaml", "endpoints: {"));
    silent(asking(&["--user", "root", "get", "/"]));
    // A password file that never ends.
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let file = fifo.to_str().unwrap();
    silent(ask(&shared().endpoint()).args(["/x"]).env("KVADM_USER", "root").env("KVADM_PASSWORD_FILE", file));
}

/// A candidate is inserted by PowerShell as it is.
#[test]
fn powershell_gets_only_what_needs_no_quotes() {
    let at = seed(&["plain", "$(touch x)", "a b", "a;b"]);
    eventually("the key", SOON, || {
        let ask = Kvadm::new().env("KVADM_COMPLETE", "powershell").args(["--", "kvadm"]);
        let text = ask.endpoint(shared()).args(["get", &at]).run().ok().stdout_text();
        assert!(text.is_empty() || text == format!("{at}plain\t\n"), "{text}");
        !text.is_empty()
    });
}

fn search_path() -> OsString {
    let own = Path::new(env!("CARGO_BIN_EXE_kvadm")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(own.to_owned()).chain(std::env::split_paths(&path))).unwrap()
}

/// A shell, from PATH or fetched.
fn shell(name: &str) -> PathBuf {
    fn fetch(name: &str) -> PathBuf {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/fetch");
        let run = Command::new(script).args(["shell", name]).output().unwrap();
        let why = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{name} is needed to test its completion; install it. {why}");
        PathBuf::from(String::from_utf8_lossy(&run.stdout).trim())
    }
    static ZSH: LazyLock<PathBuf> = LazyLock::new(|| fetch("zsh"));
    static FISH: LazyLock<PathBuf> = LazyLock::new(|| fetch("fish"));
    match name {
        "zsh" => ZSH.clone(),
        "fish" => FISH.clone(),
        name => PathBuf::from(name),
    }
}

/// Runs a line of a shell's own language with kvadm on PATH and the shared server configured.
fn script(shell: &Path, args: &[&str]) -> Kvadm {
    Kvadm::program(shell).args(args).env("PATH", search_path()).env("KVADM_ENDPOINTS", shared().endpoint())
}

/// The replies of bash for an unfinished line, cursor at its end.
fn replies(line: &str) -> Vec<String> {
    let ask =
        r#". <(kvadm completions bash); COMP_LINE=$1 COMP_POINT=${#1}; _kvadm kvadm; printf '%s\n' "${COMPREPLY[@]}""#;
    let run = script(Path::new("bash"), &["-c", ask, "bash", line]).run();
    run.ok().err_empty().stdout_text().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[track_caller]
fn bash_replies<S: AsRef<str>>(line: &str, expected: &[S]) {
    let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
    let found = (0..10).map(|_| replies(line)).find(|found| *found == expected);
    assert!(found.is_some(), "{line}: {:?}, expected {expected:?}", replies(line));
}

#[test]
fn bash_gets_what_stands_behind_its_word_breaks() {
    let at = seed(&["a:b=c", "a:b=d e", "dir/x", "plain"]);
    bash_replies(&format!("kvadm get {at}a:b"), &["b=c", "b=d\\ e"]);
    bash_replies(&format!("kvadm get {at}a:b="), &["c", "d\\ e"]);
    bash_replies(&format!("kvadm get '{at}a:b=d"), &[format!("{at}a:b=d e")]);
    bash_replies(&format!("kvadm list --from={at}p"), &[format!("{at}plain")]);
    bash_replies(&format!("kvadm  -o json  list {at}d"), &[format!("{at}dir/")]);
    bash_replies("kvadm list --with", &["--with-leases"]);
    bash_replies("kvadm compl", &["completions"]);
    assert!(replies("kvadm -o ").contains(&"json".to_owned()));
    assert!(replies("kvadm list /a > fi").is_empty());
}

#[test]
fn installed_scripts_load_the_registration() {
    let installed = |name: &str| format!("{}/completions/{name}", env!("CARGO_MANIFEST_DIR"));
    let bash = format!(". {} && complete -p kvadm", installed("kvadm.bash"));
    script(Path::new("bash"), &["-c", &bash]).run().ok().out_has("-F _kvadm").err_empty();
    let ask = format!("source {}; complete -C 'kvadm compl'", installed("kvadm.fish"));
    script(&shell("fish"), &["--no-config", "-c", &ask]).run().ok().out_has("completions\tPrint").err_empty();
    // Where kvadm is not on PATH they do nothing.
    let bare = |program: &Path, args: &[&str]| {
        let run = Kvadm::program(program).args(args).env("PATH", "/nonexistent").run();
        run.err_empty().out_empty();
    };
    bare(Path::new("/bin/bash"), &["-c", &format!(". {}", installed("kvadm.bash"))]);
}

/// fish reads the files of vendors below its own prefix, and those of the system in /etc always.
#[test]
fn make_installs_the_completion_of_fish_where_fish_looks() {
    let installed = |prefix: &str| {
        let make = Command::new("make")
            .args(["--dry-run", "--always-make", "--no-print-directory", "install"])
            .arg(format!("PREFIX={prefix}"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&make.stdout).into_owned();
        let line = text.lines().find(|line| line.contains("completions/kvadm.fish ")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&make.stderr)))
    };
    for (prefix, folder) in [
        ("/usr/local", "/etc/fish/completions"),
        ("/usr", "/usr/share/fish/vendor_completions.d"),
        ("/opt/kvadm", "/opt/kvadm/share/fish/vendor_completions.d"),
    ] {
        assert_eq!(installed(prefix), format!("install -m 644 completions/kvadm.fish \"{folder}/kvadm.fish\""));
    }
    let manual = kvadm::cli::manual::KVADM;
    assert!(manual.contains("PREFIX=/usr/local puts the file of fish into /etc/fish/completions"));
}

/// Without fish itself: what kvadm answers for a word of which nothing is typed.
#[test]
fn the_empty_word_of_fish_completes_no_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a-file"), "").unwrap();
    let at = seed(&["one", "two/x"]);
    let answer = |words: &[&str]| {
        let asked =
            Kvadm::new().env("KVADM_COMPLETE", "fish").args(["--", "kvadm", "--endpoints", &shared().endpoint()]);
        let run = asked.args(["--namespace", &at]).args(words).folder(folder.path()).run();
        let word = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
        run.ok().err_empty().stdout_text().lines().map(word).collect::<Vec<_>>()
    };
    let verbs = answer(&[""]);
    assert!(verbs.contains(&"get".to_owned()) && !verbs.contains(&"a-file".to_owned()), "{verbs:?}");
    let keys = (0..10).map(|_| answer(&["get", ""])).find(|keys| !keys.is_empty()).unwrap_or_default();
    assert_eq!(keys, ["one", "two/"]);
    // Where a file is meant, files are offered.
    assert_eq!(answer(&["put", "--from", ""]), ["a-file"]);
    let script = Kvadm::new().args(["completions", "fish"]).run().ok().stdout_text();
    assert!(script.contains("complete --command kvadm --no-files --keep-order"), "{script}");
}

/// What fish offers for an unfinished line.
fn fish_offers(fish: &Path, line: &str) -> Vec<String> {
    let ask = "kvadm completions fish | source; complete -C $argv[1]";
    let run = script(fish, &["--no-config", "-c", ask, line]).run();
    let word = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    run.ok().err_empty().stdout_text().lines().map(word).collect()
}

#[test]
fn fish_completes_words_values_and_the_empty_word() {
    let fish = shell("fish");
    let at = seed(&["a b", "dir/x", "it's"]);
    #[track_caller]
    fn check<S: AsRef<str>>(fish: &Path, line: &str, expected: &[S]) {
        let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
        let found = (0..10).map(|_| fish_offers(fish, line)).find(|found| *found == expected);
        assert!(found.is_some(), "{line}: {:?}, expected {expected:?}", fish_offers(fish, line));
    }
    let verbs = fish_offers(&fish, "kvadm ");
    assert!(verbs.contains(&"get".to_owned()) && verbs.contains(&"help".to_owned()), "{verbs:?}");
    check(&fish, &format!("kvadm --namespace {at} get "), &["a b", "dir/", "it's"]);
    check(&fish, &format!("kvadm get {at}"), &["a b", "dir/", "it's"].map(|name| format!("{at}{name}")));
    check(&fish, &format!("kvadm get {at}a\\ "), &[format!("{at}a b")]);
    check(&fish, &format!("kvadm get '{at}it\\'"), &[format!("{at}it's")]);
    check(&fish, &format!("kvadm list --from={at}d"), &[format!("--from={at}dir/")]);
    check(&fish, &format!("echo x; KVADM_NAMESPACE={at} kvadm get d"), &["dir/"]);
    check(&fish, "kvadm list --sort ve", &["version"]);
    check(&fish, "kvadm list --with", &["--with-leases"]);
}

/// Names that a shell would act upon, or would not read back, if they were put on the line as they are.
const HOSTILE: [&str; 16] = [
    "sp ace",
    "quo\"te",
    "apos'trophe",
    "$(touch x)",
    "`touch x`",
    "semi;touch x",
    "and&touch x",
    "caf\u{e9}",
    "-dash",
    "!!",
    "*",
    "a:b=c d",
    "back\\slash",
    "{a,b}",
    "#hash",
    "~tilde",
];

/// Starts a shell on a terminal, in an empty folder, with completion loaded.
fn interactive(program: &Path, args: &[&str], load: &str, folder: &Path) -> Running {
    let shell = script(program, args).pty().timeout(Duration::from_secs(60));
    let mut shell = shell.env("PS1", "ready> ").env("LC_ALL", "C.UTF-8").folder(folder).spawn();
    shell.write(format!("{load}; echo lo''aded\n"));
    eventually("the script", SOON, || shows(&shell, "loaded\r\n"));
    shell
}

fn shows(shell: &Running, text: &str) -> bool {
    String::from_utf8_lossy(&shell.stdout()).contains(text)
}

/// Types something until the shell shows what is expected of it.
#[track_caller]
fn enters(shell: &mut Running, typed: &str, expected: &str) {
    for _ in 0..6 {
        let before = shell.stdout().len();
        shell.write(typed);
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if String::from_utf8_lossy(&shell.stdout()[before..]).contains(expected) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // Perhaps the candidates came too late. Ctrl-C leaves a line with an open quote; what is typed before the next
        // prompt would be lost.
        shell.write("\x03");
        std::thread::sleep(Duration::from_millis(500));
    }
    panic!("{typed:?} does not show {expected:?}:\n{}", String::from_utf8_lossy(&shell.stdout()));
}

/// Types each hostile key up to its last level, lets Tab complete it, and has the shell run the line.
fn completes_hostile_keys(program: &Path, args: &[&str], load_script: &str) {
    let at = unique_prefix();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    load(shared(), HOSTILE.iter().enumerate().map(|(n, name)| (format!("{at}{n}/{name}"), format!("value-{n}."))));
    load(shared(), [(format!("{at}new/line\ntouch x"), "never")]);
    let mut shell = interactive(program, args, load_script, folder.path());
    for quote in ["", "'", "\""] {
        for (n, name) in HOSTILE.iter().enumerate() {
            // bash cannot quote this, and completes nothing.
            if quote == "\"" && name.contains('!') && program == Path::new("bash") {
                continue;
            }
            enters(&mut shell, &format!("kvadm get {quote}{at}{n}/\t\n"), &format!("value-{n}."));
        }
    }
    enters(&mut shell, &format!("kvadm get {at}new/\t\n"), &format!("key not found: {at}new/"));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["file"], "{program:?} ran what a key says");
    shell.write("exit\n");
    let _ = shell.wait();
}

#[test]
fn bash_quotes_hostile_keys() {
    completes_hostile_keys(Path::new("bash"), &["--norc", "--noprofile", "-i"], "source <(kvadm completions bash)");
}

#[test]
fn zsh_quotes_hostile_keys() {
    let zsh = shell("zsh");
    let load = "autoload -U compinit; compinit -u -D; source <(kvadm completions zsh)";
    completes_hostile_keys(&zsh, &["-f", "-i"], load);
}

#[test]
fn fish_quotes_hostile_keys() {
    let fish = shell("fish");
    completes_hostile_keys(&fish, &["--no-config", "-i"], "kvadm completions fish | source");
}

/// As it is installed: the file is found by its name, and its first use completes already.
#[test]
fn zsh_loads_the_installed_file_at_its_first_use() {
    let zsh = shell("zsh");
    let at = seed(&["only:one=key/leaf"]);
    let folder = tempfile::tempdir().unwrap();
    let completions = format!("{}/completions", env!("CARGO_MANIFEST_DIR"));
    let load = format!("fpath=({completions} $fpath); autoload -U compinit; compinit -u -D");
    let mut zsh = interactive(&zsh, &["-f", "-i"], &load, folder.path());
    enters(&mut zsh, &format!("kvadm get {at}o\t\t-o json\n"), "\"value\":\"v\"");
    enters(&mut zsh, "kvadm config --quie\t --output\tjso\t\n", "\"key\":\"endpoints\"");
    zsh.write("exit\n");
    let _ = zsh.wait();
}

/// Tab gives the slash and no space, so that the next level follows in the same word.
#[test]
fn bash_types_the_key_level_by_level() {
    let at = seed(&["only:one=key/leaf"]);
    let folder = tempfile::tempdir().unwrap();
    let load = format!("source {}/completions/kvadm.bash", env!("CARGO_MANIFEST_DIR"));
    let mut bash = interactive(Path::new("bash"), &["--norc", "--noprofile", "-i"], &load, folder.path());
    let line = format!("echo begin; kvadm get {at}only:o\t\t-o json | grep -c '\"value\":\"v\"' | sed 's/^/found /'\n");
    enters(&mut bash, &line, "found 1");
    bash.write("exit\n");
    let _ = bash.wait();
}
