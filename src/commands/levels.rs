//! Splits keys into branches.

#[derive(Clone, Copy, Debug)]
pub struct BranchLevels {
    /// The offset after the prefix: only the rest of a key is split.
    pub base: usize,
    pub separator: u8,
    pub depth: usize,
}

impl BranchLevels {
    /// The end offsets of the key's branches, outermost first. A leading separator does not split.
    pub fn ends(self, key: &[u8]) -> impl Iterator<Item = usize> {
        let is_separator = move |index: &usize| *index > self.base && key[*index] == self.separator;
        (self.base..key.len()).filter(is_separator).map(|index| index + 1).take(self.depth)
    }
}
