//! Where records come from: the words of `--source`, and a store at one revision.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use super::record::{KeyMapping, SyncRecord};
use crate::kvstore::{Error, KeyRange, RangeReader, ReadOptions, Revision, Store};

/// A source as it is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceWord {
    /// `rev:N`: the same store at an earlier revision.
    Revision(Revision),
    /// `context:NAME[@REV]`: the store of a context, at a revision or as it is now.
    Context {
        /// The context's name.
        name: String,
        /// The revision; `None` for the latest.
        revision: Option<Revision>,
    },
    /// `db:FILE[@REV]`: a database file, at a revision or its latest. Only the files that exist tell whether an `@` belongs to
    /// the name.
    Database(PathBuf),
    /// `file:PATH`: records in JSON, one a line.
    File(PathBuf),
    /// `-`: the same on stdin.
    Stdin,
}

/// The text names no source.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}; a source is rev:N, context:NAME, context:NAME@REV, db:FILE, db:FILE@REV, file:PATH, or - for stdin")]
pub struct NoSource(String);

impl FromStr for SourceWord {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, NoSource> {
        let revision = |digits: &str| match digits.parse::<Revision>() {
            Ok(revision) if revision >= 1 && !digits.starts_with('+') => Some(revision),
            _ => None,
        };
        let at_revision = |text: &str| match text.rsplit_once('@') {
            Some((name, digits)) if revision(digits).is_some() && !name.is_empty() => {
                (name.to_owned(), revision(digits))
            }
            _ => (text.to_owned(), None),
        };
        if text == "-" {
            return Ok(Self::Stdin);
        }
        match text.split_once(':') {
            Some(("rev", digits)) => match revision(digits) {
                Some(revision) => Ok(Self::Revision(revision)),
                None => Err(NoSource(format!("'{}' is not a revision", digits.escape_debug()))),
            },
            Some(("db", "")) => Err(NoSource("the database file has no name".to_owned())),
            Some(("context", "")) => Err(NoSource("the context has no name".to_owned())),
            Some(("context", name)) => {
                let (name, revision) = at_revision(name);
                Ok(Self::Context { name, revision })
            }
            Some(("db", "-")) => Err(NoSource(
                "stdin cannot be a database file, which is not read from its beginning to its end".to_owned(),
            )),
            Some(("db", path)) => Ok(Self::Database(PathBuf::from(path))),
            Some(("file", "")) => Err(NoSource("the file has no name".to_owned())),
            Some(("file", path)) => Ok(Self::File(PathBuf::from(path))),
            Some((word, _)) => Err(NoSource(format!("'{}:' is not a kind of source", word.escape_debug()))),
            None => Err(NoSource(format!("'{}' is not a source", text.escape_debug()))),
        }
    }
}

impl fmt::Display for SourceWord {
    /// The word as it is named on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revision(revision) => write!(f, "rev:{revision}"),
            Self::Context { name, revision: None } => write!(f, "context:{name}"),
            Self::Context { name, revision: Some(revision) } => write!(f, "context:{name}@{revision}"),
            Self::Database(path) => write!(f, "db:{}", path.display()),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Stdin => f.write_str("-"),
        }
    }
}

/// The records of a store's prefix at one revision, with the keys that they have in the other store.
pub struct StoreRecords {
    reader: RangeReader,
    mapping: KeyMapping,
    /// A key of the store that is left out.
    omitted: Option<Vec<u8>>,
}

impl StoreRecords {
    /// The records of a source.
    pub fn of_source(store: &Store, mapping: &KeyMapping, options: ReadOptions) -> Self {
        Self { reader: store.read(&mapping.source_range(), options), mapping: mapping.clone(), omitted: None }
    }

    /// The records of the store itself, whose keys stay as they are.
    pub fn of_store(store: &Store, mapping: &KeyMapping, options: ReadOptions) -> Self {
        let prefix = mapping.store_prefix();
        Self {
            reader: store.read(&KeyRange::prefix(prefix), options),
            mapping: KeyMapping::new(prefix, prefix),
            omitted: None,
        }
    }

    /// Leaves a key out, named as this store names it.
    #[must_use]
    pub fn without(mut self, key: Vec<u8>) -> Self {
        self.omitted = Some(key);
        self
    }

    /// The revision that is read; 0 before the first page of a read without a revision.
    pub fn revision(&self) -> Revision {
        self.reader.revision()
    }

    /// The number of keys, known after the first page.
    pub fn total(&self) -> Option<u64> {
        self.reader.total()
    }

    /// The next page; `None` at the end. A page may be empty.
    ///
    /// # Errors
    /// As [`RangeReader::next`].
    pub async fn next(&mut self) -> Result<Option<Vec<SyncRecord>>, Error> {
        let Some(page) = self.reader.next().await? else { return Ok(None) };
        let omitted = self.omitted.as_deref();
        let records = page.into_iter().filter(|kv| omitted != Some(kv.key.as_slice())).filter_map(|mut kv| {
            kv.key = self.mapping.to_store(std::mem::take(&mut kv.key))?;
            Some(SyncRecord { kv, ttl: None })
        });
        Ok(Some(records.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_sources() {
        let context = |name: &str, revision| Ok(SourceWord::Context { name: name.to_owned(), revision });
        assert_eq!("rev:40".parse(), Ok(SourceWord::Revision(40)));
        assert_eq!("context:prod".parse(), context("prod", None));
        assert_eq!("context:prod@812".parse(), context("prod", Some(812)));
        assert_eq!("context:me@home".parse(), context("me@home", None));
        assert_eq!("context:me@home@7".parse(), context("me@home", Some(7)));
        assert_eq!("db:/a/b:c@d@812".parse(), Ok(SourceWord::Database("/a/b:c@d@812".into())));
        assert_eq!("file:a:b".parse(), Ok(SourceWord::File("a:b".into())));
        assert_eq!("-".parse(), Ok(SourceWord::Stdin));
        for text in [
            "",
            "rev:",
            "rev:0",
            "rev:-1",
            "rev:+1",
            "rev:x",
            "context:",
            "file:",
            "db:",
            "db:-",
            "git:main",
            "40",
            "backup.jsonl",
        ] {
            let error = text.parse::<SourceWord>().map_err(|error| error.to_string());
            assert!(error.is_err_and(|why| why.contains("a source is rev:N, context:NAME")), "{text}");
        }
    }
}
