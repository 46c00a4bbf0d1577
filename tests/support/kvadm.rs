//! Runs the built binary in an environment that holds nothing of the user's, and checks what came out.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::binary::defrag_needs_force;
use super::cluster::Cluster;
use super::contract::JsonRun;
use super::etcd::Etcd;
use super::running::Running;
use super::time_limit;

/// Whatever has endpoints for `--endpoints`.
pub trait Endpoints {
    /// One or more endpoints, joined by commas.
    fn list(&self) -> String;
}

impl Endpoints for Etcd {
    fn list(&self) -> String {
        self.endpoint()
    }
}

impl Endpoints for Cluster {
    fn list(&self) -> String {
        self.endpoints()
    }
}

impl Endpoints for str {
    fn list(&self) -> String {
        self.to_owned()
    }
}

impl Endpoints for String {
    fn list(&self) -> String {
        self.clone()
    }
}

/// A kvadm to be run. Its home and configuration folder are fresh and empty.
pub struct Kvadm {
    program: OsString,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    stdin: Vec<u8>,
    timeout: Duration,
    /// The columns of the terminal, if there is one.
    terminal: Option<u16>,
    /// Whether --force is left to the test.
    unforced: bool,
    /// Options of `ulimit`.
    limit: Option<String>,
    home: TempDir,
}

impl Kvadm {
    /// The built binary, without arguments.
    pub fn new() -> Self {
        Self::program(env!("CARGO_BIN_EXE_kvadm"))
    }

    /// Another program in the same surroundings: for the tests of this module itself.
    pub fn program(program: impl Into<OsString>) -> Self {
        time_limit::start();
        Self {
            program: program.into(),
            args: Vec::new(),
            envs: Vec::new(),
            folder: None,
            stdin: Vec::new(),
            timeout: Duration::from_secs(30),
            terminal: None,
            unforced: false,
            limit: None,
            home: tempfile::Builder::new().prefix("kvadm-home-").tempdir().expect("create a temporary folder"),
        }
    }

    /// Adds `--endpoints` for a server, a cluster or a text.
    pub fn endpoint(self, of: &(impl Endpoints + ?Sized)) -> Self {
        let list = of.list();
        self.arg("--endpoints").arg(list)
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((name.into(), value.into()));
        self
    }

    /// The working directory.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// What standard input gives; without it, nothing.
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = bytes.as_ref().to_vec();
        self
    }

    /// How long [`Kvadm::run`] and [`Running::wait`] wait; 30 s unless said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs on a terminal of 24 lines and 80 columns. Standard output and error come together, as shown, with `\r\n`
    /// as the end of a line and with what is typed.
    pub fn pty(self) -> Self {
        self.pty_of(80)
    }

    /// As [`Kvadm::pty`], with this many columns.
    pub fn pty_of(mut self, columns: u16) -> Self {
        self.terminal = Some(columns);
        self
    }

    /// Leaves a defragmentation without --force. Otherwise it is added where the version of the server needs it, because the
    /// tests defragment all versions.
    pub fn unforced(mut self) -> Self {
        self.unforced = true;
        self
    }

    fn lacks_force(&self) -> bool {
        let has = |names: &[&str]| self.args.iter().any(|arg| names.iter().any(|name| arg == name));
        let defragments = has(&["compact"]) && has(&["--defrag", "--reclaim"]);
        defragments
            && !self.unforced
            && !has(&["--force", "--dry-run", "--every", "--help", "-h"])
            && defrag_needs_force()
    }

    /// Ends the program when it wants more than this many bytes of memory.
    pub fn memory(self, bytes: u64) -> Self {
        self.ulimit(format!("-d {}", bytes >> 10))
    }

    /// Runs under this limit of the shell, such as `-n 20` for 20 file descriptors.
    pub fn ulimit(mut self, limit: impl Into<String>) -> Self {
        self.limit = Some(limit.into());
        self
    }

    /// `$HOME` of the run.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes `$XDG_CONFIG_HOME/kvadm/NAME`, readable by the owner only.
    pub fn config_file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = self.home().join(".config/kvadm");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    /// Runs to the end.
    ///
    /// # Panics
    /// When it takes longer than the timeout.
    #[track_caller]
    pub fn run(mut self) -> Run {
        let stdin = std::mem::take(&mut self.stdin);
        let terminal = self.terminal;
        let mut running = self.spawn();
        if terminal.is_some() {
            // A terminal has no end that could be closed; what was given is typed.
            running.write(stdin);
        } else {
            running.feed(stdin);
        }
        running.wait()
    }

    /// Starts and gives the process in hand; standard input is open and what [`Kvadm::stdin`] was given is written.
    #[track_caller]
    pub fn spawn(mut self) -> Running {
        if self.lacks_force() {
            self.args.push("--force".into());
        }
        let shown = self.shown();
        let mut command = if self.terminal.is_some() {
            // `setsid` makes the pseudo-terminal the controlling one and becomes the program.
            let mut command = Command::new("setsid");
            command.arg("--ctty").arg(&self.program);
            command
        } else if let Some(limit) = &self.limit {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("ulimit {limit}; exec \"$@\"")).arg("sh").arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        let is_kvadm = self.program == env!("CARGO_BIN_EXE_kvadm");
        let output = self.envs.iter().rev().find(|(name, _)| name == "KVADM_OUTPUT");
        let output = output.map(|(_, value)| value.to_string_lossy().into_owned());
        command.args(&self.args).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home()).env("XDG_CONFIG_HOME", self.home().join(".config")).env("TZ", "UTC");
        if self.terminal.is_some() {
            command.env("TERM", "xterm-256color");
        }
        command.envs(self.envs);
        if let Some(folder) = self.folder {
            command.current_dir(folder);
        }
        let has_contract = is_kvadm && self.terminal.is_none();
        let contract = if has_contract { JsonRun::of(&self.args, output.as_deref()) } else { None };
        let (timeout, home) = (self.timeout, Some(self.home));
        let mut running = match self.terminal {
            Some(columns) => Running::terminal(columns, command, shown, timeout, home),
            None => Running::pipes(command, shown, timeout, home),
        };
        running.contract = contract;
        if !self.stdin.is_empty() {
            running.write(&self.stdin);
        }
        running
    }

    fn shown(&self) -> String {
        let name = Path::new(&self.program).file_name().unwrap_or_default();
        let words = std::iter::once(name).chain(self.args.iter().map(OsString::as_os_str));
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}

/// What a run gave. The checks can be chained; a failed one shows the command and everything that came out.
#[must_use]
#[derive(Debug)]
pub struct Run {
    /// The command line.
    pub shown: String,
    /// Standard output; on a terminal standard error too.
    pub stdout: Vec<u8>,
    /// Standard error; empty on a terminal.
    pub stderr: Vec<u8>,
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// From start to end.
    pub took: Duration,
}

impl Run {
    /// Exit code 0.
    #[track_caller]
    pub fn ok(&self) -> &Self {
        self.code(0)
    }

    /// This exit code.
    #[track_caller]
    pub fn code(&self, code: i32) -> &Self {
        self.check(self.code == Some(code), &format!("should end with {code}"))
    }

    /// Ended by this signal.
    #[track_caller]
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> &Self {
        self.check(self.signal == Some(signal as i32), &format!("should end by {signal}"))
    }

    /// Standard output is exactly this text.
    #[track_caller]
    pub fn out(&self, text: &str) -> &Self {
        self.out_bytes(text.as_bytes())
    }

    /// Standard output is exactly these bytes.
    #[track_caller]
    pub fn out_bytes(&self, bytes: &[u8]) -> &Self {
        let wanted = String::from_utf8_lossy(bytes);
        self.check(self.stdout == bytes, &format!("should print exactly {wanted:?} on stdout"))
    }

    /// Standard output holds this text.
    #[track_caller]
    pub fn out_has(&self, text: &str) -> &Self {
        self.check(self.stdout_text().contains(text), &format!("should print {text:?} on stdout"))
    }

    /// Standard output does not hold this text.
    #[track_caller]
    pub fn out_lacks(&self, text: &str) -> &Self {
        self.check(!self.stdout_text().contains(text), &format!("should not print {text:?} on stdout"))
    }

    /// Nothing on standard output.
    #[track_caller]
    pub fn out_empty(&self) -> &Self {
        self.check(self.stdout.is_empty(), "should print nothing on stdout")
    }

    /// Standard error holds this text.
    #[track_caller]
    pub fn err_has(&self, text: &str) -> &Self {
        self.check(self.stderr_text().contains(text), &format!("should print {text:?} on stderr"))
    }

    /// Standard error does not hold this text.
    #[track_caller]
    pub fn err_lacks(&self, text: &str) -> &Self {
        self.check(!self.stderr_text().contains(text), &format!("should not print {text:?} on stderr"))
    }

    /// Nothing on standard error.
    #[track_caller]
    pub fn err_empty(&self) -> &Self {
        self.check(self.stderr.is_empty(), "should print nothing on stderr")
    }

    /// Ended within this time of its start.
    #[track_caller]
    pub fn within(&self, time: Duration) -> &Self {
        self.check(self.took <= time, &format!("should take at most {time:?}"))
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|why| self.fail(&format!("should print JSON: {why}")))
    }

    /// Standard output as one JSON value a line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |line: &[u8]| {
            serde_json::from_slice(line).unwrap_or_else(|why| self.fail(&format!("should print lines of JSON: {why}")))
        };
        self.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(parse).collect()
    }

    /// Standard error as one JSON value.
    #[track_caller]
    pub fn err_json(&self) -> Value {
        let parsed = serde_json::from_slice(&self.stderr);
        parsed.unwrap_or_else(|why| self.fail(&format!("should print JSON on stderr: {why}")))
    }

    /// Standard output as text; what is not UTF-8 is replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text; what is not UTF-8 is replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// What is in JSON follows the contract.
    #[track_caller]
    pub(super) fn follows(&self, contract: Option<JsonRun>) {
        if let Some(why) = contract.and_then(|contract| contract.violation(&self.stdout, &self.stderr)) {
            self.fail(&format!("breaks the contract of JSON (src/output/contract/): {why}"));
        }
    }

    #[track_caller]
    fn check(&self, holds: bool, what: &str) -> &Self {
        if holds { self } else { self.fail(what) }
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        panic!(
            "`{}` {what}\n--- code {:?}, signal {:?}, after {:?}\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.shown,
            self.code,
            self.signal,
            self.took,
            self.stdout_text(),
            self.stderr_text()
        )
    }
}
