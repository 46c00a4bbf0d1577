//! The controlling terminal, which one process group owns at a time.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, stdin};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

use super::process::ProcessGroup;

/// The controlling terminal.
pub(super) struct Terminal {
    file: File,
    /// The mode before the command got the terminal.
    mode: Option<Termios>,
}

/// The owner of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TerminalOwner {
    /// kvadm's group.
    Us,
    /// The command's group.
    Command,
    /// Another group, or the terminal is gone.
    Other,
}

impl Terminal {
    /// The controlling terminal, if there is one.
    pub(super) fn open() -> Option<Self> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        let mode = tcgetattr(&file).ok();
        Some(Self { file, mode })
    }

    /// Whether to give the command the terminal at its start. In a pipe into a pager the pager would lose it; there the
    /// command gets the terminal when it needs it.
    pub(super) fn give_at_start(&self, stdout_is_terminal: bool) -> bool {
        stdin().is_terminal() && stdout_is_terminal
    }

    pub(super) fn owner(&self, command: ProcessGroup) -> TerminalOwner {
        match tcgetpgrp(&self.file) {
            Ok(group) if group == getpgrp() => TerminalOwner::Us,
            Ok(group) if group == command.0 => TerminalOwner::Command,
            _ => TerminalOwner::Other,
        }
    }

    /// Gives the terminal to the command, if kvadm owns it.
    pub(super) fn give(&self, command: ProcessGroup) {
        if self.owner(command) == TerminalOwner::Us {
            self.set(command.0);
        }
    }

    /// Takes the terminal back from the command.
    pub(super) fn take(&self, command: ProcessGroup) {
        if self.owner(command) == TerminalOwner::Command {
            self.set(getpgrp());
        }
    }

    /// Restores the terminal mode, which a killed command could not do.
    pub(super) fn restore(&self) {
        if let Some(mode) = self.mode.as_ref().filter(|_| tcgetpgrp(&self.file) == Ok(getpgrp())) {
            let _ = tcsetattr(&self.file, SetArg::TCSADRAIN, mode);
        }
    }

    fn set(&self, group: Pid) {
        // The kernel stops a background process for this call, unless SIGTTOU is blocked.
        let quiet = SigSet::from(Signal::SIGTTOU);
        let before = quiet.thread_swap_mask(SigmaskHow::SIG_BLOCK);
        let _ = tcsetpgrp(&self.file, group);
        if let Ok(before) = before {
            let _ = before.thread_set_mask();
        }
    }
}
