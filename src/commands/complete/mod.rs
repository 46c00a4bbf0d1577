//! Completion candidates from the store and the user's files: keys, lock names, leases, members, allocator keys and contexts.
//!
//! The lookup prints nothing, never prompts for a password, and takes at most [`LIMIT`]. A failed lookup returns no
//! candidates.

mod level;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::allocator::DEFAULT_BASE;
use crate::config::{self, Env, Overrides};
use crate::kvstore::Store;
use crate::transport::{Notice, Observer, Session, Trace};
use level::Child;

/// Bound on the whole lookup. With the start and the end of the process that makes the promised 150 ms.
const LIMIT: Duration = Duration::from_millis(130);
/// Upper bound on the number of candidates.
const MAX_CANDIDATES: usize = 200;

/// The kind of value that the word completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateKind {
    /// Keys and prefixes.
    Keys,
    /// The names of locks.
    Locks,
    /// The IDs of leases.
    Leases,
    /// The names that `--context` takes.
    Contexts,
    /// The allocator's keys.
    Allocated,
    /// The names of members, and the IDs of those without a name.
    Members,
    /// The users of etcd's authentication.
    Users,
    /// The roles of etcd's authentication.
    Roles,
}

/// A completion request of a shell.
#[derive(Debug)]
pub struct Lookup {
    /// The kind of value that the word completes.
    pub wanted: CandidateKind,
    /// The typed part of the word.
    pub typed: Vec<u8>,
    /// The options on the command line that say where etcd is.
    pub overrides: Overrides,
    /// Whether a backslash in a key is an escape.
    pub escape: bool,
    /// The allocator's base, unless it is the default one.
    pub base: Option<Vec<u8>>,
}

/// The candidates that are found in time.
pub fn candidates(lookup: Lookup) -> Vec<OsString> {
    let deadline = Instant::now() + LIMIT;
    let found = Found::default();
    let (done, wait) = mpsc::channel();
    let shared = found.clone();
    // An endless file or a slow name resolution must not delay the shell: after LIMIT, the lookup thread is abandoned.
    let started = std::thread::Builder::new().spawn(move || {
        find(&lookup, deadline, &shared);
        let _ = done.send(());
    });
    if started.is_ok() {
        let _ = wait.recv_timeout(LIMIT);
    }
    found.take().into_iter().map(OsString::from_vec).collect()
}

/// Candidates, as they are found.
#[derive(Clone, Default)]
struct Found(Arc<Mutex<Vec<Vec<u8>>>>);

impl Found {
    /// Adds a candidate that can be displayed and typed. Returns whether more fit.
    fn push(&self, candidate: &[u8], escape: bool) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::str::from_utf8(candidate).unwrap_or("\n");
        let plain = !text.is_empty() && !text.chars().any(char::is_control) && !text.starts_with('-');
        if plain && !(escape && text.contains('\\')) && all.last().map(Vec::as_slice) != Some(candidate) {
            all.push(candidate.to_vec());
        }
        all.len() < MAX_CANDIDATES
    }

    fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn find(lookup: &Lookup, deadline: Instant, found: &Found) {
    let env = Env::from_process();
    if lookup.wanted == CandidateKind::Contexts {
        let names = config::contexts(&env);
        let mut names = names.iter().map(String::as_bytes).filter(|name| name.starts_with(&lookup.typed));
        names.all(|name| found.push(name, false));
        return;
    }
    let Ok(config) = config::load(&lookup.overrides, &env) else { return };
    let mut options = config.connect;
    options.connect_wait = None;
    options.dial_timeout = options.dial_timeout.min(LIMIT);
    options.op_timeout = options.op_timeout.min(LIMIT);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let session =
            Session { cancel: CancellationToken::new(), deadline: Some(deadline.into()), observer: Arc::new(Silent) };
        let store = Store::new(options, session);
        let _ = tokio::time::timeout_at(deadline.into(), search(&store, lookup, found)).await;
    });
    runtime.shutdown_background();
}

async fn search(store: &Store, lookup: &Lookup, found: &Found) {
    let escape = lookup.escape;
    let typed = &lookup.typed;
    match lookup.wanted {
        CandidateKind::Leases => {
            let leases = store.leases().await.unwrap_or_default();
            let ids = leases.iter().map(ToString::to_string).filter(|id| id.as_bytes().starts_with(typed));
            ids.map(String::into_bytes).all(|id| found.push(&id, false));
        }
        CandidateKind::Members => {
            let members = store.members().await.map(|list| list.members).unwrap_or_default();
            let word = |name: String, id: u64| if name.is_empty() { format!("{id:x}") } else { name };
            let words = members.into_iter().map(|member| word(member.name, member.id).into_bytes());
            words.filter(|word| word.starts_with(typed)).all(|word| found.push(&word, false));
        }
        CandidateKind::Keys => level::children(store, typed, &mut |child| found.push(child.name(), escape)).await,
        CandidateKind::Locks => {
            let mut take = |child: Child<'_>| match child.holder() {
                Some((name, holder)) if is_lease(holder) => found.push(name, escape),
                _ => child.is_leaf() || found.push(child.name(), escape),
            };
            level::children(store, typed, &mut take).await;
        }
        CandidateKind::Allocated => {
            let base = lookup.base.as_deref().unwrap_or(DEFAULT_BASE.as_bytes());
            let below = [base.strip_suffix(b"/").unwrap_or(base), b"/value/"].concat();
            let mut take = |child: Child<'_>| {
                let name = child.holder().map_or(child.name(), |(name, _)| name);
                child.is_leaf() || found.push(&name[below.len()..], escape)
            };
            level::children(store, &[&below[..], typed].concat(), &mut take).await;
        }
        CandidateKind::Users | CandidateKind::Roles => {
            let names = match lookup.wanted {
                CandidateKind::Users => store.users().await,
                _ => store.roles().await,
            };
            let names = names.unwrap_or_default();
            names
                .iter()
                .filter(|name| name.as_bytes().starts_with(typed))
                .all(|name| found.push(name.as_bytes(), false));
        }
        CandidateKind::Contexts => {}
    }
}

/// Whether a lock's key ends as etcd's mutex makes it.
fn is_lease(part: &[u8]) -> bool {
    (1..=16).contains(&part.len()) && part.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
}

/// Ignores traces and notices.
struct Silent;

impl Observer for Silent {
    fn request(&self, _: &Trace<'_>) {}

    fn notice(&self, _: Notice, _: &str) {}

    fn traces(&self) -> bool {
        false
    }
}
