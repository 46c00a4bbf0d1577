//! Splits keys into branches.

/// How keys are split into branches: at a separator, down to a depth.
#[derive(Clone, Copy, Debug)]
pub struct BranchLevels {
    /// The offset after the prefix: only the rest of a key is split.
    pub base: usize,
    /// The byte that separates the levels.
    pub separator: u8,
    /// The number of levels.
    pub depth: usize,
}

impl BranchLevels {
    /// The end offsets of the key's branches, outermost first. A leading separator does not split.
    pub fn ends(self, key: &[u8]) -> impl Iterator<Item = usize> {
        let is_separator = move |index: &usize| *index > self.base && key[*index] == self.separator;
        (self.base..key.len()).filter(is_separator).map(|index| index + 1).take(self.depth)
    }

    /// The key's branch at the deepest level; the whole key if it has fewer levels.
    pub fn branch(self, key: &[u8]) -> &[u8] {
        let end = self.ends(key).nth(self.depth.saturating_sub(1));
        &key[..end.unwrap_or(key.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn levels(base: usize, depth: usize) -> BranchLevels {
        BranchLevels { base, separator: b'/', depth }
    }

    #[test]
    fn a_branch_ends_with_a_separator_and_a_shallow_key_is_its_own() {
        let branch = |base, depth, key: &'static str| levels(base, depth).branch(key.as_bytes());
        assert_eq!(branch(0, 2, "/registry/pods/a/b"), b"/registry/pods/");
        assert_eq!(branch(0, 1, "/registry/pods/a/b"), b"/registry/");
        assert_eq!(branch("/registry/".len(), 1, "/registry/pods/a/b"), b"/registry/pods/");
        assert_eq!(branch(0, 3, "/registry/pods"), b"/registry/pods");
        assert_eq!(branch(0, 1, "plain"), b"plain");
        assert_eq!(branch("/registry".len(), 1, "/registry/pods/a"), b"/registry/pods/");
    }

    proptest! {
        #[test]
        fn a_branch_begins_its_key_and_has_the_levels(
            key in proptest::collection::vec(prop_oneof![Just(b'/'), any::<u8>()], 1..40),
            base in 0usize..5, depth in 1usize..4,
        ) {
            let levels = levels(base.min(key.len()), depth);
            let branch = levels.branch(&key);
            prop_assert!(key.starts_with(branch) && !branch.is_empty());
            prop_assert_eq!(levels.ends(branch).count(), levels.ends(&key).count());
            prop_assert!(branch == key || branch.last() == Some(&b'/'));
        }
    }
}
