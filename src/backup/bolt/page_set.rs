//! A set of page IDs. Memory grows with the pages that are added, not with the file, which may be sparse.

use std::collections::HashMap;

/// Pages in one block: a power of two.
const BLOCK_PAGES: u64 = 1 << 15;
const WORD_BITS: u64 = 64;
const WORDS: usize = 512;

/// A set of page IDs.
#[derive(Debug, Default)]
pub(super) struct PageSet {
    blocks: HashMap<u64, Box<[u64; WORDS]>>,
    len: u64,
}

impl PageSet {
    /// Adds a page; `false` if it was in the set.
    pub(super) fn insert(&mut self, page: u64) -> bool {
        let (block, word, bit) = Self::place(page);
        let block = self.blocks.entry(block).or_insert_with(|| Box::new([0; WORDS]));
        let Some(word) = block.get_mut(word) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        self.len = self.len.saturating_add(is_new.into());
        is_new
    }

    /// Whether a page is in the set.
    pub(super) fn contains(&self, page: u64) -> bool {
        let (block, word, bit) = Self::place(page);
        let word = self.blocks.get(&block).and_then(|block| block.get(word));
        word.is_some_and(|word| word & bit != 0)
    }

    /// The number of pages in the set.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The block of a page, its word there, and its bit.
    fn place(page: u64) -> (u64, usize, u64) {
        let in_block = page & BLOCK_PAGES.wrapping_sub(1);
        let word = usize::try_from(in_block.checked_div(WORD_BITS).unwrap_or(0)).unwrap_or(0);
        let bit = 1u64.wrapping_shl(u32::try_from(in_block & 63).unwrap_or(0));
        (page.checked_div(BLOCK_PAGES).unwrap_or(0), word, bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(pages in proptest::collection::vec(prop_oneof![0u64..200, any::<u64>(), 32760u64..32780], 0..300)) {
            let (mut set, mut model) = (PageSet::default(), BTreeSet::new());
            for page in &pages {
                prop_assert_eq!(set.insert(*page), model.insert(*page));
            }
            prop_assert_eq!(set.len(), model.len() as u64);
            for page in 0..200 {
                prop_assert_eq!(set.contains(page), model.contains(&page));
            }
        }
    }
}
