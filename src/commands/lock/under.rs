//! Running a command under a lock.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::acquire::Held;
use super::hold::{lost, release, unproved};
use crate::child::{self, Ended, Job};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::bytes;

/// Runs the command and gives the lock up.
///
/// # Errors
/// [`Exit::Conflict`] where the lock was lost, or where the command succeeded and nobody can prove that it was not.
pub async fn run(ctx: &Context, held: Held, command: &[OsString]) -> Result<Exit, Failure> {
    let job = Job { command, envs: environment(&held) };
    ctx.out.detail(&format!("holding {} as {}", held.name, held.token()));
    let result = child::run(ctx, &job, &held.kept).await;
    let proved = release(ctx, &held.kept, &held.guard, &held.name).await;
    let ended = result?;
    if let Some(loss) = &ended.loss {
        return Err(lost(&held.name, loss).context("the command was ended"));
    }
    if !proved && ended.code == 0 {
        return Err(unproved(&held.name));
    }
    finish(&ended)
}

/// The command's own end as kvadm's.
///
/// # Errors
/// The deadline for the whole command was over.
pub fn finish(ended: &Ended) -> Result<Exit, Failure> {
    match ended.code {
        _ if ended.overdue => Err(Failure::new(Exit::Unreachable, "the deadline for the whole command is over")),
        0 => Ok(Exit::Done),
        code => Ok(Exit::Command(code)),
    }
}

fn environment(held: &Held) -> Vec<(&'static str, OsString)> {
    let key = &held.guard.key;
    // The environment cannot hold a NUL.
    let key: OsString = if key.contains(&0) { bytes::escape(key).into() } else { OsStr::from_bytes(key).to_owned() };
    let revision = held.guard.revision.to_string();
    vec![
        ("KVADM_LOCK", held.token().into()),
        ("KVADM_LOCK_KEY", key.clone()),
        ("KVADM_LOCK_REV", revision.clone().into()),
        ("ETCD_LOCK_KEY", key),
        ("ETCD_LOCK_REV", revision.into()),
    ]
}
