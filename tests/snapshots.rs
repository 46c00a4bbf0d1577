//! Every word that kvadm says, held in files that a reviewer reads: the help pages here, errors and tables beside it.
//!
//! A snapshot that is not what kvadm says now fails with the difference; `make bless` writes all of them anew. Nothing in
//! them depends on the server's version, on the machine, or on the moment: what does is a word in brackets.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use tempfile::TempDir;

use super::support::{Endpoints, Etcd, Kvadm, Run};
use super::{screens_redrawn, snapshots_errors, snapshots_screens, snapshots_tables, snapshots_usage};

/// As wide as the help gets: it is the same on wider terminals.
const COLUMNS: &str = "100";

/// The numbers behind these texts are not the same each time: how long the steps of a collection took, what is left of a
/// lease of an hour, and when the next try is where little time is left.
const MOVING: [(&str, &str); 4] =
    [("read: ", "[MS]"), ("mark: ", "[MS]"), ("\t3600\t", "[LEFT]"), ("trying again every ", "[N]")];

/// Where the snapshots are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")
}

/// Whether the text is another one than that of `tests/snapshots/NAME.snap`; the difference is printed.
fn differs(name: &str, text: &str) -> bool {
    let asserted = catch_unwind(|| {
        let mut settings = insta::Settings::new();
        settings.set_snapshot_path(folder());
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, text));
    });
    asserted.is_err()
}

/// A command to be run and shown.
#[derive(Clone, Default)]
pub(super) struct Call {
    args: Vec<String>,
    envs: Vec<(String, String)>,
    files: Vec<(String, String)>,
    stdin: String,
    terminal: Option<u16>,
}

/// `kvadm ARGS`.
pub(super) fn call<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Call {
    Call { args: args.into_iter().map(|arg| arg.as_ref().to_owned()).collect(), ..Call::default() }
}

impl Call {
    /// With this variable.
    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this file in the folder of the configuration.
    pub(super) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// With this text on standard input.
    pub(super) fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    /// On a terminal of 80 columns; without it there is none, and a table takes 160.
    pub(super) fn terminal(self) -> Self {
        self.terminal_of(80)
    }

    /// On a terminal of this many columns.
    pub(super) fn terminal_of(mut self, columns: u16) -> Self {
        self.terminal = Some(columns);
        self
    }

    /// As it would be typed.
    fn line(&self) -> String {
        let envs = self.envs.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
        let words = std::iter::once("kvadm".to_owned()).chain(self.args.iter().map(|arg| quoted(arg)));
        envs.chain(words).collect::<Vec<_>>().join(" ")
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

/// What several commands said, and what in it is not the same each time.
#[derive(Default)]
pub(super) struct Page {
    endpoints: String,
    hidden: Vec<(String, String)>,
    text: String,
}

impl Page {
    /// Its commands are not told where etcd is.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Its commands find etcd here, by KVADM_ENDPOINTS.
    pub(super) fn of(etcd: &(impl Endpoints + ?Sized)) -> Self {
        Self { endpoints: etcd.list(), ..Self::default() }
    }

    /// Its commands find this server, whose address and IDs are hidden.
    pub(super) fn of_server(etcd: &Etcd) -> Self {
        let mut page = Self::of(etcd);
        page.hide(&etcd.endpoint(), "[EP]");
        page.hide(&etcd.address(), "[EP]");
        let status = Kvadm::new().endpoint(etcd).args(["status", "-o", "json"]).run().ok().json();
        page.hide(status["cluster"].as_str().unwrap(), "[CLUSTER]");
        page.hide(status["members"][0]["id"].as_str().unwrap(), "[MEMBER]");
        page
    }

    /// This text is not the same each time. What holds others comes before them.
    pub(super) fn hide(&mut self, text: &str, by: &str) {
        self.hidden.push((text.to_owned(), by.to_owned()));
    }

    /// A line between commands.
    pub(super) fn heading(&mut self, text: &str) {
        self.text += &format!("=== {text}\n\n");
    }

    /// Runs the commands one after the other and shows each.
    pub(super) fn show_each<'a>(&mut self, all: impl IntoIterator<Item = &'a [&'a str]>) {
        for args in all {
            self.show(call(args));
        }
    }

    /// Runs the command and shows it, its exit code and all that it said.
    pub(super) fn show(&mut self, call: Call) {
        self.show_masked(call, |text| text);
    }

    /// As [`Page::show`], with more of what it said hidden.
    pub(super) fn show_masked(&mut self, call: Call, mask: impl Fn(String) -> String) {
        let mut kvadm = Kvadm::new().env("COLUMNS", COLUMNS).args(&call.args);
        let home = kvadm.home().to_str().unwrap().to_owned();
        if !self.endpoints.is_empty() {
            kvadm = kvadm.env("KVADM_ENDPOINTS", &self.endpoints);
        }
        for (name, value) in &call.envs {
            kvadm = kvadm.env(name, value);
        }
        for (name, text) in &call.files {
            kvadm = kvadm.config_file(name, text);
        }
        let run = run(kvadm, &call);
        let mut shown = format!("$ {}\n", call.line());
        for (name, text) in &call.files {
            section(&mut shown, &format!("{name}:"), text);
        }
        section(&mut shown, if call.terminal.is_some() { "typed:" } else { "stdin:" }, &call.stdin);
        let exit = run.code.map_or_else(|| format!("signal {:?}", run.signal), |code| code.to_string());
        shown += &format!("exit: {exit}\n");
        let out = if call.terminal.is_some() { "terminal:" } else { "stdout:" };
        // Some versions of etcd have defects in their defragmentation, which kvadm warns of.
        let other = |line: &&str| !(line.contains(" runs etcd ") && line.contains(" has the fix"));
        let without_defects = |text: &str| text.split_inclusive('\n').filter(other).collect::<String>();
        section(&mut shown, out, &mask(without_defects(&run.stdout_text().replace("\r\n", "\n"))));
        section(&mut shown, "stderr:", &mask(without_defects(&run.stderr_text())));
        self.text += &self.without_hidden(&shown.replace(&home, "[HOME]"));
        self.text += "\n";
    }

    fn without_hidden(&self, text: &str) -> String {
        let text = self.hidden.iter().fold(text.to_owned(), |text, (hidden, by)| replace(&text, hidden, by));
        MOVING.iter().fold(text, |text, (behind, by)| without_numbers(&text, behind, by))
    }

    /// Shows the lines of a terminal.
    pub(super) fn show_screen(&mut self, title: &str, lines: &[String]) {
        let mut shown = String::new();
        section(&mut shown, title, &(lines.join("\n") + "\n"));
        self.text += &self.without_hidden(&shown);
        self.text += "\n";
    }

    /// The page has to be that of the snapshot.
    #[track_caller]
    pub(super) fn hold(self, name: &str) {
        assert!(!differs(name, &self.text), "if this is what kvadm is to say in {name}, run 'make bless'");
    }
}

fn run(kvadm: Kvadm, call: &Call) -> Run {
    let Some(columns) = call.terminal else { return kvadm.stdin(&call.stdin).run() };
    let mut running = kvadm.env("NO_COLOR", "1").pty_of(columns).spawn();
    if !call.stdin.is_empty() {
        // Typed before it asks, it would be shown before the question.
        running.wait_for_stdout("[y/N] ", Duration::from_secs(30));
        running.write(&call.stdin);
    }
    running.wait()
}

/// In a column of a table the rest of the line stays where it is.
fn replace(text: &str, hidden: &str, by: &str) -> String {
    let padded = format!("{by:<0$}  ", hidden.chars().count());
    text.replace(&format!("{hidden}  "), &padded).replace(hidden, by)
}

/// Every number that stands behind `behind` is hidden.
fn without_numbers(text: &str, behind: &str, by: &str) -> String {
    let mut parts = text.split(behind);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let by = if rest.len() < part.len() { by } else { "" };
        text + behind + by + rest
    })
}

/// A title and an indented text, where there is any.
fn section(into: &mut String, title: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    *into += title;
    *into += "\n";
    for line in text.split_terminator('\n') {
        *into += format!("    {line}").trim_end();
        *into += "\n";
    }
    if !text.ends_with('\n') {
        *into += "    (no end of line)\n";
    }
}

/// A folder whose name is hidden, for files that are named on command lines.
pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new(page: &mut Page) -> Self {
        let folder = tempfile::Builder::new().prefix("kvadm-words-").tempdir().unwrap();
        page.hide(folder.path().to_str().unwrap(), "[DIR]");
        Self(folder)
    }

    pub(super) fn name(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        fs::write(self.0.path().join(name), text).unwrap();
        self.name(name)
    }
}

/// Every verb's words behind `kvadm`, and those of a verb's verbs; none for kvadm itself.
fn verbs() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, path: &[String], all: &mut Vec<Vec<String>>) {
        all.push(path.to_vec());
        for verb in command.get_subcommands() {
            below(verb, &[path, &[verb.get_name().to_owned()]].concat(), all);
        }
    }
    let mut all = Vec::new();
    below(&kvadm::command(), &[], &mut all);
    // 'kvadm help' prints the pages of the others.
    all.retain(|verb| verb.first().is_none_or(|first| first != "help"));
    all
}

fn help_name(verb: &[String]) -> String {
    [&["help".to_owned(), "kvadm".to_owned()], verb].concat().join("-")
}

#[test]
fn help_pages() {
    let mut wrong = Vec::new();
    for verb in verbs() {
        let mut page = Page::new();
        for flag in ["-h", "--help"] {
            let run = Kvadm::new().env("COLUMNS", COLUMNS).args(&verb).arg(flag).run();
            run.ok().err_empty();
            page.heading(&[&["kvadm".to_owned()], &*verb, &[flag.to_owned()]].concat().join(" "));
            page.text += &run.stdout_text().lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
            page.text += "\n\n";
        }
        // All differences are shown, not the first alone.
        wrong.extend(Some(help_name(&verb)).filter(|name| differs(name, &page.text)));
    }
    assert!(wrong.is_empty(), "if this is what kvadm is to say, run 'make bless': {wrong:?}");
}

/// A page that is gone, or has another name, leaves no file behind.
#[test]
fn no_snapshot_is_left_over() {
    let names = verbs().into_iter().map(|verb| help_name(&verb));
    let areas = [
        screens_redrawn::NAMES,
        snapshots_errors::NAMES,
        snapshots_screens::NAMES,
        snapshots_tables::NAMES,
        snapshots_usage::NAMES,
    ];
    let areas = areas.into_iter().flatten().map(|name| (*name).to_owned());
    let used: BTreeSet<String> = names.chain(areas).map(|name| format!("{name}.snap")).collect();
    let bless = env::var_os("KVADM_BLESS").is_some_and(|value| !value.is_empty());
    let mut unused = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // Beside them is what insta is about to write, and what it leaves of a test that failed.
        if used.contains(&name) || Path::new(&name).extension().is_none_or(|extension| extension != "snap") {
            continue;
        }
        if bless {
            fs::remove_file(folder().join(&name)).unwrap();
        } else {
            unused.push(name);
        }
    }
    assert!(unused.is_empty(), "no test makes these of tests/snapshots any more; run 'make bless': {unused:?}");
}
