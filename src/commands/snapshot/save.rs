//! `kvadm snapshot save`: a backup of the whole store from one member.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;

use super::receive::{Received, SaveError, SnapshotContents, receive};
use crate::args::safety_options;
use crate::atomic_file::{NewFile, folder_of};
use crate::backup::BackupError;
use crate::commands::input::was_closed;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, MemberLag, MemberStatus, OneMember, Refusal, Store};
use crate::output::SavedSnapshot;
use crate::plural::counted;

const OP: &str = "snapshot";

/// Save the whole store of one member to a file
///
/// The snapshot is the database of the first endpoint that answers and has a leader,
/// or of the first one that answers: no quorum is needed. It holds the keys of all
/// tenants (--namespace does not apply), the history since the last compaction, leases,
/// users and password hashes. The SHA-256 that etcd sends with it is checked.
///
/// FILE must not exist. It gets its name when all bytes are on disk, and is readable
/// by the user only, because it holds secrets. If the stream ends early, or the
/// hash is wrong, no file is left; a killed kvadm leaves .kvadm-snapshot-*.part in
/// the folder. A stream that breaks is never continued from another member.
///
/// Prints the endpoint, the revision, how many revisions the member was behind the
/// most advanced other member, the number of stored revisions of all keys, the size,
/// and the SHA-256 of the database. With -, stdout gets the snapshot and stderr the
/// summary. If kvadm exits with a code other than 0, discard what was written to
/// stdout; in a script, 'set -o pipefail' makes the pipe fail too.
///
/// --op-timeout limits the wait for each chunk (10x while the member answers health
/// checks), and --deadline the whole command. With authentication, the user needs
/// the role root. --dry-run requests the snapshot, and stops at its first bytes.
///
/// Exit codes:
///   0  the snapshot is saved
///   2  FILE exists or cannot be written, or stdout is a terminal
///   3  no endpoint answers, or the stream ended early
///   4  the snapshot is damaged, or etcd refused it
///   6  stdout cannot be written; FILE is saved if the summary alone failed
#[derive(ClapArgs, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm snapshot save backup.db
  kvadm snapshot save backup.db --endpoints https://etcd-2:2379 --dry-run
  kvadm snapshot save - | gzip > backup.db.gz
  kvadm snapshot save \"etcd-$(date +%F).db\" \\
      && find . -name 'etcd-*.db' -mtime +14 -delete",
    args = safety_options()
)]
pub struct Args {
    /// File to create; - for stdout
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
}

/// The place for the snapshot.
enum SaveTarget<'a> {
    Stdout,
    File(&'a Path),
}

/// Runs the verb.
///
/// # Errors
/// A file that exists or cannot be written, a damaged snapshot, or an error of etcd or the connection.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let target = SaveTarget::of(ctx, &args.file)?;
    let started = Instant::now();
    let member = ctx
        .store()
        .one_member_with_leader()
        .await
        .map_err(|error| Failure::of_login(error, ctx.store().options().credentials.is_some()))?;
    let status = status_of(&member.store).await?;
    if ctx.safety.dry_run {
        return dry_run(ctx, &args.file, &member, status.as_ref()).await;
    }
    let saved = match target {
        SaveTarget::File(path) => save_file(ctx, path, &member).await?,
        SaveTarget::Stdout => save_stdout(ctx, &member).await?,
    };
    let took = started.elapsed();
    report(ctx, &args.file, member, status, saved, took).await
}

impl<'a> SaveTarget<'a> {
    /// Checks what can be checked before etcd is asked.
    fn of(ctx: &Context, path: &'a Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return match ctx.out.is_terminal() {
                true => Err(Failure::usage("stdout is a terminal; a snapshot is binary data")
                    .hint("name a file, or redirect stdout: kvadm snapshot save - > FILE")),
                false => Ok(Self::Stdout),
            };
        }
        if let Ok(found) = path.symlink_metadata() {
            return Err(exists(path, found.is_dir()));
        }
        match folder_of(path).metadata() {
            Ok(_) => Ok(Self::File(path)),
            Err(error) => Err(cannot_write(path, &error)),
        }
    }
}

/// The member's status; `None` if it tells its status to other users only.
async fn status_of(store: &Store) -> Result<Option<MemberStatus>, Failure> {
    match store.member_status().await {
        Ok(status) => Ok(Some(status)),
        Err(Error::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is known about a saved snapshot.
struct Saved {
    received: Received,
    storage_version: String,
    lag: tokio::task::JoinHandle<MemberLag>,
}

async fn save_file(ctx: &Context, path: &Path, member: &OneMember) -> Result<Saved, Failure> {
    let file = NewFile::create(path, "snapshot").map_err(|error| cannot_write(path, &error))?;
    let output = file.handle().map_err(|error| cannot_write(path, &error))?;
    let failure = |error| match error {
        SaveError::Write(error) => cannot_write(path, &error).hint("no file was saved"),
        error => store_failure(ctx, error).hint(format!("{} was not saved", path.display())),
    };
    let saved = transfer(ctx, member, output, Some(path.to_owned())).await.map_err(failure)?;
    let unsynced = file.publish().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::usage(format!(
            "cannot write {}: its folder or its temporary file was moved or removed during the save",
            path.display()
        ))
        .hint("no file was saved; .kvadm-snapshot-*.part may be left where the folder is now"),
        _ => cannot_write(path, &error).hint("no file was saved"),
    })?;
    if let Some(error) = unsynced {
        let file = path.display();
        ctx.out.warn_always(&format!(
            "{file} is saved and complete, but its folder could not be synced ({error}); a crash of the machine within \
             the next seconds could lose the file"
        ));
    }
    Ok(saved)
}

async fn save_stdout(ctx: &Context, member: &OneMember) -> Result<Saved, Failure> {
    let output = ctx.out.byte_stream()?;
    if was_closed(&output) {
        return Err(Failure::usage("stdout is closed").hint("name a file, or redirect stdout"));
    }
    let failure = |error| match error {
        SaveError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Failure::new(Exit::Partial, "the reader of stdout has gone before the snapshot was complete")
        }
        SaveError::Write(error) => error.into(),
        error => store_failure(ctx, error),
    };
    let saved = transfer(ctx, member, output, None).await;
    saved.map_err(|error| failure(error).hint("discard what was written to stdout: the snapshot is not complete"))
}

/// Receives the snapshot into the file. Writing happens on a thread of its own, so that signals and the deadline end the
/// command also while the disk or the reader of a pipe is slow.
async fn transfer(
    ctx: &Context,
    member: &OneMember,
    output: std::fs::File,
    path: Option<PathBuf>,
) -> Result<Saved, SaveError> {
    let stream = member.store.snapshot().await?;
    let lag = tokio::spawn(member.clone().lag());
    let storage_version = stream.storage_version().to_owned();
    ctx.out.detail(&format!("saving {} from {}", counted(stream.total_bytes(), "byte"), stream.endpoint()));
    let progress = Arc::new(ctx.out.progress_bytes(OP, Some(stream.total_bytes())));
    let (counter, runtime) = (Arc::clone(&progress), tokio::runtime::Handle::current());
    let writer = tokio::task::spawn_blocking(move || runtime.block_on(receive(stream, output, path, &counter)));
    let received = tokio::select! {
        biased;
        error = ctx.store().ended(OP) => Err(error.into()),
        received = writer => received.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())),
    };
    progress.finish();
    Ok(Saved { received: received?, storage_version, lag })
}

/// A failure of the stream, with what to do about it.
fn store_failure(ctx: &Context, error: SaveError) -> Failure {
    match error {
        SaveError::Store(error) if error.is_refusal(Refusal::OversizedAnswer) => {
            Failure::new(Exit::Refused, "the member sent a message of more than 4 MiB, which kvadm does not accept")
                .context("cannot receive the snapshot")
                .hint(another_member(ctx))
        }
        SaveError::Store(error) => {
            let needs_root = error.is_refusal(Refusal::Permission);
            let failure = Failure::from(error);
            if needs_root { failure.hint("a snapshot needs a user with the role root") } else { failure }
        }
        SaveError::Digest(mismatch) => Failure::new(Exit::Refused, mismatch.to_string())
            .context("the snapshot is damaged")
            .hint(another_member(ctx)),
        SaveError::Contents(error) => {
            let what = match error {
                BackupError::Io { path, source } => {
                    return Failure::usage(format!("cannot read back {}: {source}", path.display()));
                }
                BackupError::OtherKind { what, .. } => format!("not an etcd database: {what}"),
                BackupError::Changed { .. } => "the file changed while it was read".to_owned(),
                BackupError::Damaged { damage, .. } => damage.to_string(),
            };
            Failure::new(Exit::Refused, what).context("the snapshot is damaged").hint(another_member(ctx))
        }
        SaveError::Write(error) => error.into(),
    }
}

fn another_member(ctx: &Context) -> String {
    format!("try another member: {}", ctx.command_line(&["snapshot", "save", "--endpoints", "ENDPOINT"]))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path, false),
        io::ErrorKind::NotFound => {
            let folder = crate::shell::quote(folder_of(path).as_os_str().as_encoded_bytes());
            Failure::usage(format!("cannot write {}: {error}", path.display()))
                .hint(format!("create the folder first: mkdir -p {folder}"))
        }
        io::ErrorKind::PermissionDenied => Failure::usage(format!("cannot write {}: {error}", path.display()))
            .hint("name a file in a folder that you can write to"),
        _ => Failure::usage(format!("cannot write {}: {error}", path.display())),
    }
}

fn exists(path: &Path, is_folder: bool) -> Failure {
    if is_folder {
        return Failure::usage(format!("cannot create {}: it is a folder", path.display()))
            .hint("name a new file in the folder");
    }
    Failure::usage(format!("cannot create {}: the file exists", path.display()))
        .hint("name a file that does not exist, such as one with the date: \"etcd-$(date +%F-%H%M).db\"")
}

/// Requests the snapshot to learn whether the member gives it, and how long it is.
async fn dry_run(
    ctx: &Context,
    path: &Path,
    member: &OneMember,
    status: Option<&MemberStatus>,
) -> Result<Exit, Failure> {
    let stream = member.store.snapshot().await.map_err(|error| store_failure(ctx, error.into()))?;
    let size = stream.total_bytes();
    drop(stream);
    let (file, endpoint) = (path.to_string_lossy(), member.endpoint.to_string());
    let row = SavedSnapshot {
        file: &file,
        endpoint: &endpoint,
        member: status.map(|status| status.id).filter(|id| *id != 0),
        revision: status.map(|status| status.revision),
        size,
        server_version: status.map(|status| status.version.as_str()),
        dry_run: true,
        ..SavedSnapshot::default()
    };
    if ctx.out.is_data() {
        ctx.out.one(&row)?;
    } else {
        let size = counted(size, "byte");
        ctx.out.note(&format!("dry run: would save the store of {endpoint} to {file}, {size}"));
    }
    Ok(Exit::Done)
}

/// Says what was saved, and whether the member was behind the others.
async fn report(
    ctx: &Context,
    path: &Path,
    member: OneMember,
    status: Option<MemberStatus>,
    saved: Saved,
    took: Duration,
) -> Result<Exit, Failure> {
    let is_stdout = path.as_os_str() == "-";
    let (file, endpoint) = (path.to_string_lossy(), member.endpoint.to_string());
    let before = status.as_ref().map(|status| status.revision);
    let (revision, revisions) = match saved.received.contents {
        Some(SnapshotContents { revision, revisions }) => (Some(revision), Some(revisions)),
        // The revision did not change while the snapshot was made: the snapshot has it.
        None => match status_of(&member.store).await.ok().flatten() {
            Some(after) if Some(after.revision) == before => (before, None),
            _ => (None, None),
        },
    };
    let lag = tokio::select! {
        biased;
        _ = ctx.store().ended(OP) => MemberLag::default(),
        lag = saved.lag => lag.unwrap_or_default(),
    };
    let behind = lag.behind(revision.or(before).unwrap_or(0));
    let row = SavedSnapshot {
        file: &file,
        endpoint: &endpoint,
        member: status.as_ref().map(|status| status.id).filter(|id| *id != 0),
        revision,
        revision_at_least: before.filter(|_| revision.is_none()),
        behind,
        revisions,
        size: saved.received.bytes,
        sha256: Some(&saved.received.sha256),
        server_version: status.as_ref().map(|status| status.version.as_str()).filter(|version| !version.is_empty()),
        storage_version: Some(saved.storage_version.as_str()).filter(|version| !version.is_empty()),
        took_ms: Some(took.as_secs_f64() * 1e3),
        dry_run: false,
    };
    if is_stdout {
        ctx.out.summary(&row, &stdout_summary(&row));
    } else {
        let written = ctx.out.properties(&row);
        written.map_err(|error| Failure::from(error).hint(format!("{file} is saved and complete")))?;
    }
    warn_of_member(ctx, &endpoint, status.as_ref(), behind);
    Ok(Exit::Done)
}

fn stdout_summary(row: &SavedSnapshot<'_>) -> String {
    let revision = match (row.revision, row.revision_at_least) {
        (Some(revision), _) => format!("revision {revision}"),
        (None, Some(revision)) => format!("revision {revision} or later"),
        (None, None) => "an unknown revision".to_owned(),
    };
    let sha256 = row.sha256.unwrap_or_default();
    format!("saved {} of {} at {revision}, SHA-256 {sha256}", counted(row.size, "byte"), row.endpoint)
}

/// Warns of a member whose data may be old.
fn warn_of_member(ctx: &Context, endpoint: &str, status: Option<&MemberStatus>, behind: Option<u64>) {
    let other = "choose another member with --endpoints";
    if let Some(behind @ 1..) = behind {
        let revisions = counted(behind, "revision");
        ctx.out.warn(&format!("{endpoint} is {revisions} behind the most advanced reachable member; {other}"));
    }
    if status.is_some_and(|status| status.leader == 0) {
        ctx.out.warn(&format!("{endpoint} has no leader: the newest writes may be missing from the snapshot"));
    }
}
