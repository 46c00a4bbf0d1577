//! `kvadm snapshot verify`: proves a backup.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args as ClapArgs;

use crate::args::parse_revision;
use crate::backup::{Checksum, Verification, VerifyError, VerifyMonitor, passes_to_verify, verify};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::Revision;
use crate::output::{DamageRow, StoredMemberRow, VerifiedSnapshot};
use crate::plural::counted;

/// How often the progress bar is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Verify a snapshot or a copy of a member's database
///
/// Reads only the file, no store. Checks the SHA-256 that a snapshot ends with, every
/// page of every bucket, and every stored revision. RESULT is intact, unproved or
/// damaged. A file without a SHA-256, such as a copy of member/snap/db, is unproved at
/// best: its structure is checked, but changed values and some missing records cannot
/// be found. In a script that relies on the proof, add --require-sha256. Copy a
/// member's file only while the member is stopped: a copy of a running member's file
/// can be damaged.
///
/// HASH is etcd's HashKV, computed from the file: members with the same data, and the
/// same compact revision, have the same hash. Compare it with
/// 'etcdctl endpoint hashkv --rev N' of etcd 3.4 to 3.7; --rev N chooses the revision.
/// For a revision at which it was compacted, etcd 3.6 or 3.7 may return the hash
/// from before that compaction: compare at a later revision.
///
/// REVISIONS counts all stored revisions, KEYS the keys at the latest one. FREE is the
/// size of the free pages inside the database.
///
/// Memory grows with the keys at the compact revision (about 100 bytes each) and is
/// constant for a store that was never compacted.
///
/// Exit codes:
///   0  the file is intact; or it is unproved, without --require-sha256
///   2  the file cannot be read, or is not an etcd database
///   4  the file is damaged (the first 20 places are named); it is unproved, with
///      --require-sha256; or --rev is not in it
#[derive(ClapArgs, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm snapshot verify backup.db
  kvadm snapshot verify /var/backups/etcd/member/snap/db -o json
  kvadm snapshot verify backup.db --require-sha256 >/dev/null && echo proved"
)]
pub struct Args {
    /// Snapshot, or copy of a member's database
    #[arg(value_name = "FILE", required_unless_present = "db", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Compute the hash at revision N [default: the latest]
    #[arg(long, value_name = "N", value_parser = parse_revision)]
    rev: Option<Revision>,
    /// Exit 4 if the file has no SHA-256 that proves its values
    #[arg(long)]
    require_sha256: bool,
}

/// Runs the verb.
///
/// # Errors
/// A file that cannot be read or is damaged, a revision that is not in it, a signal, or the deadline.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    // Without a file, --db is given, which was refused before.
    let Some(file) = args.file.as_deref() else { return Err(Failure::usage("FILE is missing")) };
    if file.as_os_str() == "-" {
        return Err(Failure::usage("cannot verify a pipe: the file is read more than once")
            .hint("save it to a file first: cat > FILE; a file with the name - is ./-"));
    }
    let found = examine(ctx, file, args.rev.unwrap_or(0)).await?;
    report(ctx, args, &found)
}

/// Verifies on a thread of its own, so that a signal or the deadline ends the command at once.
async fn examine(ctx: &Context, path: &Path, revision: Revision) -> Result<Verification, Failure> {
    let monitor = Arc::new(VerifyMonitor::default());
    let (path, worker_monitor) = (path.to_owned(), Arc::clone(&monitor));
    let total = path.metadata().map_or(0, |metadata| metadata.len());
    let passes = passes_to_verify(total);
    ctx.out.detail(&format!("verifying {}", path.display()));
    let progress = ctx.out.progress_bytes("verifying", Some(total));
    let mut worker = tokio::task::spawn_blocking(move || verify(&path, revision, &worker_monitor));
    let mut shown = 0;
    let result = loop {
        tokio::select! {
            biased;
            () = ctx.signals.cancel().cancelled() => {
                monitor.cancel();
                break Err(Failure::new(Exit::Interrupted, "interrupted"));
            }
            () = ctx.deadline_passed() => {
                monitor.cancel();
                break Err(Failure::new(Exit::Unreachable, "the deadline of the whole command passed")
                    .hint("raise --deadline, which limits the whole command"));
            }
            joined = &mut worker => break match joined {
                Ok(result) => result.map_err(failure),
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
            () = tokio::time::sleep(TICK) => {
                let now = monitor.bytes().checked_div(passes).unwrap_or(0);
                progress.inc(now.saturating_sub(shown));
                shown = now;
            }
        }
    };
    progress.finish();
    result
}

fn failure(error: VerifyError) -> Failure {
    match error {
        VerifyError::File(error) => error.into(),
        VerifyError::Cancelled => Failure::new(Exit::Interrupted, "interrupted"),
        error @ (VerifyError::Compacted { .. } | VerifyError::Future { .. }) => {
            Failure::new(Exit::Refused, error.to_string()).hint("omit --rev for the hash at the latest revision")
        }
    }
}

fn report(ctx: &Context, args: &Args, found: &Verification) -> Result<Exit, Failure> {
    let path = args.file.as_deref().unwrap_or(Path::new(""));
    let file = path.to_string_lossy();
    let (sha256_state, sha256) = match &found.checksum {
        Checksum::Absent => ("absent", None),
        Checksum::Verified(sha256) => ("verified", Some(sha256.as_str())),
        Checksum::Mismatch { computed, .. } => ("mismatch", Some(computed.as_str())),
    };
    let damage: Vec<DamageRow> = found
        .described
        .iter()
        .map(|damage| DamageRow { page: damage.page, offset: damage.offset, error: damage.what.clone() })
        .collect();
    let contents = &found.contents;
    let members: Vec<StoredMemberRow<'_>> = contents
        .members
        .iter()
        .map(|member| StoredMemberRow { id: member.id, name: &member.name, peer_urls: &member.peer_urls })
        .collect();
    let unfinished = found.compaction.filter(|compaction| compaction.scheduled > compaction.finished);
    let row = VerifiedSnapshot {
        file: &file,
        result: match &found.checksum {
            _ if !found.is_intact() => "damaged",
            Checksum::Absent => "unproved",
            _ => "intact",
        },
        damages: found.damages.saturating_add(matches!(found.checksum, Checksum::Mismatch { .. }).into()),
        damage: &damage,
        sha256_state,
        sha256,
        hash: found.hash.map(|hash| hash.hash),
        hash_revision: found.hash.map(|hash| hash.revision),
        compact_revision: found.compaction.map(|compaction| compaction.revision()),
        compacted: unfinished.map(|compaction| compaction.finished),
        revision: found.revision,
        revisions: contents.revisions,
        keys: (found.damages == 0).then_some(contents.keys),
        tombstones: contents.tombstones,
        leases: contents.leases,
        size: found.file_bytes,
        page_size: found.page_bytes.into(),
        free: found.free_bytes,
        storage_version: contents.storage_version.as_deref(),
        cluster_version: contents.cluster_version.as_deref(),
        index: contents.consistent_index,
        term: contents.term,
        auth: contents.is_auth_enabled,
        users: contents.users,
        roles: contents.roles,
        alarms: &contents.alarms,
        members: &members,
    };
    ctx.out.properties(&row)?;
    remarks(ctx, found);
    if !found.is_intact() {
        return Err(damaged(ctx, path, found));
    }
    if args.require_sha256 && found.checksum == Checksum::Absent {
        let failure = Failure::new(Exit::Refused, format!("{} is not proved: it has no SHA-256", path.display()));
        return Err(failure.hint(format!("a snapshot has one: {} FILE", save_command(ctx))));
    }
    Ok(Exit::Done)
}

/// What limits the result, and what a reader may want to know.
fn remarks(ctx: &Context, found: &Verification) {
    if found.checksum == Checksum::Absent {
        ctx.out.warn_always("values cannot be proved: the file has no SHA-256, which only snapshots have");
    }
    for (fault, (name, other)) in found.meta_faults.iter().zip([("first", "second"), ("second", "first")]) {
        if let Some(fault) = fault {
            ctx.out.warn(&format!("the {name} meta page is not valid ({fault}); etcd uses the {other} one"));
        }
    }
    for alarm in &found.contents.alarms {
        ctx.out.warn(&format!("an alarm is raised: {alarm}"));
    }
    if let Some(compaction) = found.compaction.filter(|compaction| compaction.scheduled > compaction.finished) {
        let revision = compaction.scheduled;
        ctx.out.note(&format!("a compaction at revision {revision} had begun; etcd completes it when it starts"));
    }
}

fn damaged(ctx: &Context, path: &Path, found: &Verification) -> Failure {
    if let Checksum::Mismatch { computed, stored } = &found.checksum {
        let text = format!("the SHA-256 of the database is {computed}, but the file ends with {stored}");
        ctx.out.warn_always(&text);
    }
    for damage in &found.described {
        ctx.out.warn_always(&damage.to_string());
    }
    let more = found.damages.saturating_sub(found.described.len() as u64);
    if more > 0 {
        ctx.out.warn_always(&counted(more, "more problem"));
    }
    let problems = match (found.damages, &found.checksum) {
        (0, _) => "its SHA-256 does not match".to_owned(),
        (damages, Checksum::Mismatch { .. }) => {
            format!("its SHA-256 does not match, and {} in its pages", counted(damages, "problem"))
        }
        (damages, _) => format!("{} in its pages", counted(damages, "problem")),
    };
    let failure = Failure::new(Exit::Refused, format!("{} is damaged: {problems}", path.display()));
    let failure = failure.hint(format!("use another backup, or save a new one: {} FILE", save_command(ctx)));
    match found.checksum {
        Checksum::Mismatch { .. } if found.damages == 0 => failure.hint(format!(
            "the structure of the database is intact; another program may have changed the file ('etcdutl hashkv' writes \
             to it). To read it without proof, make a copy without the SHA-256: head -c -32 {} > COPY",
            crate::shell::quote(path.as_os_str().as_encoded_bytes())
        )),
        Checksum::Absent => {
            failure.hint("if the file was copied from a running member, copy it again while the member is stopped")
        }
        _ => failure,
    }
}

fn save_command(ctx: &Context) -> String {
    ctx.command_line(&["snapshot", "save"]).to_string()
}
