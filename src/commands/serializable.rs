//! `--serializable`: reads at the revision of one member, which need neither a leader nor a quorum.

use clap::Args;
use tokio::task::JoinHandle;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{MemberLag, OneMember, Refusal, Revision, Store};
use crate::output::ReadMemberRow;

/// `--serializable`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct SerializableArgs {
    /// Read without a quorum, at the revision of one member; the data may be old
    ///
    /// The keys come from the first endpoint that answers, at that member's own revision. A note names the member, and how far
    /// it is behind the others. A listing of 10,000 keys or more also reads from the other endpoints, at the same revision, if
    /// their members have it and no user is configured; members that fail are left out. With a user and a password, the login
    /// needs a quorum, and the first endpoint whose member has a leader is read; a client certificate needs no login.
    #[arg(long)]
    pub serializable: bool,
}

/// The store that a verb reads from: the cluster, or one member of it.
pub struct ReadStore {
    /// The handle for the reads.
    pub store: Store,
    member: Option<ReadMember>,
}

/// The member that serializable reads come from.
pub struct ReadMember {
    endpoint: String,
    lag: JoinHandle<MemberLag>,
}

impl SerializableArgs {
    /// The store to read from.
    ///
    /// # Errors
    /// As [`one_member`].
    pub async fn open(self, ctx: &Context) -> Result<ReadStore, Failure> {
        if self.serializable && ctx.database().is_some() {
            return Err(Failure::usage("--serializable chooses a member of a cluster: it cannot be used with --db")
                .hint("omit --serializable: a file has one state only"));
        }
        self.open_store(ctx.store()).await
    }

    /// As [`SerializableArgs::open`], for another store than that of the command.
    ///
    /// # Errors
    /// As [`one_member`].
    pub async fn open_store(self, store: &Store) -> Result<ReadStore, Failure> {
        if self.serializable { one_member(store).await } else { Ok(ReadStore::of_cluster(store)) }
    }
}

/// The first member that answers, for serializable reads.
///
/// # Errors
/// No endpoint answers, or a login is needed and there is no quorum.
pub async fn one_member(store: &Store) -> Result<ReadStore, Failure> {
    let member =
        store.one_member().await.map_err(|error| Failure::of_login(error, store.options().credentials.is_some()))?;
    Ok(ReadStore { store: member.store.clone(), member: Some(ReadMember::of(member)) })
}

impl ReadMember {
    /// Begins to ask the other members while the verb reads: what is written later is no lag.
    pub fn of(member: OneMember) -> Self {
        Self { endpoint: member.endpoint.to_string(), lag: tokio::spawn(member.lag()) }
    }

    /// Says that this member was read, and how far it was behind the others. `source` names a store that is not the
    /// command's, in messages and on the command line. Without a revision, it is the member's own. Takes at most the dial timeout.
    pub async fn report(self, ctx: &Context, revision: Option<Revision>, source: Option<(&str, &str)>) {
        let Self { endpoint, lag } = self;
        let lag = lag.await.unwrap_or_default();
        let Some(revision) = revision.or(Some(lag.own).filter(|own| *own > 0)) else { return };
        let behind = lag.behind(revision);
        let text = match behind {
            None => "no other member answered".to_owned(),
            Some(0) => "not behind any reachable member".to_owned(),
            Some(behind) => format!("{behind} behind the most advanced reachable member"),
        };
        let row = ReadMemberRow { source: source.map(|(_, word)| word), endpoint: &endpoint, revision, behind };
        let what = source.map_or_else(|| "read".to_owned(), |(name, _)| format!("{name} was read"));
        ctx.out.summary(&row, &format!("{what} from {endpoint} at revision {revision}, {text}"));
    }
}

impl ReadStore {
    /// Reads as the cluster answers them.
    pub fn of_cluster(store: &Store) -> Self {
        Self { store: store.clone(), member: None }
    }

    /// Adds to a failure that only one member was asked.
    pub fn explain(&self, failure: Failure) -> Failure {
        let Some(member) = &self.member else { return failure };
        match failure.store_error() {
            Some(error) if error.is_refusal(Refusal::FutureRevision) => {
                let mut failure = failure;
                for hint in &mut failure.hints {
                    // Without a quorum, the plain command would fail.
                    *hint = hint.replace("'kvadm status --revision'", "'kvadm status --revision --serializable'");
                }
                failure.hint(format!("{} may be behind the other members: try another endpoint", member.endpoint))
            }
            Some(error) if error.is_transient() => failure.hint(format!(
                "--serializable reads at the revision of one member, here {}; run the command again to read from another",
                member.endpoint
            )),
            _ => failure,
        }
    }

    /// Says which member was read, and how far it was behind the others. Takes at most the dial timeout.
    pub async fn report(self, ctx: &Context, revision: Revision) {
        self.report_source(ctx, revision, None).await;
    }

    /// As [`ReadStore::report`], for a store that has this name in messages, and this one on the command line.
    pub async fn report_source(self, ctx: &Context, revision: Revision, source: Option<(&str, &str)>) {
        if let Some(member) = self.member {
            member.report(ctx, Some(revision), source).await;
        }
    }

    /// Says which member was read if a failure is about its data, which may be old.
    pub async fn report_failure(self, ctx: &Context, failure: &Failure) {
        if let (Some(member), Exit::No | Exit::Refused) = (self.member, failure.exit) {
            member.report(ctx, None, None).await;
        }
    }
}
