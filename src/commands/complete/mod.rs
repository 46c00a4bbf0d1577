//! The shells' question for keys, lock names, leases, allocator keys and contexts: `kvadm __complete WORD…`, which the
//! completion scripts send with the words behind the program's name, the last one being typed.
//!
//! It prints a candidate a line, each a whole word, and ends with 0; it ends with 1 where the word stands for nothing
//! that only the store can tell. It says nothing else, asks nobody, and takes no longer than [`LIMIT`].

mod level;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::allocator::DEFAULT_BASE;
use crate::cli::complete::{Asked, Wanted, asked};
use crate::config::{self, Env};
use crate::kvstore::Store;
use crate::output::{ColorChoice, Format, Out, Settings};
use crate::transport::{Notice, Observer, Session, Trace};
use level::Child;

/// The hidden verb.
const VERB: &str = "__complete";
/// How long all of it may take, but for starting and ending the process. What was found by then is told.
const LIMIT: Duration = Duration::from_millis(130);
/// So many candidates are enough.
const MOST: usize = 200;

/// Answers a shell, if one asks.
pub fn internal(args: &[OsString]) -> Option<ExitCode> {
    let words = args.get(1).filter(|word| *word == VERB).and_then(|_| args.get(2..))?;
    let Some(asked) = asked(words) else { return Some(ExitCode::FAILURE) };
    let deadline = Instant::now() + LIMIT;
    let found = Found::default();
    let (done, wait) = mpsc::channel();
    let (lead, theirs) = (asked.lead.clone(), found.clone());
    // A file that does not end or a name that does not resolve must not hold up the shell either: this thread is left
    // behind then.
    let started = std::thread::Builder::new().spawn(move || {
        find(&asked, deadline, &theirs);
        let _ = done.send(());
    });
    if started.is_ok() {
        let _ = wait.recv_timeout(LIMIT);
    }
    let settings =
        Settings { format: Some(Format::Text), color: ColorChoice::Never, quiet: true, verbosity: 0, progress: false };
    let out = Out::new(settings);
    for candidate in found.take() {
        let _ = out.bytes(&[&lead[..], &candidate, b"\n"].concat());
    }
    // Where the shell does not listen any more, nobody can be told so.
    let _ = out.flush();
    Some(ExitCode::SUCCESS)
}

/// Candidates, as they are found.
#[derive(Clone, Default)]
struct Found(Arc<Mutex<Vec<Vec<u8>>>>);

impl Found {
    /// Takes a candidate in, if it can be shown and typed; whether there is room for more.
    fn push(&self, candidate: &[u8], escape: bool) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::str::from_utf8(candidate).unwrap_or("\n");
        let plain = !text.is_empty() && !text.chars().any(char::is_control) && !text.starts_with('-');
        if plain && !(escape && text.contains('\\')) && all.last().map(Vec::as_slice) != Some(candidate) {
            all.push(candidate.to_vec());
        }
        all.len() < MOST
    }

    fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn find(asked: &Asked, deadline: Instant, found: &Found) {
    let env = Env::from_process();
    if asked.wanted == Wanted::Contexts {
        let names = config::contexts(&env);
        let mut names = names.iter().map(String::as_bytes).filter(|name| name.starts_with(&asked.typed));
        names.all(|name| found.push(name, false));
        return;
    }
    let Ok(config) = config::load(&asked.global.overrides(), &env) else { return };
    let mut options = config.connect;
    options.connect_wait = None;
    options.dial_timeout = options.dial_timeout.min(LIMIT);
    options.op_timeout = options.op_timeout.min(LIMIT);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let session =
            Session { cancel: CancellationToken::new(), deadline: Some(deadline.into()), observer: Arc::new(Silent) };
        let store = Store::new(options, session);
        // Whatever goes wrong: what was found is told, and nothing is said.
        let _ = tokio::time::timeout_at(deadline.into(), look(&store, asked, found)).await;
    });
    runtime.shutdown_background();
}

async fn look(store: &Store, asked: &Asked, found: &Found) {
    let escape = asked.escape;
    let typed = &asked.typed;
    match &asked.wanted {
        Wanted::Leases => {
            let leases = store.leases().await.unwrap_or_default();
            let ids = leases.iter().map(ToString::to_string).filter(|id| id.as_bytes().starts_with(typed));
            ids.map(String::into_bytes).all(|id| found.push(&id, false));
        }
        Wanted::Keys => level::children(store, typed, &mut |child| found.push(child.name(), escape)).await,
        Wanted::Locks => {
            let mut take = |child: Child<'_>| match child.holder() {
                Some((name, holder)) if is_lease(holder) => found.push(name, escape),
                _ => child.is_leaf() || found.push(child.name(), escape),
            };
            level::children(store, typed, &mut take).await;
        }
        Wanted::Allocated(base) => {
            let base = base.as_deref().unwrap_or(DEFAULT_BASE.as_bytes());
            let below = [base.strip_suffix(b"/").unwrap_or(base), b"/value/"].concat();
            let mut take = |child: Child<'_>| {
                let name = child.holder().map_or(child.name(), |(name, _)| name);
                child.is_leaf() || found.push(&name[below.len()..], escape)
            };
            level::children(store, &[&below[..], typed].concat(), &mut take).await;
        }
        Wanted::Contexts => {}
    }
}

/// Whether a lock's key ends as etcd's mutex makes it.
fn is_lease(part: &[u8]) -> bool {
    (1..=16).contains(&part.len()) && part.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
}

/// Tells nobody.
struct Silent;

impl Observer for Silent {
    fn request(&self, _: &Trace<'_>) {}

    fn notice(&self, _: Notice, _: &str) {}

    fn traces(&self) -> bool {
        false
    }
}
