//! Processes that are started before the lock is held, so that the command starts without delay.

use std::ffi::OsString;
use std::io;

use tokio::task::{JoinHandle, spawn_blocking};

use super::guardian_link::GuardianProcess;
use super::process::{ChildProcess, ProcessEvent};

/// A guardian, and a process that becomes the command on request. Neither acts by itself, and both exit with kvadm.
pub struct PreparedChild {
    command: Vec<OsString>,
    json: bool,
    started: JoinHandle<io::Result<Helpers>>,
}

/// Both processes, started.
pub(super) struct Helpers {
    pub(super) guardian: GuardianProcess,
    pub(super) process: ChildProcess,
}

impl PreparedChild {
    /// Starts both in the background. `json` is the format of the error if the command cannot be executed.
    pub fn open(command: &[OsString], json: bool) -> Self {
        let command = command.to_vec();
        Self { started: tokio::spawn(Helpers::start(command.clone(), json)), command, json }
    }

    /// Ends both processes; the command never begins.
    pub async fn close(self) {
        // Dropping the task during the start could leave a process behind.
        drop(self.started.await);
    }

    /// Waits until both are ready. If one was killed, at its start or during a long wait for the lock, both are started again.
    pub(super) async fn ready(self) -> io::Result<Helpers> {
        let Ok(mut helpers) = self.started.await.map_err(io::Error::other)? else {
            return Helpers::start(self.command, self.json).await;
        };
        if helpers.guardian.has_exited() || helpers.process.poll() == ProcessEvent::Ended {
            helpers = Helpers::start(self.command, self.json).await?;
        }
        Ok(helpers)
    }
}

impl Helpers {
    async fn start(command: Vec<OsString>, json: bool) -> io::Result<Self> {
        let start = move || io::Result::Ok((GuardianProcess::start(None)?, ChildProcess::start(&command, json)?));
        let (mut guardian, process) = spawn_blocking(start).await.map_err(io::Error::other)??;
        guardian.ready().await?;
        Ok(Self { guardian, process })
    }
}
