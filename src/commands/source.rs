//! `--source`: what `diff`, `restore` and `mirror` compare this store with.

mod compared;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::args::KeyText;
use crate::backup::Database;
use crate::commands::input::{InputSource, bad_records};
use crate::commands::serializable::{ReadStore, SerializableArgs};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{ReadOptions, Revision};
use crate::output::bytes;
use crate::plural::counted;
use crate::proto::Codec;
use crate::sync::{Comparison, FileRecords, KeyMapping, LeaseRule, Records, SourceWord, StoreRecords};

pub use compared::{Compared, ComparedSource};
use compared::{cannot_read, context_of};

/// Where the records come from.
#[derive(Args, Clone, Debug)]
pub struct SourceArgs {
    /// rev:N, context:NAME[@REV], db:FILE[@REV], file:PATH, or - for stdin
    ///
    /// rev:N is this store at revision N. context:NAME is the store of another context: only its file applies, options and
    /// environment are about this store. db:FILE is a snapshot or a copy of a member's database, read in the namespace of
    /// this store. file:PATH holds what 'list -o json' printed, in any order.
    #[arg(long, value_name = "SOURCE", required = true, help_heading = "Source")]
    source: Option<SourceWord>,
    /// Prefix of the keys in the source [default: PREFIX]
    #[arg(long, value_name = "P", requires = "source", help_heading = "Source")]
    source_prefix: Option<OsString>,
}

/// A source before it is read.
pub struct OpenSource {
    /// How messages name it.
    pub name: String,
    /// Which keys correspond to each other.
    pub mapping: KeyMapping,
    kind: SourceKind,
    /// Whether it is a database file whose SHA-256 is not known, so that keys may be missing unnoticed.
    is_unproved: bool,
}

enum SourceKind {
    /// The same store at a revision.
    History(Revision),
    /// Another store, at a revision or as it is now.
    Other(ReadStore, Option<Revision>),
    /// A database file, at a revision or its latest.
    Database(Box<Database>, ReadStore, Option<Revision>),
    /// All records of a file.
    File(Box<FileRecords>),
}

impl SourceArgs {
    /// A source that a file names instead of the command line.
    pub fn new(source: SourceWord, source_prefix: Option<OsString>) -> Self {
        Self { source: Some(source), source_prefix }
    }

    /// Whether the prefix of the source was named.
    pub fn has_prefix(&self) -> bool {
        self.source_prefix.is_some()
    }

    /// Opens the source for the keys of this store, `here`, with a prefix. Files are read completely. With `serializable`,
    /// another store is read from one of its members.
    ///
    /// # Errors
    /// An unknown context, an unusable file, or a source that is the range of this store itself.
    pub async fn open(
        &self,
        ctx: &Context,
        here: &ReadStore,
        serializable: SerializableArgs,
        prefix: &[u8],
        text: KeyText,
        codec: &Arc<Codec>,
    ) -> Result<OpenSource, Failure> {
        let Some(word) = &self.source else { return Err(Failure::usage("--source is missing")) };
        let source_prefix = match &self.source_prefix {
            Some(text_of_prefix) => text.bytes(text_of_prefix)?,
            None => prefix.to_vec(),
        };
        let mapping = KeyMapping::new(&source_prefix, prefix);
        let (name, kind) = match word {
            SourceWord::Revision(revision) => (format!("revision {revision}"), SourceKind::History(*revision)),
            SourceWord::Context { name, revision } => {
                let about = format!("context '{}'", name.escape_debug());
                let other = serializable.open_store(&ctx.other_store(name)?).await;
                let other = other.map_err(|failure| failure.context(cannot_read(&about)).in_context(name))?;
                refuse_itself(here, &other, &mapping, *revision, &about).await?;
                (about, SourceKind::Other(other, *revision))
            }
            SourceWord::Database(word) => {
                let (path, revision) = split_revision(word)?;
                let database = ctx.open_database(&path)?;
                let name = bytes::escape(path.as_os_str().as_bytes());
                let store = ReadStore::of_cluster(&ctx.store_of_database(&database));
                (name, SourceKind::Database(Box::new(database), store, revision))
            }
            SourceWord::File(path) => read_file(ctx, InputSource::File(path), &mapping, codec).await?,
            SourceWord::Stdin => read_file(ctx, InputSource::Stdin, &mapping, codec).await?,
        };
        Ok(OpenSource { name, mapping, kind, is_unproved: false })
    }
}

/// Refuses a source that is this store's own range: everything would be the same, or, if the prefixes overlap, nothing would
/// ever be.
pub(super) async fn refuse_itself(
    here: &ReadStore,
    source: &ReadStore,
    mapping: &KeyMapping,
    revision: Option<Revision>,
    about: &str,
) -> Result<(), Failure> {
    let (from, to) = (source.store.absolute(mapping.source_prefix()), here.store.absolute(mapping.store_prefix()));
    let overlap = from.starts_with(&to) || to.starts_with(&from);
    if !overlap || (revision.is_some() && from == to) || !is_same_store(here, source, mapping, about).await? {
        return Ok(());
    }
    let prefix = bytes::name(&to);
    if from == to {
        return Err(Failure::usage(format!("{about} is this store itself, and both prefixes are {prefix}"))
            .hint("run 'kvadm config' and 'kvadm config --context NAME' to compare the endpoints")
            .hint("for an earlier revision of this store, use --source rev:N"));
    }
    Err(Failure::usage(format!("{about} is this store itself, and {} overlaps with {prefix}", bytes::name(&from)))
        .hint("choose prefixes that do not contain each other"))
}

/// Whether two handles lead to one store. Clusters that were made alike have equal IDs, so their revisions are compared too:
/// read in turn, those of one store never decrease.
pub(super) async fn is_same_store(
    here: &ReadStore,
    source: &ReadStore,
    mapping: &KeyMapping,
    about: &str,
) -> Result<bool, Failure> {
    let range = mapping.store_range();
    let revision = || async { here.store.revision_for(&range).await.map_err(|error| here.explain(error.into())) };
    let before = revision().await?;
    let between = source.store.revision_for(&mapping.source_range()).await;
    let between = between.map_err(|error| {
        let failure = source.explain(error.into()).context(cannot_read(about));
        match context_of(about) {
            Some(name) => failure.in_context(name),
            None => failure,
        }
    })?;
    if here.store.cluster().is_none() || here.store.cluster() != source.store.cluster() {
        return Ok(false);
    }
    let after = revision().await?;
    Ok(before <= between && between <= after)
}

/// The file and the revision of `FILE[@REV]`. A file of the whole name comes first.
fn split_revision(word: &Path) -> Result<(PathBuf, Option<Revision>), Failure> {
    let text = word.as_os_str().as_bytes();
    let Some(at) = text.iter().rposition(|byte| *byte == b'@').filter(|at| *at > 0 && !word.exists()) else {
        return Ok((word.to_owned(), None));
    };
    let path = PathBuf::from(OsStr::from_bytes(&text[..at]));
    let digits = String::from_utf8_lossy(&text[at + 1..]);
    match digits.parse::<Revision>() {
        Ok(revision) if revision >= 1 && digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok((path, Some(revision))),
        _ if path.exists() => {
            let name = bytes::escape(path.as_os_str().as_bytes());
            Err(Failure::usage(format!("'{}' is not a revision of {name}", digits.escape_debug()))
                .hint("a revision is a number from 1 on: --source db:FILE@REV"))
        }
        _ => Ok((word.to_owned(), None)),
    }
}

async fn read_file(
    ctx: &Context,
    source: InputSource<'_>,
    mapping: &KeyMapping,
    codec: &Arc<Codec>,
) -> Result<(String, SourceKind), Failure> {
    let name = source.name();
    let input = source.open()?;
    let in_namespace = !ctx.store().namespace().is_empty();
    let (file, keys, codec) = (name.clone(), mapping.clone(), Arc::clone(codec));
    let reading = tokio::task::spawn_blocking(move || FileRecords::read(input, &file, &codec, &keys, in_namespace));
    let progress = ctx.out.progress("reading the file", None);
    let read = tokio::select! {
        biased;
        () = ctx.signals.cancel().cancelled() => return Err(Failure::new(Exit::Interrupted, "interrupted")),
        () = ctx.deadline_passed() => {
            return Err(Failure::new(Exit::Unreachable, "the deadline of the whole command passed"));
        }
        read = reading => read.map_err(|error| Failure::new(Exit::Bug, format!("the reader failed: {error}")))?,
    };
    progress.finish();
    let records = read.map_err(bad_records)?;
    if records.outside() > 0 {
        let (outside, prefix) = (counted(records.outside(), "record"), bytes::name(mapping.source_prefix()));
        ctx.out.note(&format!("{name}: {outside} without the prefix {prefix} left out"));
    }
    Ok((name, SourceKind::File(Box::new(records))))
}

impl OpenSource {
    /// The database file, if the source is one.
    pub fn database(&self) -> Option<Database> {
        match &self.kind {
            SourceKind::Database(database, ..) => Some(Database::clone(database)),
            _ => None,
        }
    }

    /// The records with their values, for a caller that compares them itself, and which leases make a difference.
    pub fn into_records(self, here: &ReadStore) -> (Records, LeaseRule) {
        let options = |revision| ReadOptions { revision, ..ReadOptions::default() };
        match self.kind {
            SourceKind::History(then) => {
                let records = StoreRecords::of_source(&here.store, &self.mapping, options(then));
                (Records::Store(records), LeaseRule::Id)
            }
            SourceKind::Other(other, then) | SourceKind::Database(_, other, then) => {
                let records = StoreRecords::of_source(&other.store, &self.mapping, options(then.unwrap_or(0)));
                (Records::Store(records), LeaseRule::Presence)
            }
            SourceKind::File(records) => (Records::File(*records), LeaseRule::Presence),
        }
    }

    /// Checks the SHA-256 of a snapshot, or all pages of another database file, so that no key is changed because of a damaged
    /// file.
    ///
    /// # Errors
    /// A damaged file, or an interruption.
    pub async fn check_whole(&mut self, ctx: &Context) -> Result<(), Failure> {
        let SourceKind::Database(database, ..) = &self.kind else { return Ok(()) };
        let checked = Database::clone(database);
        match ctx.run_blocking(move || checked.check_whole()).await? {
            Ok(true) => ctx.out.detail(&format!("{}: the SHA-256 is right", self.name)),
            Ok(false) => {
                self.is_unproved = true;
                let why = "it is not a snapshot of 'snapshot save', so damage may go unnoticed";
                ctx.out.note(&format!("{} has no SHA-256: {why}", self.name));
            }
            Err(error) => {
                let failure = Failure::from(database.error(error)).context(cannot_read(&self.name));
                return Err(failure.hint("nothing was changed"));
            }
        }
        Ok(())
    }

    /// Begins the comparison with this store at a revision (0: the latest).
    ///
    /// # Errors
    /// As [`OpenSource::failure`].
    pub async fn compare(self, here: &ReadStore, revision: Revision, ignore_leases: bool) -> Result<Compared, Failure> {
        let (Self { name, mapping, kind, is_unproved }, store) = (self, &here.store);
        let options = |revision, keys_only| ReadOptions { revision, keys_only, ..ReadOptions::default() };
        let rule = |rule| if ignore_leases { LeaseRule::Ignore } else { rule };
        let of_store = |keys_only| StoreRecords::of_store(store, &mapping, options(revision, keys_only));
        let mut source = ComparedSource {
            name,
            mapping: mapping.clone(),
            other: None,
            history: None,
            trailer: None,
            is_file: false,
            is_unproved,
        };
        let mut comparison = match kind {
            SourceKind::History(then) => {
                source.history = Some(then);
                let records = StoreRecords::of_source(store, &mapping, options(then, true));
                Comparison::of_revisions(store, records, of_store(true), mapping, rule(LeaseRule::Id))
            }
            SourceKind::Other(other, then) | SourceKind::Database(_, other, then) => {
                let records = StoreRecords::of_source(&other.store, &mapping, options(then.unwrap_or(0), false));
                source.other = Some(other);
                Comparison::of_values(Records::Store(records), of_store(false), mapping, rule(LeaseRule::Presence))
            }
            SourceKind::File(records) => {
                source.is_file = true;
                source.trailer = records.trailer().cloned();
                Comparison::of_values(Records::File(*records), of_store(false), mapping, rule(LeaseRule::Presence))
            }
        };
        match comparison.begin().await {
            Ok(()) => Ok(Compared { comparison, source }),
            Err(error) => Err(source.failure(here, error).await),
        }
    }
}
