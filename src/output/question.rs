//! Questions to the user before steps that cannot be undone.

use std::io::{self, BufRead, IsTerminal};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{FlushArg, tcflush};

use super::out::Out;
use super::sanitize::sanitize;
use crate::plural::grouped;

/// Candidates that are shown before the question.
const SHOWN_CANDIDATES: usize = 20;

/// How often a question looks, in milliseconds, whether the command is to end.
const LOOK_EVERY: u8 = 50;

/// The answer to a confirmation prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// The user agreed.
    Yes,
    /// The user did not agree.
    No,
    /// No terminal to ask on.
    NoTerminal,
}

impl Out {
    /// Whether there is a terminal to ask on.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Shows the first candidates of `total`, a line each, and how many more there are. They belong to a question, so
    /// `--quiet` does not suppress them.
    pub fn candidates(&self, candidates: impl IntoIterator<Item = String>, total: u64) {
        let mut text = String::new();
        let mut shown = 0;
        for candidate in candidates.into_iter().take(SHOWN_CANDIDATES) {
            text += &format!("  {}\n", sanitize(candidate.as_bytes(), false));
            shown += 1;
        }
        if let Some(more) = total.checked_sub(shown).filter(|more| *more > 0) {
            text += &format!("  … and {} more\n", grouped(more));
        }
        self.stderr(text.as_bytes());
    }

    /// Asks for confirmation. If the command is to end meanwhile, the answer is no.
    pub fn confirm(&self, question: &str, ended: &dyn Fn() -> bool) -> Confirm {
        let question = sanitize(question.as_bytes(), false);
        let is_yes = |answer: &str| matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes");
        self.ask(&format!("{question}? [y/N] "), is_yes, ended)
    }

    /// Asks for a number instead of `y`, so that nobody agrees by habit: `Type 300000 to delete 300,000 keys: `.
    pub fn confirm_number(&self, number: u64, question: &str, ended: &dyn Fn() -> bool) -> Confirm {
        let mut question = sanitize(question.as_bytes(), false).into_owned();
        if let Some(first) = question.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        let is_yes = |answer: &str| answer == number.to_string() || answer == grouped(number);
        self.ask(&format!("Type {number} to {question}: "), is_yes, ended)
    }

    fn ask(&self, prompt: &str, is_yes: impl Fn(&str) -> bool, ended: &dyn Fn() -> bool) -> Confirm {
        match self.ask_line(prompt, ended) {
            None if !self.can_ask() => Confirm::NoTerminal,
            Some(answer) if is_yes(&answer) => Confirm::Yes,
            _ => Confirm::No,
        }
    }

    /// Asks for a line of text, which is returned without blanks around it; `None` without a terminal, and if the input or
    /// the command ends.
    pub fn ask_line(&self, prompt: &str, ended: &dyn Fn() -> bool) -> Option<String> {
        if !self.can_ask() {
            return None;
        }
        // What was typed before the question is no answer to it.
        let _ = tcflush(io::stdin(), FlushArg::TCIFLUSH);
        self.stderr(prompt.as_bytes());
        let mut answer = String::new();
        let read = wait_for_line(ended) && io::stdin().lock().read_line(&mut answer).is_ok();
        // After Ctrl-D and Ctrl-C, what follows must not stand behind the question.
        if !answer.ends_with('\n') {
            self.stderr(b"\n");
        }
        (read && !answer.is_empty()).then(|| answer.trim().to_owned())
    }
}

/// Waits until stdin, a terminal, has a line or its end; `false` if the command is to end first.
pub(super) fn wait_for_line(ended: &dyn Fn() -> bool) -> bool {
    let stdin = io::stdin();
    while !ended() {
        let mut waiting = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::from(LOOK_EVERY)) {
            Ok(0) | Err(Errno::EINTR) => {}
            // The read has the line, or says what is wrong.
            _ => return true,
        }
    }
    false
}
