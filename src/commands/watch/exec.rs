//! Runs one command per change.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::KeyValue;
use crate::output::{ChangeKind, bytes};

/// The command of `watch --exec`, and the reaction to its failure.
pub struct EventCommand {
    /// The program and its arguments; not empty.
    pub command: Vec<OsString>,
    pub on_error: OnError,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnError {
    /// Exit 6
    Stop,
    /// Print a warning and continue
    Continue,
}

impl EventCommand {
    /// Runs the command and waits for its end, even after a signal: an event is never half handled.
    ///
    /// # Errors
    /// The command cannot be started, or it failed with [`OnError::Stop`].
    pub async fn run(&self, ctx: &Context, kind: ChangeKind, kv: &KeyValue) -> Result<(), Failure> {
        let program = self.command.first().map(OsString::as_os_str).unwrap_or_default();
        let name = program.to_string_lossy();
        let mut child = self.start(program, kind, kv).map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::NotFound => "command not found".to_owned(),
                io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                _ => error.to_string(),
            };
            Failure::usage(format!("cannot run {name}: {why}"))
        })?;
        let status = wait_while_feeding(&mut child, &kv.value)
            .await
            .map_err(|error| Failure::new(Exit::Bug, format!("cannot wait for {name}: {error}")))?;
        if status.success() {
            return Ok(());
        }
        if ctx.signals.cancel().is_cancelled() {
            // The terminal sent the signal to the command as well.
            return Err(Failure::new(Exit::Interrupted, "interrupted"));
        }
        let message = format!("{name} {} on '{} {}'", format_exit(status), kind.word(), bytes::escape(&kv.key));
        match self.on_error {
            OnError::Stop => Err(Failure::new(Exit::Partial, message)
                .hint("with --resume the next run retries this event; --on-error continue skips failures")),
            OnError::Continue => {
                ctx.out.warn(&message);
                Ok(())
            }
        }
    }

    fn start(&self, program: &OsStr, kind: ChangeKind, kv: &KeyValue) -> io::Result<Child> {
        let mut command = Command::new(program);
        command.args(self.command.iter().skip(1));
        command.env("KVADM_EVENT", kind.word()).env("KVADM_EVENT_KEY", bytes::escape(&kv.key));
        // Variables of an outer watch must not be inherited.
        let positive = |number: i64| (number > 0).then(|| number.to_string().into());
        let raw = (!kv.key.contains(&0)).then(|| OsStr::from_bytes(&kv.key).to_owned());
        for (name, value) in [
            ("KVADM_EVENT_KEY_RAW", raw),
            ("KVADM_EVENT_REV", positive(kv.mod_revision)),
            ("KVADM_EVENT_CREATE_REV", positive(kv.create_revision)),
            ("KVADM_EVENT_VERSION", positive(kv.version)),
            ("KVADM_EVENT_LEASE", kv.lease.map(|lease| lease.to_string().into())),
        ] {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::piped()).spawn()
    }
}

/// Writes the value to the command's stdin while waiting for its end; the command need not read it.
async fn wait_while_feeding(child: &mut Child, value: &[u8]) -> io::Result<ExitStatus> {
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // The command may close its stdin early.
            let _ = stdin.write_all(value).await;
            drop(stdin);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        status = child.wait() => status,
        () = write => Err(io::Error::other("unreachable: the writer never ends")),
    }
}

/// How a process ended, after its name: "exited with status 1".
pub fn format_exit(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}
