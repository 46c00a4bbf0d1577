//! Reads bbolt databases, as etcd's storage library writes them. Knows nothing of etcd.
//!
//! The file is read with `pread`, never mapped, so that a file that changes or shrinks is an error and no signal. Every
//! offset, length and page ID of the file is checked before it is used.

mod cursor;
mod file;
mod page;
mod page_set;
mod reader;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod walk;
#[cfg(test)]
mod walk_tests;

pub use cursor::{Bucket, Cursor, Element};
pub use file::{BoltError, BoltFile, Damage};
pub use page::{MetaFault, PageFault};
pub use walk::{ElementCheck, PageWalk, WalkEnd};
