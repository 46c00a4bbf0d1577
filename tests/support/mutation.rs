//! Random changes of protobuf messages and of answers, the same for the same seed.

use super::fake_server::Reply;
use super::protobuf::{Message, Value};

/// A generator of numbers (splitmix64): a seed gives the same ones everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.bits() % end as u64).unwrap()
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// Numbers at which something changes.
const NUMBERS: &[i64] =
    &[0, 1, -1, 2, 3, 7, 39, 40, 41, 42, 1 << 31, -(1 << 31), 9_000_000_001, i64::MAX, i64::MIN, i64::MAX - 1];
/// Bytes that mean something to a parser.
const BYTES: &[&[u8]] =
    &[b"", b"\0", b"/", b"/a/1", b"/a/9", b"/b", b"\xff\xff", b"http://[::1", b"3.x", b"-1", b"\xc3\x28"];

/// The message with a change, somewhere in it.
pub fn mutated(message: &Message, random: &mut Random) -> Message {
    if random.one_in(12) {
        return damaged(message, random);
    }
    let mut fields = message.fields();
    if fields.is_empty() {
        return Message::new().int(u32::try_from(1 + random.below(12)).unwrap(), random.pick(NUMBERS));
    }
    let at = random.below(fields.len());
    match random.below(8) {
        0 => drop(fields.remove(at)),
        1 => fields.insert(at, fields[at].clone()),
        2 => fields.rotate_left(at),
        3 => fields[at].0 = u32::try_from(1 + random.below(12)).unwrap(),
        4 => fields.extend(vec![fields[at].clone(); 1 + random.below(40)]),
        _ => {
            let value = match &fields[at].1 {
                Value::Int(value) if random.one_in(3) => Value::Int(value.wrapping_add(random.pick(&[1, -1]))),
                Value::Int(_) => Value::Int(random.pick(NUMBERS)),
                Value::Bytes(bytes) => Value::Bytes(mutated_bytes(bytes, random)),
            };
            fields[at].1 = value;
        }
    }
    fields.iter().fold(Message::new(), |message, (field, value)| match value {
        Value::Int(value) => message.int(*field, *value),
        Value::Bytes(bytes) => message.bytes(*field, bytes),
    })
}

/// What looks like a message is changed inside, most of the time.
fn mutated_bytes(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let inner = Message(bytes.to_vec());
    match random.below(6) {
        0 => random.pick(BYTES).to_vec(),
        1 => damaged(&inner, random).0,
        2 => [bytes, random.pick(BYTES)].concat(),
        _ if inner.fields().is_empty() => damaged(&inner, random).0,
        _ => mutated(&inner, random).0,
    }
}

/// Bytes cut off, changed or added, whatever they mean.
fn damaged(message: &Message, random: &mut Random) -> Message {
    let mut bytes = message.0.clone();
    if bytes.is_empty() {
        return Message(vec![random.bits() as u8]);
    }
    let at = random.below(bytes.len());
    match random.below(3) {
        0 => bytes.truncate(at),
        1 => bytes[at] = random.bits() as u8,
        _ => bytes.insert(at, random.bits() as u8),
    }
    Message(bytes)
}

/// The answer with a change.
pub fn mutated_reply(reply: Reply, random: &mut Random) -> Reply {
    let change = |mut messages: Vec<Message>, random: &mut Random| {
        let at = random.below(messages.len().max(1));
        if let Some(message) = messages.get_mut(at) {
            for _ in 0..=random.below(3) {
                *message = mutated(message, random);
            }
        }
        messages
    };
    match (random.below(16), reply) {
        (0, Reply::Messages(messages) | Reply::Open(messages)) => Reply::Endless(messages),
        (1, _) => Reply::Messages(Vec::new()),
        (2, Reply::Messages(messages) | Reply::Open(messages)) => {
            Reply::Messages([messages.clone(), messages].concat())
        }
        (3, _) => {
            let texts = ["etcdserver: mvcc: required revision has been compacted", "etcdserver: no leader", "", "%%%"];
            Reply::Refusal(u32::try_from(random.below(20)).unwrap(), random.pick(&texts).to_owned())
        }
        (_, Reply::Open(messages)) => Reply::Open(change(messages, random)),
        (_, Reply::Messages(messages)) => Reply::Messages(change(messages, random)),
        (_, other) => other,
    }
}
