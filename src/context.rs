//! What every command is given: configuration, output, signals, and the store, which connects on first use.

mod cluster;

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::backup::Database;
use crate::command_line::CommandLine;
use crate::config::{self, Config, ConfigError, Env, Overrides, Source};
use crate::consent::Consent;
use crate::error::{Exit, Failure};
use crate::kvstore::Store;
use crate::output::{Confirm, Out, bytes};
use crate::signal::Signals;
use crate::transport::{ConnectOptions, Notice, Observer, Session, Trace};

/// From this number of destroyed keys on, the user must type it.
const TYPED_FROM: u64 = 10_000;

/// The environment of one command.
pub struct Context {
    /// The effective configuration.
    pub config: Config,
    /// The output streams.
    pub out: Out,
    /// The signals that end the program.
    pub signals: Signals,
    /// The safety options.
    pub safety: Safety,
    deadline: Option<Instant>,
    /// Limit of an endless wait for the first connection.
    connect_limit: OnceLock<Duration>,
    store: OnceLock<Store>,
    database: Option<Database>,
}

/// The safety options of the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Safety {
    /// Skip confirmation prompts.
    pub yes: bool,
    /// Show what would be done, without changing anything.
    pub dry_run: bool,
}

impl Context {
    /// Creates a context without connecting.
    pub fn new(config: Config, out: Out, signals: Signals, safety: Safety, deadline: Option<Duration>) -> Self {
        let deadline = deadline.map(|limit| Instant::now() + limit);
        let (connect_limit, store) = (OnceLock::new(), OnceLock::new());
        Self { config, out, signals, safety, deadline, connect_limit, store, database: None }
    }

    /// Reads a database file instead of a cluster.
    #[must_use]
    pub fn with_database(self, database: Option<Database>) -> Self {
        Self { database, ..self }
    }

    /// The file of `--db`, which [`Context::store`] reads.
    pub fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// Opens a database file as the store of a source, in the same namespace.
    ///
    /// # Errors
    /// The file cannot be read, or is not a database of etcd.
    pub fn open_database(&self, path: &Path) -> Result<Database, Failure> {
        Ok(Database::open(path, self.out.clone(), self.signals.cancel().clone())?)
    }

    /// A database file as a store, in the namespace of this command.
    pub fn store_of_database(&self, database: &Database) -> Store {
        Store::local(Arc::new(database.clone()), self.config.connect.clone(), self.session())
    }

    /// The store. Its first request connects.
    pub fn store(&self) -> &Store {
        self.store.get_or_init(|| {
            if let Some(database) = &self.database {
                return self.store_of_database(database);
            }
            let mut connect = self.config.connect.clone();
            if let (Some(wait), Some(limit)) = (&mut connect.connect_wait, self.connect_limit.get()) {
                wait.limit.get_or_insert(*limit);
            }
            self.store_with(connect)
        })
    }

    /// Limits the wait for the first connection if it is endless (`allow-delayed-start`). Has an effect only before the
    /// first use of [`Context::store`].
    pub fn limit_endless_connect(&self, limit: Duration) {
        let _ = self.connect_limit.set(limit);
    }

    /// Begins a command line of kvadm for a message, with the options of this command line that name the store.
    pub fn command_line(&self, verb: &[&str]) -> CommandLine {
        CommandLine::new(&self.config.store_options, verb)
    }

    /// The beginning of a command line that asks these endpoints of the same cluster.
    pub fn command_line_at(&self, endpoints: &str, verb: &[&str]) -> CommandLine {
        let mut given = self.config.store_options.iter();
        let mut options: Vec<OsString> = Vec::new();
        while let Some(word) = given.next() {
            if ["--endpoints", "--discovery-srv", "--discovery-srv-name"].iter().any(|option| word == option) {
                given.next();
            } else if !word.as_encoded_bytes().starts_with(b"--insecure-discovery=") {
                options.push(word.clone());
            }
        }
        options.extend(["--endpoints".into(), endpoints.into()]);
        CommandLine::new(&options, verb)
    }

    /// A store with these options; its first request connects.
    pub fn store_with(&self, connect: ConnectOptions) -> Store {
        Store::new(self.discovered(connect), self.session())
    }

    fn session(&self) -> Session {
        Session {
            cancel: self.signals.cancel().clone(),
            deadline: self.deadline,
            observer: Arc::new(OutputObserver { out: self.out.clone(), warned: Mutex::default() }),
        }
    }

    /// The store of another context. Only that context's file applies: options and environment variables belong to the
    /// current one.
    ///
    /// # Errors
    /// The context does not exist, is invalid, or has no endpoints.
    pub fn other_store(&self, name: &str) -> Result<Store, Failure> {
        let overrides = Overrides { context: Some(name.to_owned()), ..Overrides::default() };
        self.load_other(overrides, &format!("context '{}'", name.escape_debug()))
    }

    /// The store of a configuration file, such as those of Cilium's cluster mesh; `about` names it in messages. Only
    /// the file applies.
    ///
    /// # Errors
    /// The file cannot be read, is invalid, or has no endpoints.
    pub fn store_of_file(&self, path: &Path, about: &str) -> Result<Store, Failure> {
        self.load_other(Overrides { config: Some(path.to_owned()), ..Overrides::default() }, about)
    }

    fn load_other(&self, overrides: Overrides, about: &str) -> Result<Store, Failure> {
        // The other store only adds to the answer, which must not wait for it.
        let overrides = Overrides { connect_wait: Some(Duration::ZERO), ..overrides };
        let bad = |error: ConfigError| {
            // No option of this name was given.
            let origin = error.origin.filter(|origin| *origin != Source::Flag("--config"));
            Failure::from(ConfigError { origin, ..error }).context(about.to_owned())
        };
        let other = config::load(&overrides, &Env::from_process().only_paths()).map_err(bad)?;
        let named = |setting: &config::Setting| setting.key == "endpoints" && setting.source != Source::Default;
        if !other.settings.iter().any(named) {
            return Err(Failure::usage(format!("{about} has no endpoints")));
        }
        for warning in &other.warnings {
            self.out.warn(&format!("{about}: {warning}"));
        }
        for warning in &other.insecure {
            self.out.warn_always(&format!("{about}: {warning}"));
        }
        for detail in &other.details {
            self.out.detail(&format!("{about}: {detail}"));
        }
        Ok(self.store_with(other.connect))
    }

    /// The deadline of the whole command (`--deadline`).
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Waits for the deadline of the whole command; forever if there is none.
    pub async fn deadline_passed(&self) {
        match self.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }

    /// Runs work that blocks, such as a pass over a file, on a thread of its own.
    ///
    /// # Errors
    /// [`Exit::Interrupted`], or [`Exit::Unreachable`] for the deadline, at once; [`Exit::Bug`] if the work panics.
    pub async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let task = tokio::task::spawn_blocking(work);
        tokio::select! {
            biased;
            () = self.signals.cancel().cancelled() => Err(Failure::new(Exit::Interrupted, "interrupted")),
            () = self.deadline_passed() => {
                Err(Failure::new(Exit::Unreachable, "the deadline of the whole command passed"))
            }
            done = task => done.map_err(|error| Failure::new(Exit::Bug, format!("the reader failed: {error}"))),
        }
    }

    /// Whether [`Context::consent`] asks: there is a terminal and no `--yes`.
    pub fn will_ask(&self) -> bool {
        !self.safety.yes && self.out.can_ask()
    }

    /// Whether [`Context::show_candidates`] shows anything.
    pub fn introduces_questions(&self) -> bool {
        self.will_ask() || !(self.safety.yes || self.out.is_json())
    }

    /// Shows what the next question is about: the first candidates of `total`, and how many more there are. They are shown
    /// without a terminal too, where the question fails, but not to a program that reads JSON.
    pub fn show_candidates(&self, candidates: impl IntoIterator<Item = String>, total: u64) {
        if self.introduces_questions() {
            self.out.candidates(candidates, total);
        }
    }

    /// Asks before a step that cannot be undone. `--yes` skips the prompt.
    ///
    /// # Errors
    /// [`Exit::Usage`] without a terminal, [`Exit::Conflict`] if the answer is no, [`Exit::Interrupted`] after a signal.
    pub fn consent(&self, question: &str) -> Result<Consent, Failure> {
        self.consent_to_destroy(0, question)
    }

    /// As [`Context::consent`], for a step that destroys this many keys. If they are many, the user must type their number.
    ///
    /// # Errors
    /// As [`Context::consent`].
    pub fn consent_to_destroy(&self, keys: u64, question: &str) -> Result<Consent, Failure> {
        if self.safety.yes {
            return Ok(Consent::granted());
        }
        let ended = || self.signals.cancel().is_cancelled();
        let about = if self.out.can_ask() { self.format_cluster() } else { String::new() };
        let answer = match keys {
            TYPED_FROM.. => self.out.confirm_number(keys, &format!("{question}{about}"), &ended),
            _ => self.out.confirm(&format!("{question}{about}"), &ended),
        };
        match answer {
            _ if ended() => Err(Failure::new(Exit::Interrupted, "interrupted; nothing was changed")),
            Confirm::Yes => Ok(Consent::granted()),
            Confirm::No => Err(Failure::conflict("not confirmed; nothing was changed")),
            Confirm::NoTerminal => {
                Err(Failure::usage(format!("{question}: cannot ask for confirmation without a terminal"))
                    .hint("add --yes to confirm, or --dry-run to see what would be done"))
            }
        }
    }

    /// Asks before several objects named on the command line, which are this many keys, are destroyed. One named object needs
    /// no prompt.
    ///
    /// # Errors
    /// As [`Context::consent`].
    pub fn consent_if_several(&self, named: usize, keys: u64, question: &str) -> Result<Consent, Failure> {
        if named > 1 { self.consent_to_destroy(keys, question) } else { Ok(Consent::granted()) }
    }

    /// Sleeps, unless a signal or the deadline ends the command first.
    ///
    /// # Errors
    /// [`Exit::Interrupted`], or [`Exit::Unreachable`] for the deadline.
    pub async fn sleep(&self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        if self.deadline.is_some_and(|deadline| deadline < until) {
            return Err(Failure::new(Exit::Unreachable, "the deadline of the whole command passed"));
        }
        tokio::select! {
            biased;
            () = self.signals.cancel().cancelled() => Err(Failure::new(Exit::Interrupted, "interrupted")),
            () = tokio::time::sleep_until(until) => Ok(()),
        }
    }
}

/// Forwards the store's notices and request traces to the output.
struct OutputObserver {
    out: Out,
    /// Warnings already printed: every connection of a command reports the same ones.
    warned: Mutex<HashSet<String>>,
}

impl Observer for OutputObserver {
    fn request(&self, trace: &Trace<'_>) {
        let guard = if trace.guard.is_empty() { String::new() } else { format!(" if[{}]", trace.guard) };
        let end = trace.error.map_or_else(|| format!("rev={}", trace.revision), |error| format!("failed: {error}"));
        let key = bytes::escape(trace.key);
        self.out.trace(&format!("{} {key}{guard} {end} {:.1?} {}", trace.op, trace.took, trace.endpoint));
    }

    fn notice(&self, weight: Notice, text: &str) {
        match weight {
            Notice::Detail => self.out.detail(text),
            Notice::Warning => {
                let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
                if warned.insert(text.to_owned()) {
                    self.out.warn(text);
                }
            }
        }
    }

    fn traces(&self) -> bool {
        self.out.traces()
    }
}
