//! A master to delete, and the references that keep it.

use crate::allocator::{Id, Layout};
use crate::kvstore::{Error, KeySelector, KeyValue, Op, ReadOptions, Revision, Store};

/// References that are read along with other requests.
const FIRST_REFERENCES: i64 = 64;

/// A master to delete.
#[derive(Clone, Debug)]
pub(super) struct CandidateMaster {
    /// Index of the candidate.
    pub index: usize,
    /// Its ID.
    pub id: Id,
    /// The allocator's key.
    pub key: Vec<u8>,
    /// The revision of its last change.
    pub mod_revision: Revision,
}

/// Reads the references of masters.
#[derive(Clone)]
pub(super) struct ReferenceReader {
    /// The store.
    pub store: Store,
    /// Paths of the allocator's keys.
    pub layout: Layout,
}

impl ReferenceReader {
    /// Reads from this store.
    pub fn new(store: &Store, layout: &Layout) -> Self {
        Self { store: store.clone(), layout: layout.clone() }
    }

    /// A read of the first references of a master's key, and maybe of longer keys.
    pub fn first_references(&self, master: &CandidateMaster) -> Op {
        let over = KeySelector::Range(self.layout.references_of(&master.key));
        Op::Get { over, revision: 0, keys_only: false, count_only: false, limit: FIRST_REFERENCES }
    }

    /// A reference that keeps a master, if there is one, and the revision at which all references were read.
    ///
    /// # Errors
    /// etcd is unreachable or rejects the request.
    pub async fn find_user(&self, master: &CandidateMaster) -> Result<(Option<KeyValue>, Revision), Error> {
        let mut reader = self.store.read(&self.layout.references_of(&master.key), ReadOptions::default());
        let mut user = None;
        while let Some(page) = reader.next().await? {
            user = user.or_else(|| self.user_among(master, &page).cloned());
        }
        Ok((user, reader.revision()))
    }

    /// One of these keys that keeps a master: a reference to its key that names its ID or is unreadable.
    pub fn user_among<'k>(&self, master: &CandidateMaster, kvs: &'k [KeyValue]) -> Option<&'k KeyValue> {
        kvs.iter().find(|kv| {
            self.layout.parse_reference(&kv.key).is_some_and(|(of, _)| of == master.key)
                && Id::parse(&kv.value).is_none_or(|named| named == master.id)
        })
    }
}
