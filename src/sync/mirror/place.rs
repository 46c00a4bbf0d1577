//! The place of a mirror: what the place key says, and whether it fits the command. Pure.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::kvstore::{Revision, parse_hex};
use crate::output::bytes;

/// The format of the value that this version writes.
const FORMAT: u64 = 1;

/// Up to where the source has been mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MirrorPosition {
    /// All changes up to this revision of the source are applied.
    pub revision: Revision,
    /// A later revision of which only the first changes are applied.
    pub within: Option<WithinRevision>,
}

/// A part of a revision that is too large for one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object")]
pub struct WithinRevision {
    /// The revision of the source.
    pub revision: Revision,
    /// The number of its changes that are applied, in etcd's order.
    pub ops: u64,
}

/// What is mirrored, with absolute prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorIdentity {
    /// The ID of the source's cluster; 0 if the server does not tell it.
    pub source_cluster: u64,
    /// The source's prefix.
    pub source_prefix: Vec<u8>,
    /// The destination's prefix.
    pub prefix: Vec<u8>,
}

/// Whether the prefix has the state of the place's revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaceState {
    /// It has, with the changes of [`WithinRevision`].
    #[default]
    Following,
    /// A copy was begun and has not ended: some keys are those of a later revision.
    Copying,
}

/// The value of the place key. The prefixes are escaped as kvadm prints keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object")]
pub struct MirrorPlace {
    format: u64,
    /// The ID of the source's cluster in hex.
    source_cluster: String,
    source_prefix: String,
    prefix: String,
    /// The revision of the source up to which all changes are applied; 0 before the end of the first copy.
    revision: Revision,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<WithinRevision>,
    state: PlaceState,
    /// A random number of the process that wrote the place.
    session: String,
    /// The number of the transaction in its session.
    sequence: u64,
    /// Whether keys may have leases.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    leases: bool,
}

/// Why a place cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// The value was not written by a mirror.
    #[error("its value is not the place of a mirror: {0}")]
    NoPlace(String),
    /// Another version of kvadm wrote it.
    #[error("its value has format {0}, which this version of kvadm does not know")]
    Format(u64),
    /// Another cluster was mirrored.
    #[error("it belongs to a mirror of cluster {found}, but the source is cluster {source_cluster}")]
    OtherCluster {
        /// The place's cluster in hex.
        found: String,
        /// The source's cluster in hex.
        source_cluster: String,
    },
    /// Other prefixes were mirrored.
    #[error("it belongs to a mirror of '{found}' to '{found_prefix}', not of '{source_prefix}' to '{prefix}'")]
    OtherPrefix {
        /// The place's source prefix.
        found: String,
        /// The place's prefix.
        found_prefix: String,
        /// The source prefix of the command.
        source_prefix: String,
        /// The prefix of the command.
        prefix: String,
    },
    /// The source has not reached the place's revision.
    #[error(
        "it says that revision {reached} of the source was mirrored, but the source is at revision {now}: the source was \
         restored from a backup, or it is another store"
    )]
    Ahead {
        /// The place's revision.
        reached: Revision,
        /// The source's revision.
        now: Revision,
    },
}

impl MirrorPlace {
    /// The place of a mirror at a position.
    pub fn new(
        identity: &MirrorIdentity,
        position: MirrorPosition,
        state: PlaceState,
        session: &str,
        sequence: u64,
    ) -> Self {
        Self {
            format: FORMAT,
            source_cluster: format!("{:x}", identity.source_cluster),
            source_prefix: bytes::escape(&identity.source_prefix),
            prefix: bytes::escape(&identity.prefix),
            revision: position.revision,
            within: position.within,
            state,
            session: session.to_owned(),
            sequence,
            leases: false,
        }
    }

    /// The place of a mirror whose keys may have leases, or have none.
    #[must_use]
    pub fn with_leases(self, leases: bool) -> Self {
        Self { leases, ..self }
    }

    /// Whether the mirror that wrote the place may have written keys with leases.
    pub fn leases(&self) -> bool {
        self.leases
    }

    /// Reads a place.
    ///
    /// # Errors
    /// Another value, or another format.
    pub fn parse(value: &[u8]) -> Result<Self, PlaceError> {
        #[derive(Deserialize)]
        #[serde(expecting = "an object")]
        struct Header {
            format: u64,
        }
        let no_place = |error: serde_json::Error| PlaceError::NoPlace(error.to_string());
        let header: Header = serde_json::from_slice(value).map_err(no_place)?;
        if header.format != FORMAT {
            return Err(PlaceError::Format(header.format));
        }
        let place: Self = serde_json::from_slice(value).map_err(no_place)?;
        let no_place = |what: &str| Err(PlaceError::NoPlace(what.to_owned()));
        if parse_hex(&place.source_cluster).is_none() {
            return no_place("source_cluster is not a cluster ID");
        }
        if place.revision < 0 || place.within.is_some_and(|within| within.revision <= place.revision) {
            return no_place("its revisions are impossible");
        }
        if place.revision == 0 && place.state == PlaceState::Following {
            return no_place("it has no revision");
        }
        Ok(place)
    }

    /// The value of the place key.
    pub fn to_value(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Checks that the place belongs to this mirror, of a source that is at revision `now`.
    ///
    /// # Errors
    /// The difference.
    pub fn check(&self, identity: &MirrorIdentity, now: Revision) -> Result<(), PlaceError> {
        let found = parse_hex(&self.source_cluster).unwrap_or(0);
        if found != identity.source_cluster && found != 0 && identity.source_cluster != 0 {
            let source_cluster = format!("{:x}", identity.source_cluster);
            return Err(PlaceError::OtherCluster { found: self.source_cluster.clone(), source_cluster });
        }
        let (source_prefix, prefix) = (bytes::escape(&identity.source_prefix), bytes::escape(&identity.prefix));
        if self.source_prefix != source_prefix || self.prefix != prefix {
            let (found, found_prefix) = (self.source_prefix.clone(), self.prefix.clone());
            return Err(PlaceError::OtherPrefix { found, found_prefix, source_prefix, prefix });
        }
        let reached = self.within.map_or(self.revision, |within| within.revision);
        if reached > now {
            return Err(PlaceError::Ahead { reached, now });
        }
        Ok(())
    }

    /// The position.
    pub fn position(&self) -> MirrorPosition {
        MirrorPosition { revision: self.revision, within: self.within }
    }

    /// The state.
    pub fn state(&self) -> PlaceState {
        self.state
    }

    /// Whether this transaction of this session wrote the place.
    pub fn is_of(&self, session: &str, sequence: u64) -> bool {
        self.session == session && self.sequence == sequence
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::{check_message, damage, damaged};

    fn identity() -> MirrorIdentity {
        MirrorIdentity { source_cluster: 0xabc, source_prefix: b"/a/\xff".to_vec(), prefix: b"/b/".to_vec() }
    }

    fn place(revision: Revision, within: Option<WithinRevision>, state: PlaceState) -> MirrorPlace {
        MirrorPlace::new(&identity(), MirrorPosition { revision, within }, state, "1f", 7)
    }

    proptest! {
        #[test]
        fn a_place_reads_back(
            revision in 1..1000i64,
            more in proptest::option::of((1..9i64, any::<u64>())),
            copying in any::<bool>(),
        ) {
            let within = more.map(|(later, ops)| WithinRevision { revision: revision + later, ops });
            let state = if copying { PlaceState::Copying } else { PlaceState::Following };
            let place = place(revision, within, state);
            let read = MirrorPlace::parse(&place.to_value());
            prop_assert_eq!(read.as_ref(), Ok(&place));
            let reached = within.map_or(revision, |within| within.revision);
            prop_assert_eq!(place.check(&identity(), reached), Ok(()));
            prop_assert_eq!(place.check(&identity(), reached - 1), Err(PlaceError::Ahead { reached, now: reached - 1 }));
        }

        #[test]
        fn a_damaged_place_is_refused_or_whole(damage in damage()) {
            let value = place(5, Some(WithinRevision { revision: 9, ops: 300 }), PlaceState::Following).to_value();
            match MirrorPlace::parse(&damaged(&value, &damage)) {
                Err(error) => check_message(&error.to_string())?,
                Ok(place) => prop_assert_eq!(MirrorPlace::parse(&place.to_value()), Ok(place)),
            }
        }
    }

    #[test]
    fn what_does_not_belong_to_the_mirror_is_refused() {
        let place = place(5, None, PlaceState::Following);
        assert!(place.is_of("1f", 7) && !place.is_of("1f", 8) && !place.is_of("1e", 7));
        let other = MirrorIdentity { source_cluster: 0xdef, ..identity() };
        assert!(matches!(place.check(&other, 9), Err(PlaceError::OtherCluster { .. })));
        assert_eq!(place.check(&MirrorIdentity { source_cluster: 0, ..identity() }, 9), Ok(()));
        let other = MirrorIdentity { prefix: b"/c/".to_vec(), ..identity() };
        assert!(matches!(place.check(&other, 9), Err(PlaceError::OtherPrefix { .. })));
        let said = |text: &str| MirrorPlace::parse(text.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(
            said("{\"format\":2}"),
            Err("its value has format 2, which this version of kvadm does not know".into())
        );
        for text in ["", "blue", "{}", "{\"format\":1}", "[]"] {
            assert!(said(text).is_err_and(|why| why.starts_with("its value is not the place of a mirror")), "{text}");
        }
        for (from, to) in [
            ("\"revision\":5", "\"revision\":0"),
            ("\"revision\":5", "\"revision\":-5"),
            ("\"revision\":5", "\"revision\":5,\"within\":{\"revision\":5,\"ops\":1}"),
            ("\"source_cluster\":\"abc\"", "\"source_cluster\":\"xyz\""),
        ] {
            let value = String::from_utf8_lossy(&place.to_value()).replacen(from, to, 1);
            assert!(value.contains(to) && said(&value).is_err(), "{value}");
        }
    }
}
