//! Selects keys by their revisions.

use clap::Args;

use crate::error::Failure;
use crate::kvstore::{KeyValue, Revision};

/// The options that bound the revisions of keys. kvadm compares them itself: with etcd's own filters, etcd reads the whole range
/// for each page, and streams ignore them.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RevisionBounds {
    /// Select only keys last modified in revision N or later
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(Revision).range(1..), help_heading = "Which keys")]
    pub(super) min_mod_rev: Option<Revision>,
    /// Select only keys last modified in revision N or earlier
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(Revision).range(1..), help_heading = "Which keys")]
    pub(super) max_mod_rev: Option<Revision>,
    /// Select only keys created in revision N or later
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(Revision).range(1..), help_heading = "Which keys")]
    pub(super) min_create_rev: Option<Revision>,
    /// Select only keys created in revision N or earlier
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(Revision).range(1..), help_heading = "Which keys")]
    pub(super) max_create_rev: Option<Revision>,
}

impl RevisionBounds {
    /// Whether nothing is bounded.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that a key can be selected.
    ///
    /// # Errors
    /// A usage error that names the options.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let bounds =
            [("mod", self.min_mod_rev, self.max_mod_rev), ("create", self.min_create_rev, self.max_create_rev)];
        for (which, min, max) in bounds {
            if let (Some(min), Some(max)) = (min, max)
                && min > max
            {
                let why = format!("no key: --min-{which}-rev {min} is after --max-{which}-rev {max}");
                return Err(Failure::usage(why).hint("omit one of the two options"));
            }
        }
        match (self.min_create_rev, self.max_mod_rev) {
            (Some(created), Some(modified)) if created > modified => {
                let why = format!("no key: --min-create-rev {created} is after --max-mod-rev {modified}");
                Err(Failure::usage(why).hint("a key is created before it is modified; omit one of the two options"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the key's revisions are within the bounds.
    pub(super) fn contain(&self, kv: &KeyValue) -> bool {
        let within = |revision: Revision, min: Option<Revision>, max: Option<Revision>| {
            min.is_none_or(|min| revision >= min) && max.is_none_or(|max| revision <= max)
        };
        within(kv.mod_revision, self.min_mod_rev, self.max_mod_rev)
            && within(kv.create_revision, self.min_create_rev, self.max_create_rev)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_included() {
        let kv = KeyValue { create_revision: 5, mod_revision: 9, ..KeyValue::default() };
        let none = RevisionBounds::default();
        assert!(none.is_empty() && none.contain(&kv));
        for (min, max, held) in [(9, 9, true), (8, 10, true), (10, 11, false), (1, 8, false)] {
            let bounds = RevisionBounds { min_mod_rev: Some(min), max_mod_rev: Some(max), ..none };
            assert_eq!((bounds.contain(&kv), bounds.is_empty(), bounds.check().is_ok()), (held, false, true));
        }
        for (min, max, held) in [(5, 5, true), (6, 9, false), (1, 4, false)] {
            let bounds = RevisionBounds { min_create_rev: Some(min), max_create_rev: Some(max), ..none };
            assert_eq!(bounds.contain(&kv), held, "{min}..{max}");
        }
    }

    #[test]
    fn bounds_that_select_nothing_are_refused() {
        let none = RevisionBounds::default();
        let refused = |bounds: RevisionBounds| bounds.check().is_err();
        assert!(refused(RevisionBounds { min_mod_rev: Some(3), max_mod_rev: Some(2), ..none }));
        assert!(refused(RevisionBounds { min_create_rev: Some(3), max_create_rev: Some(2), ..none }));
        assert!(refused(RevisionBounds { min_create_rev: Some(3), max_mod_rev: Some(2), ..none }));
        assert!(!refused(RevisionBounds { min_mod_rev: Some(3), max_create_rev: Some(2), ..none }));
    }
}
