//! Every example of the help, and every command of README's console blocks, runs as printed against a real etcd.
//!
//! The examples come from the printed help and from README. `tests/examples/` has what they need: files in the order in which
//! the verbs run, each with a server of its own. A section `[verb]` prepares the store and the files with lines of shell. A line
//! `> COMMAND` says what is special about one example:
//!
//! - `before SHELL`: run this first
//! - `env NAME=VALUE`: set a variable
//! - `code N: REASON`, `code N on 3.4,3.5: REASON`: the exit code, if it is not 0
//! - `beside SHELL`: run this first, and end it after the example
//! - `interrupt N`, `interrupt N on TEXT`, `interrupt N after SHELL`: Ctrl-C after the first output, after this text, or when this
//!   succeeds; then the exit code
//! - `during SHELL`: run this, again and again, until the example prints something
//! - `type PROMPT => ANSWER`: run the example on a terminal, and type an answer
//! - `varies: REASON`: the output in README is not compared
//! - `skip: REASON`: the example cannot run in a test

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use tempfile::TempDir;

use super::support::binary::etcdctl;
use super::support::process::pid;
use super::support::{Certs, Cluster, Etcd, Kvadm, Run, Running};

/// How long one example may take.
const LIMIT: Duration = Duration::from_secs(15);
/// The addresses and folders of the examples, and what takes their place; the first that matches counts.
const PLACES: [(&str, &str); 13] = [
    ("https://etcd-0:2379,https://etcd-1:2379", "{tls}"),
    ("https://etcd-0:2379", "{tls}"),
    ("https://etcd-2:2379", "{tls}"),
    ("https://etcd-0.example:2379", "{endpoint}"),
    ("http://10.0.0.1:2379", "{endpoint}"),
    ("http://127.0.0.1:2379", "{endpoint}"),
    ("http://127.0.0.1:13114", "{endpoint}"),
    ("other:2379", "{other}"),
    ("/usr/local/bin/", "{folder}/bin/"),
    ("/var/", "{folder}/var/"),
    ("/etc/kvadm/", "{folder}/etc/"),
    ("/etc/app", "{folder}/etc/app"),
    ("/home/ops/", "{folder}/home/"),
];

/// When to press Ctrl-C.
#[derive(Clone, Debug)]
enum Moment {
    Output(String),
    Success(String),
}

#[derive(Clone, Debug, Default)]
struct Rules {
    before: String,
    env: String,
    codes: Vec<(i32, Vec<String>)>,
    beside: Vec<String>,
    interrupt: Option<(i32, Moment)>,
    during: Option<String>,
    answers: Vec<(String, String)>,
    varies: bool,
    skip: bool,
}

#[derive(Debug, Default)]
struct Section {
    setup: String,
    rules: BTreeMap<String, Rules>,
}

/// The sections of a file, in its order.
fn sections(text: &str) -> Vec<(String, Section)> {
    let mut found: Vec<(String, Section)> = Vec::new();
    let mut example: Option<String> = None;
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            found.push((name.to_owned(), Section::default()));
            example = None;
            continue;
        }
        let Some((_, section)) = found.last_mut() else { continue };
        if let Some(command) = line.strip_prefix("> ") {
            assert!(section.rules.insert(command.to_owned(), Rules::default()).is_none(), "twice: {command}");
            example = Some(command.to_owned());
        } else if let Some(command) = &example {
            if !line.is_empty() {
                add_rule(section.rules.get_mut(command).unwrap(), line.trim_start());
            }
        } else {
            section.setup += &format!("{line}\n");
        }
    }
    found
}

fn add_rule(rules: &mut Rules, line: &str) {
    let (kind, rest) = line.split_once([' ', ':']).unwrap_or((line, ""));
    let rest = rest.trim_start();
    match kind {
        "before" => rules.before += &format!("{rest}\n"),
        "env" => rules.env += &format!("export {rest}\n"),
        "beside" => rules.beside.push(rest.to_owned()),
        "during" => rules.during = Some(rest.to_owned()),
        "code" => {
            let (code, reason) = rest.split_once(':').expect(line);
            assert!(reason.trim().len() > 5, "a code needs a reason: {line}");
            let (code, versions) = code.split_once(" on ").unwrap_or((code, ""));
            let versions = versions.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            rules.codes.push((code.parse().expect(line), versions));
        }
        "interrupt" => {
            let (code, moment) = match (rest.split_once(" after "), rest.split_once(" on ")) {
                (Some((code, shell)), _) => (code, Moment::Success(shell.to_owned())),
                (None, Some((code, text))) => (code, Moment::Output(text.to_owned())),
                (None, None) => (rest, Moment::Output(String::new())),
            };
            rules.interrupt = Some((code.parse().expect(line), moment));
        }
        "type" => {
            let (prompt, answer) = rest.split_once(" => ").expect(line);
            rules.answers.push((prompt.to_owned(), answer.to_owned()));
        }
        "varies" | "skip" => {
            assert!(rest.len() > 5, "{kind} needs a reason: {line}");
            rules.varies = true;
            rules.skip |= kind == "skip";
        }
        _ => panic!("unknown rule: {line}"),
    }
}

/// Servers, and a home and a working folder that all examples of a file share.
struct Place {
    etcd: Etcd,
    other: Etcd,
    tls: Option<Etcd>,
    folder: TempDir,
    /// Which the TLS server reads at each connection.
    _certs: Certs,
    /// The other members of a cluster.
    _members: Vec<Etcd>,
}

impl Place {
    fn new(with_tls: bool, members: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("kvadm-examples-").tempdir().unwrap();
        let certs = Certs::new();
        let mut members = std::mem::take(&mut Cluster::start(members).members);
        let (etcd, other) = (members.remove(0), Etcd::start());
        let tls = with_tls.then(|| Etcd::options().tls(&certs).start());
        let config = folder.path().join("home/.config/kvadm");
        for sub in [&config, &folder.path().join("work"), &folder.path().join("bin")] {
            fs::create_dir_all(sub).unwrap();
        }
        fs::copy(&certs.ca, folder.path().join("work/ca.pem")).unwrap();
        let text = |etcd: &Etcd| format!("endpoints: ['{}']\n", etcd.endpoint());
        fs::write(config.join("etcd.yaml"), text(&etcd)).unwrap();
        for name in ["other", "old", "staging", "prod", "west", "east"] {
            fs::write(config.join(format!("{name}.yaml")), text(&other)).unwrap();
        }
        fs::write(config.join("production.yaml"), text(&etcd)).unwrap();
        Self { etcd, other, tls, folder, _certs: certs, _members: members }
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// A shell line that finds kvadm and the stand-ins for the programs of the examples.
    fn shell(&self, program: &[&str], line: &str) -> Kvadm {
        let kvadm = Path::new(env!("CARGO_BIN_EXE_kvadm")).parent().unwrap();
        let folder = self.folder.path();
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{path}", folder.join("bin").display(), kvadm.display());
        Kvadm::program(program[0])
            .args(&program[1..])
            .args(["-c", line])
            .folder(self.work())
            .env("PATH", path)
            .env("HOME", folder.join("home"))
            .env("XDG_CONFIG_HOME", folder.join("home/.config"))
            .env("NO_COLOR", "1")
            .env("LC_ALL", "C.UTF-8")
            .env("ENDPOINT", self.etcd.endpoint())
            .env("OTHER", self.other.endpoint())
            .env("PEER", self.etcd.peer_url())
            .env("ETCDCTL", etcdctl())
            .env("ETCDCTL_API", "3")
            .env("FOLDER", folder)
            .env("REPOSITORY", env!("CARGO_MANIFEST_DIR"))
            // The certificate authority of the TLS server is one of the system's.
            .env("SSL_CERT_FILE", self.work().join("ca.pem"))
            .timeout(LIMIT)
    }

    fn prepare(&self, lines: &str) -> Result<(), String> {
        if lines.trim().is_empty() {
            return Ok(());
        }
        let prelude = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples/prelude.sh");
        let run = self.shell(&["bash"], &format!("set -e\n. '{}'\n{lines}", prelude.display())).run();
        if run.code == Some(0) { Ok(()) } else { Err(format!("the preparation failed: {lines}\n{}", both(&run))) }
    }

    fn replaced(&self, text: &str) -> String {
        let tls = self.tls.as_ref().map(Etcd::endpoint).unwrap_or_default();
        let mut text = text.to_owned();
        for (from, to) in PLACES {
            let to = to
                .replace("{tls}", &tls)
                .replace("{endpoint}", &self.etcd.endpoint())
                .replace("{other}", &self.other.endpoint())
                .replace("{folder}", &self.folder.path().display().to_string());
            text = text.replace(from, &to);
        }
        text
    }

    /// Runs an example; on a terminal, so that the output is that of README, or if there is something to type.
    fn run(&self, line: &str, rules: &Rules, terminal: bool) -> Result<Run, String> {
        let beside: Vec<Running> =
            rules.beside.iter().map(|line| self.shell(&["setsid", "bash"], line).spawn()).collect();
        let result = self.prepare(&rules.before).and_then(|()| self.run_alone(line, rules, terminal));
        for running in beside {
            killpg(pid(running.pid()), Signal::SIGTERM).ok();
            let _ended = running.wait();
        }
        result
    }

    fn run_alone(&self, line: &str, rules: &Rules, terminal: bool) -> Result<Run, String> {
        let line = rules.env.clone() + &self.replaced(line);
        let terminal = terminal || !rules.answers.is_empty();
        let mut running = if terminal {
            self.shell(&["bash"], &line).pty_of(200).spawn()
        } else {
            // A group of its own, to which Ctrl-C goes.
            self.shell(&["setsid", "bash"], &line).spawn()
        };
        for (prompt, answer) in &rules.answers {
            let began = Instant::now();
            while !String::from_utf8_lossy(&running.stdout()).contains(prompt.as_str()) {
                // An example that ends without a question is judged by its exit code.
                if running.ended().is_some() {
                    break;
                }
                if began.elapsed() > LIMIT {
                    let shown = String::from_utf8_lossy(&running.stdout()).into_owned();
                    killpg(pid(running.pid()), Signal::SIGKILL).ok();
                    return Err(format!("does not ask {prompt:?}\n--- shown\n{shown}"));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            running.write(format!("{answer}\n"));
        }
        if !terminal {
            running.close_stdin();
        }
        let began = Instant::now();
        if let Some(during) = &rules.during {
            while running.ended().is_none() && running.stdout().is_empty() && began.elapsed() < LIMIT {
                self.prepare(during)?;
            }
        }
        if let Some((_, moment)) = &rules.interrupt {
            let holds =
                |bytes: Vec<u8>, text: &str| !bytes.is_empty() && String::from_utf8_lossy(&bytes).contains(text);
            let is_over = |running: &Running| match moment {
                Moment::Output(text) => holds(running.stdout(), text) || holds(running.stderr(), text),
                Moment::Success(shell) => self.prepare(shell).is_ok(),
            };
            while running.ended().is_none() && !is_over(&running) && began.elapsed() < LIMIT {
                std::thread::sleep(Duration::from_millis(5));
            }
            if running.ended().is_none() && began.elapsed() < LIMIT {
                killpg(pid(running.pid()), Signal::SIGINT).ok();
            }
        }
        while running.ended().is_none() {
            if began.elapsed() > LIMIT {
                let (out, err) = (running.stdout(), running.stderr());
                killpg(pid(running.pid()), Signal::SIGKILL).ok();
                let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
                return Err(format!("does not end\n--- stdout\n{out}\n--- stderr\n{err}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(running.wait())
    }

    /// What is wrong with an example, in words.
    fn problem(&self, line: &str, rules: &Rules, shown: Option<&[String]>) -> Option<String> {
        if rules.skip {
            return None;
        }
        let run = match self.run(line, rules, shown.is_some()) {
            Ok(run) => run,
            Err(why) => return Some(format!("$ {line}\n{why}\n")),
        };
        let code = run.code.or(run.signal.map(|signal| 128 + signal));
        let wanted = rules.code();
        if code != Some(wanted) {
            return Some(format!("$ {line}\nexits with {code:?}, not {wanted}: {}\n", both(&run)));
        }
        let shown = shown.filter(|lines| !lines.is_empty() && !rules.varies)?;
        let expected: Vec<String> = shown.iter().map(|line| normal(&self.replaced(line))).collect();
        let actual: Vec<String> = run.stdout_text().lines().map(normal).filter(|line| !line.is_empty()).collect();
        let expected: Vec<String> = expected.into_iter().filter(|line| !line.is_empty()).collect();
        (!matches(&expected, &actual)).then(|| {
            format!("$ {line}\nREADME:\n{}\nkvadm:\n{}\n{}\n", expected.join("\n"), actual.join("\n"), both(&run))
        })
    }
}

impl Rules {
    fn code(&self) -> i32 {
        let (major, minor) = super::support::binary::version();
        let version = format!("{major}.{minor}");
        let of = |is: &dyn Fn(&[String]) -> bool| {
            self.codes.iter().find(|(_, versions)| is(versions)).map(|(code, _)| *code)
        };
        let interrupted = self.interrupt.as_ref().map(|(code, _)| *code);
        of(&|versions| versions.contains(&version)).or(interrupted).or(of(&<[String]>::is_empty)).unwrap_or(0)
    }
}

fn both(run: &Run) -> String {
    format!("\n--- stdout\n{}\n--- stderr\n{}", run.stdout_text(), run.stderr_text())
}

/// A line in which spaces, numbers, IDs and control sequences do not count.
fn normal(line: &str) -> String {
    let mut plain = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // Progress that is erased again does not count.
            if chars.by_ref().find(char::is_ascii_alphabetic) == Some('K') {
                plain.clear();
            }
        } else {
            plain.push(if c.is_control() { ' ' } else { c });
        }
    }
    let is_hex = |word: &str| word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit());
    let mut words = Vec::new();
    for word in plain.split_whitespace() {
        let mut parts = String::new();
        for part in word.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
            let (text, end) = part.split_at(part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len());
            write!(parts, "{}{end}", if is_hex(text) { "#" } else { text }).unwrap();
        }
        let mut out = String::new();
        for c in parts.chars() {
            let is_number = c.is_ascii_digit() || (matches!(c, '.' | ',') && out.ends_with('#'));
            if !(is_number && out.ends_with('#')) {
                out.push(if is_number { '#' } else { c });
            }
        }
        words.push(out);
    }
    words.join(" ")
}

/// Whether the lines are the expected ones; `…` stands for any lines, or for the rest of a line.
fn matches(expected: &[String], actual: &[String]) -> bool {
    let Some((first, rest)) = expected.split_first() else { return actual.is_empty() };
    if first == "…" || first == "..." {
        return (0..=actual.len()).any(|skipped| matches(rest, &actual[skipped..]));
    }
    let Some((line, others)) = actual.split_first() else { return false };
    let parts: Vec<&str> = first.split('…').collect();
    let starts = line.starts_with(parts[0]);
    let same = if parts.len() == 1 { first == line } else { starts && line.ends_with(parts[parts.len() - 1]) };
    same && matches(rest, others)
}

/// The examples of a printed help. A line that ends with a backslash continues.
fn examples(help: &str) -> Vec<String> {
    let Some((_, after)) = help.split_once("\nExamples:\n") else { return Vec::new() };
    let mut found: Vec<String> = Vec::new();
    let mut continued = false;
    for line in after.lines().take_while(|line| line.starts_with("  ")) {
        let text = if continued { line.trim_start() } else { &line[2..] };
        let (text, more) = text.strip_suffix('\\').map_or((text, false), |text| (text, true));
        if continued {
            *found.last_mut().unwrap() += text;
        } else {
            assert!(text.contains("kvadm"), "an example is broken between two lines: {text}");
            found.push(text.to_owned());
        }
        continued = more;
    }
    found
}

fn verbs() -> Vec<(String, clap::Command)> {
    fn all(name: &str, command: &clap::Command, found: &mut Vec<(String, clap::Command)>) {
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            let name = format!("{name} {}", verb.get_name()).trim_start().to_owned();
            found.push((name.clone(), verb.clone()));
            all(&name, verb, found);
        }
    }
    let mut found = Vec::new();
    all("", &kvadm::command(), &mut found);
    found
}

/// The examples of a verb, from its help as a terminal of 80 columns shows it.
fn examples_of(verb: &clap::Command) -> Vec<String> {
    examples(&verb.clone().term_width(80).render_long_help().to_string())
}

fn file(name: &str) -> Vec<(String, Section)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples").join(name);
    sections(&fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display())))
}

const FILES: [&str; 6] = ["data.txt", "members.txt", "coordination.txt", "maintenance.txt", "access.txt", "setup.txt"];

/// How often the examples of the members are tried. On a busy machine, etcd 3.5 now and then refuses to add a member right after
/// another change of the members ("member not found").
const MEMBER_TRIES: usize = 5;

fn run_file(name: &str) {
    // A server that gets no processor for seconds answers nobody; an example that is wrong fails both times.
    let tries = if name == "members.txt" { MEMBER_TRIES } else { 2 };
    let mut problems = Vec::new();
    for _ in 0..tries {
        problems = problems_of(name);
        if problems.is_empty() {
            return;
        }
    }
    panic!("{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// Runs every example of a file in order, and says what is wrong.
fn problems_of(name: &str) -> Vec<String> {
    let place = Place::new(name == "setup.txt" || name == "maintenance.txt", if name == "members.txt" { 3 } else { 1 });
    place.prepare("stand_ins").unwrap();
    let verbs: BTreeMap<String, clap::Command> = verbs().into_iter().collect();
    let mut problems = Vec::new();
    for (verb, section) in file(name) {
        let command = verbs.get(&verb).unwrap_or_else(|| panic!("{name}: there is no verb {verb}"));
        let lines = examples_of(command);
        for line in section.rules.keys().filter(|line| !lines.contains(line)) {
            problems.push(format!("{name}: the help of {verb} has no such example: {line}\n"));
        }
        if let Err(why) = place.prepare(&format!("wipe\n{}", section.setup)) {
            problems.push(format!("[{verb}] {why}\n"));
        }
        for line in lines {
            let rules = section.rules.get(&line).cloned().unwrap_or_default();
            let began = Instant::now();
            problems.extend(place.problem(&line, &rules, None));
            eprintln!("{:5} ms  {line}", began.elapsed().as_millis());
        }
    }
    problems
}

#[test]
fn the_examples_of_the_verbs_for_data_run_as_printed() {
    run_file("data.txt");
}

#[test]
fn the_examples_of_the_verbs_for_coordination_run_as_printed() {
    run_file("coordination.txt");
}

#[test]
fn the_examples_of_the_verbs_for_maintenance_run_as_printed() {
    run_file("maintenance.txt");
}

#[test]
fn the_examples_of_the_verbs_for_members_run_as_printed() {
    run_file("members.txt");
}

#[test]
fn the_examples_of_the_verbs_for_users_and_roles_run_as_printed() {
    run_file("access.txt");
}

#[test]
fn the_examples_of_the_verbs_for_the_setup_run_as_printed() {
    run_file("setup.txt");
}

#[test]
fn the_examples_of_every_verb_run_somewhere() {
    let listed: Vec<String> = FILES.iter().flat_map(|name| file(name)).map(|(verb, _)| verb).collect();
    for (verb, command) in verbs() {
        assert_eq!(listed.iter().filter(|name| **name == verb).count(), 1, "{verb} is in one file of tests/examples");
        assert!(!examples_of(&command).is_empty(), "{verb}");
    }
    let all = FILES.iter().flat_map(|name| file(name)).flat_map(|(_, section)| section.rules);
    let skipped: Vec<String> = all.filter(|(_, rules)| rules.skip).map(|(line, _)| line).collect();
    assert!(skipped.len() <= 6, "too many examples do not run: {skipped:#?}");
}

/// The man pages fold long lines in their own way.
#[test]
fn the_man_pages_have_the_examples_of_the_help() {
    for (verb, command) in verbs() {
        let path = format!("man/kvadm-{}.1", verb.replace(' ', "-"));
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)).unwrap_or_default();
        let Some((_, after)) = page.split_once(".SH EXAMPLES\n") else { continue };
        let text = after.split("\n.fi").next().unwrap();
        let text = text.replace("\\-", "-").replace("\\*(Aq", "'").replace("\\&", "").replace("\\\\", "\\");
        let squeezed = |text: &str| text.replace('\\', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        let page = squeezed(&text);
        for line in examples_of(&command) {
            let (code, comment) = line.split_once(" # ").unwrap_or((&line, ""));
            for part in [code, comment] {
                assert!(page.contains(&squeezed(part)), "{path} lacks: {line}\n{page}");
            }
        }
    }
}

/// A command of a console block: its lines, and the lines that it prints.
struct Block {
    line: String,
    shown: Vec<String>,
}

fn blocks(document: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut console = false;
    let mut heredoc = false;
    for line in document.lines() {
        if line.starts_with("```") {
            console = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| console) {
            heredoc = command.ends_with("<<'END'");
            found.push(Block { line: command.to_owned(), shown: Vec::new() });
        } else if console && heredoc {
            let block = found.last_mut().unwrap();
            block.line += &format!("\n{line}");
            heredoc = line != "END";
        } else if console {
            found.last_mut().expect("a command").shown.push(line.to_owned());
        }
    }
    found
}

#[test]
fn the_commands_of_the_readme_run_as_printed() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let place = Place::new(true, 1);
    let (_, section) = file("readme.txt").remove(0);
    let mut problems = Vec::new();
    if let Err(why) = place.prepare(&format!("stand_ins\n{}", section.setup)) {
        problems.push(why);
    }
    let blocks = blocks(&text);
    assert!(blocks.len() > 90, "{}", blocks.len());
    let key = |block: &Block| block.line.lines().next().unwrap().to_owned();
    for line in section.rules.keys().filter(|line| !blocks.iter().any(|block| key(block) == **line)) {
        problems.push(format!("README has no such command: {line}"));
    }
    for block in &blocks {
        let rules = section.rules.get(&key(block)).cloned().unwrap_or_default();
        let began = Instant::now();
        problems.extend(place.problem(&block.line, &rules, Some(&block.shown)));
        eprintln!("{:5} ms  {}", began.elapsed().as_millis(), block.line);
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn an_expected_output_matches_as_a_reader_would() {
    let lines = |text: &str| text.lines().map(normal).collect::<Vec<_>>();
    let same = |expected: &str, actual: &str| matches(&lines(expected), &lines(actual));
    assert!(same("written\t/app/mode\t33", "written /app/mode  7"));
    assert!(!same("written\t/app/mode\t33", "written /app/mod  7"));
    assert!(same("a\n…\nz", "a\nb\nc\nz") && same("a\n…", "a") && !same("a\n…\nz", "a\nb"));
    assert!(same("note: user kvadm-enable-… with role", "note: user kvadm-enable-01ab with role"));
    assert!(same("24.10 MiB of 1,024", "9.5 MiB of 7") && !same("24.10 MiB", "24.10 KiB"));
    assert!(same("written\t1", "put 3/3\r\u{1b}[K\u{1b}[2Kwritten\t1"));
    assert!(same("lock 694d7c5a1b2c3d4e", "lock\u{1b}[1m 1f2e3d4c5b6a7988\u{1b}[0m"));
}
