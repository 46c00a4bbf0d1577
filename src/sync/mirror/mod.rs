//! Keeping a prefix equal to a prefix of another store: first a copy, then the source's changes in order, each once.
//!
//! The *place* is a key of the destination that says up to which revision of the source the prefix has been mirrored.
//! Each transaction that applies changes writes the place too, and compares the place's mod revision. So a transaction is
//! applied once however often it is sent, and of two mirrors with one place only one can write.
//!
//! `place`, `batch` and `lease_mapping` are pure; `pass` compares both sides; `copy` and `writer` write; `leases` keeps the
//! leases of keys alive.

pub(crate) mod batch;
pub(crate) mod copy;
pub(crate) mod error;
pub(crate) mod known;
pub(crate) mod lease_mapping;
pub(crate) mod leases;
pub(crate) mod outage;
pub(crate) mod pass;
pub(crate) mod place;
pub(crate) mod writer;

pub use batch::{BatchLimits, ChangeQueue, MirrorBatch, SourceChange};
pub use copy::{CopyBatch, CopyGuard, CopyOutcome};
pub use error::MirrorError;
pub use known::KnownRevisions;
pub use lease_mapping::LeaseMapping;
pub use leases::{LeaseNews, MirrorLeases};
pub use outage::Outage;
pub use pass::{ComparePass, Overlay, PassCounts, PassRevisions, PrefixDifference};
pub use place::{MirrorIdentity, MirrorPlace, MirrorPosition, PlaceError, PlaceState, WithinRevision};
pub use writer::{PlaceOutcome, PlaceTxn, PlaceWriter};
