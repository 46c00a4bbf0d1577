//! The new password of a user: from a prompt, a file or stdin, never from the command line.

use std::io::{self, BufRead, Read};
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
            Some(path) if path == Path::new("-") => check(from_stdin(ctx).await?, "the password on stdin"),
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
        let mut line = Zeroizing::new(String::new());
        io::stdin().lock().take(MAX_FILE_BYTES).read_line(&mut line).map(|_| Secret::new(without_line_end(&line)))
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
    check(Secret::new(without_line_end(text)), &what)
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
    if text.chars().any(|c| matches!(c, '\n' | '\r' | '\0')) {
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
