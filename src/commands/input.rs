//! Reads files and stdin; a signal interrupts the read.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::sync::SyncError;

/// Far above etcd's request limit (1.5 MiB by default): a larger file is a mistaken file name.
const MAX_INPUT_BYTES: u64 = 128 << 20;

#[derive(Clone, Copy, Debug)]
pub enum InputSource<'a> {
    Stdin,
    File(&'a Path),
}

impl InputSource<'_> {
    pub fn name(self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The source that an argument names; `-` is stdin.
    pub fn of(path: &Path) -> InputSource<'_> {
        if path.as_os_str() == "-" { InputSource::Stdin } else { InputSource::File(path) }
    }

    /// Opens the source.
    ///
    /// # Errors
    /// A usage error that names the file.
    pub fn open(self) -> Result<Box<dyn Read + Send>, Failure> {
        match self {
            Self::Stdin if stdin_was_closed() => Err(cannot_read(&self.name(), &io::Error::other("it is closed"))
                .hint("name a file, or redirect stdin; < /dev/null stands for no input")),
            Self::Stdin => Ok(Box::new(io::stdin())),
            Self::File(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(file)),
                Err(error) => Err(cannot_read(&self.name(), &error)),
            },
        }
    }
}

/// Reads the whole source. A signal interrupts the read.
///
/// # Errors
/// A usage error that names the file, or the interruption.
pub async fn read_all(ctx: &Context, source: InputSource<'_>) -> Result<Vec<u8>, Failure> {
    let name = source.name();
    let reader = source.open()?;
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        reader.take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    let read = tokio::select! {
        biased;
        () = ctx.signals.cancel().cancelled() => return Err(Failure::new(Exit::Interrupted, "interrupted")),
        read = reading => read.unwrap_or_else(|error| Err(io::Error::other(error))),
    };
    match read {
        Ok(bytes) if bytes.len() as u64 > MAX_INPUT_BYTES => Err(Failure::usage(format!(
            "{name} is larger than {} MiB, kvadm's limit for such input",
            MAX_INPUT_BYTES >> 20
        ))),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(cannot_read(&name, &error)),
    }
}

/// Reads a document of at most `limit` bytes, with the name that messages call it. `what` is the kind of document, and `hint` is
/// about a larger one.
///
/// # Errors
/// A usage error that names the file, or the interruption.
pub async fn read_document_file(
    ctx: &Context,
    path: &Path,
    limit: u64,
    what: &str,
    hint: &str,
) -> Result<(Vec<u8>, String), Failure> {
    let source = InputSource::of(path);
    let (reader, name) = (source.open()?, source.name());
    let read = ctx.run_blocking(move || {
        let mut bytes = Vec::new();
        reader.take(limit + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    let bytes = read.await?.map_err(|error| cannot_read(&name, &error))?;
    if bytes.len() as u64 > limit {
        let most = limit >> 10;
        let message = format!("{name} is larger than {most} KiB, kvadm's limit for {what}");
        return Err(Failure::usage(message).hint(hint));
    }
    Ok((bytes, name))
}

/// Whether the process was started with a closed stdin (`<&-`).
fn stdin_was_closed() -> bool {
    io::stdin().as_fd().try_clone_to_owned().map_or(true, |file| was_closed(&File::from(file)))
}

/// Whether this standard stream was closed when the process was started. Rust's runtime then opens /dev/null in its place, for
/// reading and writing; a shell's `< /dev/null` opens it for reading only, and `> /dev/null` for writing only.
pub fn was_closed(file: &File) -> bool {
    /// Device number of /dev/null on Linux: major 1, minor 3.
    const NULL_DEVICE: u64 = 1 << 8 | 3;
    let is_null = file.metadata().is_ok_and(|file| file.rdev() == NULL_DEVICE);
    let access = fcntl(file, FcntlArg::F_GETFL).map(|flags| flags & OFlag::O_ACCMODE.bits());
    is_null && access == Ok(OFlag::O_RDWR.bits())
}

/// The failure for a file of records that cannot be used.
pub fn bad_records(error: SyncError) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        SyncError::Line { .. } => failure.hint("each line must be a JSON object, as 'kvadm list -o json' prints them"),
        SyncError::Incomplete { .. } => failure.hint(
            "write the file again with 'kvadm list PREFIX -o json --trailer', or remove the trailer to load what the \
             file has",
        ),
        SyncError::Unreadable { .. } => failure,
        SyncError::Temporary(error) => Failure::new(Exit::Bug, format!("cannot use a temporary file: {error}"))
            .hint("records are sorted in a temporary file; TMPDIR names its folder"),
        SyncError::Source(error) | SyncError::Store(error) => error.into(),
    }
}

pub fn cannot_read(name: &str, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot read {name}: {error}"))
}
