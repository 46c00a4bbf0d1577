//! How keys are cut into branches.

/// How keys are cut into branches.
#[derive(Clone, Copy, Debug)]
pub struct BranchLevels {
    /// Where the part of a key begins that is cut: behind the prefix.
    pub base: usize,
    /// What separates the parts.
    pub separator: u8,
    /// How many levels there are.
    pub depth: usize,
}

impl BranchLevels {
    /// Where the key's branches end, the outermost first; a separator that the rest begins with parts nothing.
    pub fn ends(self, key: &[u8]) -> impl Iterator<Item = usize> {
        let is_separator = move |index: &usize| *index > self.base && key[*index] == self.separator;
        (self.base..key.len()).filter(is_separator).map(|index| index + 1).take(self.depth)
    }
}
