//! Reads a password from the terminal without showing it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::out::Out;
use super::question::wait_for_line;
use super::sanitize::sanitize;
use crate::transport::Secret;

/// The longest line that a terminal gives in one read (`N_TTY_BUF_SIZE` of Linux).
const LINE_BYTES: usize = 4096;

/// The answer to a prompt for a password.
#[derive(Debug)]
pub enum SecretAnswer {
    /// The line, without its end; it may be empty.
    Text(Secret),
    /// The command is to end, or the terminal was closed.
    Ended,
    /// No terminal to ask on.
    NoTerminal,
    /// The line is not UTF-8 or too long, or the terminal cannot be read.
    Unreadable(io::Error),
}

/// A terminal that does not show what is typed. Dropping it restores the terminal.
struct HiddenInput {
    stdin: io::Stdin,
    before: Termios,
}

impl HiddenInput {
    fn start() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        // A process that these keys end or stop could not restore the terminal. Ctrl-C goes on to work.
        for key in [SpecialCharacterIndices::VQUIT, SpecialCharacterIndices::VSUSP] {
            if let Some(character) = hidden.control_chars.get_mut(key as usize) {
                *character = 0;
            }
        }
        // What was typed before the prompt is no answer to it.
        tcsetattr(&stdin, SetArg::TCSAFLUSH, &hidden)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.stdin, SetArg::TCSANOW, &self.before);
    }
}

impl Out {
    /// Asks for a password. What is typed is not shown, and not kept in the buffer of stdin.
    pub fn ask_secret(&self, prompt: &str, ended: &dyn Fn() -> bool) -> SecretAnswer {
        if !self.can_ask() {
            return SecretAnswer::NoTerminal;
        }
        let hidden = match HiddenInput::start() {
            Ok(hidden) => hidden,
            Err(error) => return SecretAnswer::Unreadable(error),
        };
        self.stderr(sanitize(prompt.as_bytes(), false).as_bytes());
        let answer = if wait_for_line(ended) { read_secret_line() } else { SecretAnswer::Ended };
        drop(hidden);
        // The end of the line was not shown either.
        self.stderr(b"\n");
        answer
    }
}

fn read_secret_line() -> SecretAnswer {
    let mut line = Zeroizing::new([0; LINE_BYTES]);
    let read = io::stdin().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).read(&mut line[..]));
    let text = match read {
        Ok(0) => return SecretAnswer::Ended,
        Ok(length) => &line[..length],
        Err(error) => return SecretAnswer::Unreadable(error),
    };
    let invalid = |what| SecretAnswer::Unreadable(io::Error::new(io::ErrorKind::InvalidData, what));
    let Some(text) = text.strip_suffix(b"\n") else { return invalid("the line is too long") };
    match std::str::from_utf8(text) {
        Ok(text) => SecretAnswer::Text(Secret::new(text)),
        Err(_) => invalid("the password is not UTF-8"),
    }
}
