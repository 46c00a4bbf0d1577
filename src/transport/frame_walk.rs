//! Looks in a peer's HTTP/2 frames for the word that it has processed nothing (RFC 9113, 6.8).

/// The size of an HTTP/2 frame header in bytes (RFC 9113, 4.1).
pub(crate) const FRAME_HEADER: usize = 9;
/// The type of a SETTINGS frame.
pub(crate) const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// The length of a frame's payload, from its three bytes.
fn payload_bytes(a: u8, b: u8, c: u8) -> usize {
    usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX)
}

/// Follows the peer's frames up to its first response or GOAWAY.
#[derive(Default)]
pub(crate) struct FrameWalk {
    /// The bytes of the current frame that are needed: its header and, of a GOAWAY, the last stream.
    wanted: Vec<u8>,
    /// The bytes of the current frame's payload still to skip.
    skip: usize,
    done: bool,
}

impl FrameWalk {
    /// Takes the next bytes; `true` if they complete a GOAWAY with 0 as the last stream.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> bool {
        while !self.done && !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip = self.skip.saturating_sub(skipped);
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else { break };
            self.wanted.push(*byte);
            bytes = rest;
            match self.wanted.as_slice() {
                // The first bit is reserved.
                [_, _, _, GOAWAY, _, 0, 0, 0, 0, 0 | 0x80, 0, 0, 0] => {
                    self.done = true;
                    return true;
                }
                // A server that shuts down may announce it first, with the highest possible stream.
                [a, b, c, GOAWAY, _, 0, 0, 0, 0, _, _, _, _] => {
                    self.skip = payload_bytes(*a, *b, *c).saturating_sub(4);
                    self.wanted.clear();
                }
                [a, b, c, kind, _, 0, 0, 0, 0] if *kind != GOAWAY => {
                    self.skip = payload_bytes(*a, *b, *c);
                    self.wanted.clear();
                }
                // A frame of a request's stream: its response.
                [_, _, _, _, _, stream @ ..] if stream.len() == 4 && stream != [0; 4] => self.done = true,
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_a_goaway_before_any_response_says_that_nothing_was_processed() {
        let frame = |kind: u8, stream: u8, payload: &[u8]| {
            let header = [0, 0, u8::try_from(payload.len()).unwrap(), kind, 0, 0, 0, 0, stream];
            [header.as_slice(), payload].concat()
        };
        let goaway = |last: [u8; 4]| frame(GOAWAY, 0, &[last.as_slice(), &[0, 0, 0, 0]].concat());
        let (settings, headers) = (frame(SETTINGS, 0, &[0, 3, 0, 0, 0, 9]), frame(1, 1, b"x"));
        let cases = [
            (vec![settings.clone(), goaway([0, 0, 0, 0])], true),
            (vec![settings.clone(), frame(SETTINGS, 0, b""), goaway([0x80, 0, 0, 0])], true),
            (vec![settings.clone(), goaway([0, 0, 0, 1])], false),
            (vec![settings.clone(), goaway([0x7f, 0xff, 0xff, 0xff]), goaway([0, 0, 0, 0])], true),
            (vec![settings.clone(), headers, goaway([0, 0, 0, 0])], false),
            (vec![settings, frame(6, 0, &[GOAWAY; 8])], false),
        ];
        for (frames, expected) in cases {
            let bytes = frames.concat();
            for size in [1, 2, 5, bytes.len()] {
                let mut walk = FrameWalk::default();
                let mut found = false;
                bytes.chunks(size).for_each(|chunk| found |= walk.take(chunk));
                assert_eq!(found, expected, "{frames:?} in pieces of {size}");
            }
        }
    }
}
