//! `--serializable`: reads from one member, which need neither a leader nor a quorum.

use clap::Args;
use tokio::task::JoinHandle;

use crate::context::Context;
use crate::error::Failure;
use crate::kvstore::{Error, MemberLag, Refusal, Revision, Store};
use crate::output::ReadMemberRow;

/// `--serializable`.
#[derive(Args, Clone, Copy, Debug)]
pub struct SerializableArgs {
    /// Read from one member, even without a quorum; its data may be old
    ///
    /// All keys come from the first endpoint that answers, at that member's own revision. A note names the member, and how far
    /// it is behind the others. With a user and a password, the login needs a quorum; a client certificate needs no login.
    #[arg(long)]
    pub serializable: bool,
}

/// The store that a verb reads from: the cluster, or one member of it.
pub struct ReadStore {
    /// The handle for the reads.
    pub store: Store,
    member: Option<ReadMember>,
}

struct ReadMember {
    endpoint: String,
    lag: JoinHandle<MemberLag>,
}

impl SerializableArgs {
    /// The store to read from.
    ///
    /// # Errors
    /// As [`one_member`].
    pub async fn open(self, ctx: &Context) -> Result<ReadStore, Failure> {
        if self.serializable {
            return one_member(ctx.store()).await;
        }
        Ok(ReadStore { store: ctx.store().clone(), member: None })
    }
}

/// The first member that answers, for serializable reads.
///
/// # Errors
/// No endpoint answers, or a login is needed and there is no quorum.
pub async fn one_member(store: &Store) -> Result<ReadStore, Failure> {
    let member = store.one_member().await.map_err(|error| login_failure(store, error))?;
    let (store, endpoint) = (member.store.clone(), member.endpoint.to_string());
    // While the verb reads: what is written later is no lag.
    let lag = tokio::spawn(member.lag());
    Ok(ReadStore { store, member: Some(ReadMember { endpoint, lag }) })
}

/// The failure of a login, with what works without a quorum.
pub fn login_failure(store: &Store, error: Error) -> Failure {
    let needs_quorum = store.options().credentials.is_some()
        && matches!(&error, Error::Unavailable { .. } | Error::Timeout { op: "log in", .. });
    let mut failure = Failure::from(error);
    if needs_quorum {
        failure.hints = vec![
            "a login with a password needs a quorum, also with --serializable; a client certificate (--cert-file, \
             --key-file) instead of --user needs none"
                .to_owned(),
            "run 'kvadm status' to see which members are up".to_owned(),
        ];
    }
    failure
}

impl ReadStore {
    /// Adds to a failure that only one member was asked.
    pub fn explain(&self, failure: Failure) -> Failure {
        let Some(member) = &self.member else { return failure };
        match failure.store_error() {
            Some(error) if error.is_refusal(Refusal::FutureRevision) => {
                failure.hint(format!("{} may be behind the other members: try another endpoint", member.endpoint))
            }
            Some(error) if error.is_transient() => failure.hint(format!(
                "--serializable reads from one member only, here {}; run the command again to read from another",
                member.endpoint
            )),
            _ => failure,
        }
    }

    /// Says which member was read, and how far it was behind the others. Takes at most the dial timeout.
    pub async fn report(self, ctx: &Context, revision: Revision) {
        let Some(ReadMember { endpoint, lag }) = self.member else { return };
        let lag = lag.await.unwrap_or_default();
        let behind = lag.behind(revision);
        let text = match behind {
            None => "no other member answered".to_owned(),
            Some(0) => "not behind any reachable member".to_owned(),
            Some(behind) => format!("{behind} behind the most advanced reachable member"),
        };
        let row = ReadMemberRow { endpoint: &endpoint, revision, behind };
        ctx.out.summary(&row, &format!("read from {endpoint} at revision {revision}, {text}"));
    }
}
