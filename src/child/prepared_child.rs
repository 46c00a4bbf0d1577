//! What has to be there before a command can begin: started ahead, so that nobody waits for it once a lock is held.

use std::ffi::OsString;
use std::io;

use tokio::task::{JoinHandle, spawn_blocking};

use super::guardian::Guardian;
use super::process::{ChildProcess, ProcessEvent};

/// A guardian, and a process that will become the command once it is told so. Neither does anything by itself, and
/// both go with kvadm.
pub struct PreparedChild {
    command: Vec<OsString>,
    json: bool,
    started: JoinHandle<io::Result<Helpers>>,
}

/// The two, started.
pub(super) struct Helpers {
    pub(super) guardian: Guardian,
    pub(super) process: ChildProcess,
}

impl PreparedChild {
    /// Begins to start both, on a thread of its own. `json`: how what keeps the command from starting is written.
    pub fn open(command: &[OsString], json: bool) -> Self {
        let command = command.to_vec();
        let theirs = command.clone();
        Self { command, json, started: spawn_blocking(move || Helpers::start(&theirs, json)) }
    }

    /// Ends both; the command never begins.
    pub async fn close(self) {
        // Dropped while it starts, what is started last might be left behind.
        drop(self.started.await);
    }

    /// Waits until both are there. Who has waited for long may find that somebody ended one of them: there are others.
    pub(super) async fn ready(self) -> io::Result<Helpers> {
        let mut crew = self.started.await.map_err(io::Error::other)??;
        if crew.guardian.is_gone() || crew.process.look() == ProcessEvent::Ended {
            let Self { command, json, .. } = self;
            crew = spawn_blocking(move || Helpers::start(&command, json)).await.map_err(io::Error::other)??;
        }
        Ok(crew)
    }
}

impl Helpers {
    fn start(command: &[OsString], json: bool) -> io::Result<Self> {
        let guardian = Guardian::start(None)?;
        let process = ChildProcess::start(command, json)?;
        Ok(Self { guardian: guardian.ready()?, process })
    }
}
