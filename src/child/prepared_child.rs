//! Processes that are started before the lock is held, so that the command starts without delay.

use std::ffi::OsString;
use std::io;

use tokio::task::{JoinHandle, spawn_blocking};

use super::guardian::Guardian;
use super::process::{ChildProcess, ProcessEvent};

/// A guardian, and a process that becomes the command on request. Neither acts by itself, and both exit with kvadm.
pub struct PreparedChild {
    command: Vec<OsString>,
    json: bool,
    started: JoinHandle<io::Result<Helpers>>,
}

/// Both processes, started.
pub(super) struct Helpers {
    pub(super) guardian: Guardian,
    pub(super) process: ChildProcess,
}

impl PreparedChild {
    /// Starts both on a blocking thread. `json` is the format of the error if the command cannot be executed.
    pub fn open(command: &[OsString], json: bool) -> Self {
        let command = command.to_vec();
        let theirs = command.clone();
        Self { command, json, started: spawn_blocking(move || Helpers::start(&theirs, json)) }
    }

    /// Ends both processes; the command never begins.
    pub async fn close(self) {
        // Dropping the task during the start could leave a process behind.
        drop(self.started.await);
    }

    /// Waits until both are ready. If one was killed during a long wait for the lock, both are started again.
    pub(super) async fn ready(self) -> io::Result<Helpers> {
        let mut helpers = self.started.await.map_err(io::Error::other)??;
        if helpers.guardian.has_exited() || helpers.process.poll() == ProcessEvent::Ended {
            let Self { command, json, .. } = self;
            helpers = spawn_blocking(move || Helpers::start(&command, json)).await.map_err(io::Error::other)??;
        }
        Ok(helpers)
    }
}

impl Helpers {
    fn start(command: &[OsString], json: bool) -> io::Result<Self> {
        let guardian = Guardian::start(None)?;
        let process = ChildProcess::start(command, json)?;
        Ok(Self { guardian: guardian.ready()?, process })
    }
}
