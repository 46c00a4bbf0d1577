//! Maps keys to numbers, so that the distance of two keys estimates the number of keys between them.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a byte selects one of four words, a key at most MAX_LEARNED_BYTES positions, and numbers stay below MAX_NUMBER"
)]

/// The upper bound of a number, which leaves room for adding and widening steps.
const MAX_NUMBER: u128 = 1 << 112;
/// From this position on, any byte is assumed to occur.
const MAX_LEARNED_BYTES: usize = 1024;
/// The maximum number of keys per page that are used for learning.
const MAX_SAMPLED_KEYS: usize = 64;

/// The bytes that occur at one position of the keys, and whether a key ends there.
#[derive(Clone, Copy, Debug, Default)]
struct KeyPosition {
    bytes: [u64; 4],
    ends: bool,
    /// Whether all bytes of this position are known, because they wrapped around while an earlier byte changed.
    known: bool,
}

impl KeyPosition {
    const ANY: Self = Self { bytes: [u64::MAX; 4], ends: false, known: true };

    /// Adds a byte, and with it the other bytes of its class.
    fn insert(&mut self, byte: u8) {
        let class = match byte {
            b'0'..=b'9' => b'0'..=b'9',
            b'a'..=b'f' => b'a'..=b'f',
            b'g'..=b'z' => b'a'..=b'z',
            b'A'..=b'F' => b'A'..=b'F',
            b'G'..=b'Z' => b'A'..=b'Z',
            b' '..=b'~' => byte..=byte,
            _ => 0..=255,
        };
        for byte in class {
            self.bytes[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
    }

    fn union(&mut self, bytes: [u64; 4]) {
        self.bytes.iter_mut().zip(bytes).for_each(|(own, more)| *own |= more);
    }

    /// Whether a byte that separates the parts of keys is the only one seen.
    fn is_separator(&self) -> bool {
        self.radix() == 1 && !self.ends && b"/:.|".iter().any(|byte| self.digit(*byte).1)
    }

    /// The number of digits; the end of a key is the lowest digit.
    fn radix(&self) -> u128 {
        let bytes: u32 = self.bytes.iter().map(|bits| bits.count_ones()).sum();
        u128::from((bytes + u32::from(self.ends)).max(1))
    }

    /// The lowest digit not below the byte, and whether it stands for this byte.
    fn digit(&self, byte: u8) -> (u128, bool) {
        let (word, bit) = (usize::from(byte / 64), byte % 64);
        let below: u32 = self.bytes[..word].iter().map(|bits| bits.count_ones()).sum::<u32>()
            + (self.bytes[word] & ((1 << bit) - 1)).count_ones();
        (u128::from(below + u32::from(self.ends)), self.bytes[word] >> bit & 1 == 1)
    }

    fn byte(&self, digit: u128) -> Option<u8> {
        let nth = usize::try_from(digit).ok()?.checked_sub(usize::from(self.ends))?;
        (0..=255u8).filter(|byte| self.digit(*byte).1).nth(nth)
    }
}

/// A model of the key space: the bytes that occur at each position.
#[derive(Debug, Default)]
pub(crate) struct KeyspaceModel {
    positions: Vec<KeyPosition>,
    /// The positions with which numbers are formed: a position whose bytes are not all known also has those of the next
    /// known position, unless it separates.
    digits: Vec<KeyPosition>,
}

impl KeyspaceModel {
    pub(crate) fn learn<'a>(&mut self, keys: impl ExactSizeIterator<Item = &'a [u8]>) {
        let each = keys.len().div_ceil(MAX_SAMPLED_KEYS).max(1);
        let mut before: &[u8] = &[];
        for key in keys.step_by(each) {
            let key = &key[..key.len().min(MAX_LEARNED_BYTES)];
            if self.positions.len() <= key.len() {
                self.positions.resize(key.len() + 1, KeyPosition::default());
            }
            for (position, byte) in self.positions.iter_mut().zip(key) {
                position.insert(*byte);
            }
            self.positions[key.len()].ends = true;
            let pairs = before.iter().zip(key).enumerate().skip_while(|(_, (a, b))| a == b).skip(1);
            for (at, _) in pairs.filter(|(_, (a, b))| b <= a) {
                self.positions[at].known = true;
            }
            before = key;
        }
        self.digits.clone_from(&self.positions);
        let mut behind = KeyPosition::default();
        for position in self.digits.iter_mut().rev() {
            if position.is_separator() {
                continue;
            }
            if !position.known {
                position.union(behind.bytes);
            } else if position.radix() > 1 {
                behind = *position;
            }
        }
    }

    fn position_at(&self, at: usize) -> KeyPosition {
        match self.digits.get(at) {
            _ if at >= MAX_LEARNED_BYTES => KeyPosition::ANY,
            Some(position) => *position,
            None => KeyPosition::default(),
        }
    }

    /// The number of combinations of digits at these positions.
    fn numbers(&self, positions: std::ops::Range<usize>) -> u128 {
        positions.fold(1, |all, at| u128::saturating_mul(all, self.position_at(at).radix()))
    }

    /// The largest start before `at` from which the positions up to `at` have at least this many combinations.
    pub(crate) fn earlier_start(&self, at: usize, numbers: u128) -> usize {
        let (mut up, mut all) = (at, 1);
        while up > 0 && all < numbers {
            up -= 1;
            all = u128::saturating_mul(all, self.position_at(up).radix());
        }
        up
    }

    /// The end of the number that starts at position `from`, and its exclusive upper bound.
    fn span(&self, from: usize) -> (usize, u128) {
        let (mut to, mut all) = (from, 1);
        loop {
            let more = u128::saturating_mul(all, self.position_at(to).radix());
            if more > MAX_NUMBER || to > self.positions.len().max(from + 16) {
                return (to, all);
            }
            (to, all) = (to + 1, more);
        }
    }

    /// The smallest number, formed from the positions after `from`, that is not below the key.
    pub(crate) fn number(&self, key: &[u8], from: usize) -> u128 {
        let (to, end) = self.span(from);
        let (mut left, mut number) = (end, 0);
        for at in from..to {
            let position = self.position_at(at);
            left /= position.radix();
            let Some(byte) = key.get(at) else { break };
            let (digit, exact) = position.digit(*byte);
            number += digit * left;
            if !exact {
                break;
            }
        }
        number
    }

    /// The key with these leading bytes and this number; `None` if the number is too large.
    fn key(&self, head: &[u8], number: u128) -> Option<Vec<u8>> {
        let (to, end) = self.span(head.len());
        if number >= end {
            return None;
        }
        let (mut left, mut rest, mut key) = (end, number, head.to_vec());
        for at in head.len()..to {
            if rest == 0 {
                break;
            }
            let position = self.position_at(at);
            left /= position.radix();
            let (digit, remainder) = (rest / left, rest % left);
            // A key ends here but the number continues: the next key has the lowest byte here.
            let byte = position.byte(digit).or_else(|| position.byte(digit + 1).filter(|_| remainder > 0));
            match byte {
                Some(byte) => key.push(byte),
                None => break,
            }
            rest = if digit == 0 && position.ends { 0 } else { remainder };
        }
        Some(key)
    }

    /// The key that is `step` numbers after this one. If the number overflows into earlier bytes, `from` and `step` are
    /// adjusted. `None` if there is no such key.
    pub(crate) fn key_after(&self, key: &[u8], mut from: usize, mut step: u128) -> Option<Vec<u8>> {
        if key.len() < from {
            (from, step) = self.restart_at(from, key.len(), step);
        }
        loop {
            if let Some(found) = self.key(&key[..from], self.number(key, from).saturating_add(step))
                && found.as_slice() > key
            {
                return Some(found);
            }
            if from == 0 {
                return None;
            }
            let up = self.earlier_start(from, 1 << 16);
            (from, step) = self.restart_at(from, up, step);
        }
    }

    /// The step that increments the byte at position `to - 1`.
    pub(crate) fn unit(&self, from: usize, to: usize) -> u128 {
        let (end, all) = self.span(from);
        if to > end { 1 } else { all / self.numbers(from..to) }
    }

    /// The same step for a number that starts at `up`.
    pub(crate) fn restart_at(&self, from: usize, up: usize, step: u128) -> (usize, u128) {
        let (old, new) = (self.span(from).0, self.span(up).0);
        (up, (step / self.numbers(new..old.max(new))).max(1))
    }

    /// The step multiplied by `times`; the number starts earlier if the step does not fit.
    pub(crate) fn widened(&self, mut from: usize, mut step: u128, times: u128) -> (usize, u128) {
        while from > 0 && step.saturating_mul(times) >= self.span(from).1 {
            (from, step) = self.restart_at(from, self.earlier_start(from, 1 << 16), step);
        }
        (from, step.saturating_mul(times))
    }

    /// The difference of two keys' numbers, if both have the leading bytes of the first.
    pub(crate) fn width(&self, key: &[u8], to: &[u8], from: usize) -> u128 {
        let number = if key.get(..from) == to.get(..from) { self.number(to, from) } else { self.span(from).1 };
        number.saturating_sub(self.number(key, from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_never_nothing() {
        let keys: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte; 40]).collect();
        let mut model = KeyspaceModel::default();
        model.learn(keys.iter().map(Vec::as_slice));
        let (end, all) = model.span(0);
        assert!(end < 40 && all > 1 << 100, "{end} {all}");
        for to in 1..=end {
            assert_eq!(model.unit(0, to), all / model.numbers(0..to));
        }
        for to in end..end + 3 {
            assert_eq!(model.unit(0, to), 1, "position {to} of {end}");
        }
    }
}
