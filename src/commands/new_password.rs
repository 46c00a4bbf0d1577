//! The new password of a user: from a prompt, a file or stdin, never from the command line.

use std::io::{self, BufRead, IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::bounded_file;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::SecretAnswer;
use crate::transport::Secret;

/// Longest password: etcd hashes with bcrypt, which uses no more bytes. Newer versions refuse longer ones.
const MAX_BYTES: usize = 72;
/// Maximum size of a file with a password.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// How long a silent wait for stdin may take.
const ANNOUNCE_AFTER: Duration = Duration::from_secs(2);

/// Where the new password comes from.
#[derive(Args, Clone, Debug)]
pub struct NewPassword {
    /// Read the new password from FILE; - for one line of stdin [default: prompt]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    new_password_file: Option<PathBuf>,
}

impl NewPassword {
    /// Whether a source is named.
    pub fn is_given(&self) -> bool {
        self.new_password_file.is_some()
    }

    /// Fails if the password can be neither read nor asked for.
    ///
    /// # Errors
    /// [`Exit::Usage`].
    pub fn check_source(&self, ctx: &Context) -> Result<(), Failure> {
        match &self.new_password_file {
            Some(_) => Ok(()),
            None if ctx.out.can_ask() => Ok(()),
            None => Err(no_terminal()),
        }
    }

    /// Reads the password.
    ///
    /// # Errors
    /// [`Exit::Usage`] for an empty or unusable password, a file that cannot be read, or no terminal;
    /// [`Exit::Interrupted`] and [`Exit::Unreachable`] after a signal or the deadline.
    pub async fn read(&self, ctx: &Context, question: &str) -> Result<Secret, Failure> {
        match self.new_password_file.as_deref() {
            Some(path) if path == Path::new("-") && ctx.out.can_ask() => ask_twice(ctx, question),
            Some(path) if path == Path::new("-") => {
                let text = from_stdin(ctx).await?;
                checked_text(ctx, text.expose(), "the password on stdin")
            }
            Some(path) => from_file(ctx, path).await,
            None => ask_twice(ctx, question),
        }
    }
}

fn no_terminal() -> Failure {
    Failure::usage("cannot ask for the password without a terminal")
        .hint("add --new-password-file FILE, or --new-password-file - to read one line of stdin")
}

/// Asks for a new password on the terminal, twice.
///
/// # Errors
/// [`Exit::Usage`] for an empty or unusable password, two that differ, or no terminal.
pub fn ask_twice(ctx: &Context, question: &str) -> Result<Secret, Failure> {
    let first = check(ask(ctx, &format!("{question}: "))?, "the password")?;
    warn_of_blanks(ctx, &first, "the password");
    let second = ask(ctx, "The same password again: ")?;
    if first != second {
        return Err(Failure::usage("the two passwords differ; nothing was changed").hint("run the command again"));
    }
    Ok(first)
}

fn ask(ctx: &Context, prompt: &str) -> Result<Secret, Failure> {
    let late = || ctx.deadline().is_some_and(|deadline| deadline <= Instant::now());
    let cancelled = || ctx.signals.cancel().is_cancelled();
    match ctx.out.ask_secret(prompt, &|| cancelled() || late()) {
        SecretAnswer::Text(_) | SecretAnswer::Ended if cancelled() => {
            Err(Failure::new(Exit::Interrupted, "interrupted; nothing was changed"))
        }
        SecretAnswer::Text(password) => Ok(password),
        SecretAnswer::Ended if late() => {
            Err(Failure::new(Exit::Unreachable, "the deadline of the whole command passed; nothing was changed"))
        }
        SecretAnswer::Ended => Err(Failure::usage("no password was given; nothing was changed")),
        SecretAnswer::NoTerminal => Err(no_terminal()),
        SecretAnswer::Unreadable(error) => {
            Err(Failure::usage(format!("cannot read the password from the terminal: {error}")))
        }
    }
}

async fn from_stdin(ctx: &Context) -> Result<Secret, Failure> {
    let read = ctx.run_blocking(|| {
        let mut text = Zeroizing::new(String::new());
        let stdin = io::stdin();
        let is_terminal = stdin.is_terminal();
        let mut input = stdin.lock().take(MAX_FILE_BYTES);
        // More than one line is refused, as in a file, so that the end of the input is waited for.
        let read = if is_terminal { input.read_line(&mut text) } else { input.read_to_string(&mut text) };
        read.map(|_| Secret::new(text.as_str()))
    });
    let announce = async {
        tokio::time::sleep(ANNOUNCE_AFTER).await;
        ctx.out.note("waiting for the password on stdin");
        std::future::pending::<()>().await;
    };
    let read = tokio::select! {
        read = read => read?,
        () = announce => return Err(Failure::new(Exit::Bug, "the wait for stdin ended")),
    };
    read.map_err(|error| Failure::usage(format!("cannot read the password from stdin: {error}")))
}

async fn from_file(ctx: &Context, path: &Path) -> Result<Secret, Failure> {
    let file = path.to_owned();
    let found = ctx.run_blocking(move || bounded_file::read(&file, MAX_FILE_BYTES)).await?;
    let found = found.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    let bytes = Zeroizing::new(found.bytes);
    let what = format!("the password in {}", path.display());
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::usage(format!("{what} is not UTF-8")))?;
    let mode = found.metadata.permissions().mode() & 0o777;
    if found.metadata.is_file() && mode & 0o077 != 0 {
        let path = path.display();
        ctx.out.warn(&format!(
            "{path} contains a password and is readable by others (mode {mode:03o}): run 'chmod 600 {path}'"
        ));
    }
    checked_text(ctx, text, &what)
}

/// The password in the text of a file or of stdin.
fn checked_text(ctx: &Context, text: &str, what: &str) -> Result<Secret, Failure> {
    let line = without_line_end(text);
    let plain = line.strip_prefix('\u{feff}').unwrap_or(line);
    if plain.len() != line.len() {
        ctx.out.note(&format!("{what} begins with a byte order mark, which is left out"));
    }
    let password = check(Secret::new(plain), what)?;
    warn_of_blanks(ctx, &password, what);
    Ok(password)
}

/// A blank at either end is easily typed or copied by mistake.
fn warn_of_blanks(ctx: &Context, password: &Secret, what: &str) {
    let text = password.expose();
    if text.trim().len() != text.len() {
        ctx.out.warn(&format!("{what} begins or ends with a blank, which is part of the password"));
    }
}

fn without_line_end(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text))
}

/// Checks what etcd would store as another password, or not at all.
///
/// # Errors
/// [`Exit::Usage`], without the password.
pub fn check(password: Secret, what: &str) -> Result<Secret, Failure> {
    let text = password.expose();
    let wrong = |why: &str, hint: &str| Err(Failure::usage(format!("{what} {why}; nothing was changed")).hint(hint));
    if text.is_empty() {
        return wrong("is empty", "choose a password of 1 to 72 bytes, or add --no-password for a certificate's user");
    }
    if text.len() > MAX_BYTES {
        return wrong("is longer than 72 bytes", "etcd hashes passwords with bcrypt, which uses 72 bytes at most");
    }
    if text.contains('\0') {
        return wrong("has a NUL character", "etcd's hash, bcrypt, may end there: choose a password without it");
    }
    if text.contains(['\n', '\r']) {
        return wrong("has more than one line", "write the password alone on the first line");
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_passwords_are_refused_without_being_shown() {
        for bad in ["", "two\nlines", "nul\0", &"x".repeat(73), &"é".repeat(37)] {
            let refused = check(Secret::new(bad), "the password");
            let message = refused.map_or_else(|failure| failure.one_line(), |_| String::new());
            assert!(message.contains("nothing was changed"), "{bad:?}");
            assert!(bad.is_empty() || !message.contains(bad), "{message}");
        }
        for good in ["x", " spaced ", "é", &"x".repeat(72), "tab\t"] {
            assert!(check(Secret::new(good), "the password").is_ok(), "{good:?}");
        }
        assert_eq!(without_line_end("a\r\n"), "a");
        assert_eq!(without_line_end("a\n\n"), "a\n");
    }
}
