//! The value of a contender's key: the mode of the lock, and its owner for people to read. Pure.
//!
//! Format: an exclusive contender has an empty value or `kvadm/1 FIELDS`, a shared one `shared` or `kvadm/1 shared FIELDS`.
//! Fields are `NAME=VALUE`, percent-escaped and separated by spaces: `host`, `pid`, `user`, `since` (RFC 3339, when the
//! owner joined the queue, by its own clock), `cmd`, and `layout=rw` in the layout of Go's `recipes.RWMutex`. Any other
//! value is an exclusive contender of another program, or the proposal of a candidate: `etcdctl lock`, Go's Mutex and Cilium
//! ignore the value; `etcdctl elect` and Go's Election (`client/v3/concurrency/election.go`) use it for their proposals.

use std::fmt;

use crate::time::Time;

/// The value of a shared contender that names no owner.
pub(crate) const SHARED: &[u8] = b"shared";
/// How a value begins that names its owner.
const OWNED: &[u8] = b"kvadm/1 ";
/// The field of a contender in the layout of Go's `recipes.RWMutex`.
const RW_LAYOUT: &[u8] = b"layout=rw";
/// How much of a value is read: several times what the longest host, user and program name take.
const MAX_VALUE_BYTES: usize = 4096;
/// How much of a field is kept. Host and user names are not longer on Linux.
const MAX_FIELD_CHARS: usize = 64;

/// Who owns a contender's key, as the owner says. Nothing depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockOwner {
    /// The host's name.
    pub host: String,
    /// The process ID of kvadm.
    pub pid: Option<u32>,
    /// The user's name, or the user ID if it has none.
    pub user: String,
    /// When the owner joined the queue, by its own clock.
    pub since: Option<Time>,
    /// The base name of the command that runs under the lock; empty without a command.
    pub cmd: String,
}

/// `HOST:PID USER CMD`, as far as they are known.
impl fmt::Display for LockOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if let Some(pid) = self.pid {
            write!(f, ":{pid}")?;
        }
        [&self.user, &self.cmd].iter().filter(|field| !field.is_empty()).try_for_each(|field| write!(f, " {field}"))
    }
}

impl LockOwner {
    /// Seconds since the owner joined the queue; `None` if that is unknown or in the future.
    pub fn waited_seconds(&self, now: Time) -> Option<u64> {
        u64::try_from(now.nanos_since(self.since?) / 1_000_000_000).ok()
    }
}

/// What a contender writes into its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockLabel<'a> {
    /// Its owner, if it names one, and the mode of the lock.
    Owner(Option<&'a LockOwner>),
    /// The proposal of a candidate in an election. Only for exclusive contenders.
    Proposal(&'a [u8]),
}

impl LockLabel<'_> {
    /// The value of the contender's key.
    pub(crate) fn value(self, mode: LockMode) -> Vec<u8> {
        match self {
            Self::Owner(owner) => format_value(mode, owner),
            Self::Proposal(value) => value.to_vec(),
        }
    }
}

/// How a contender takes a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockMode {
    /// Whether it waits only for contenders that are not shared.
    pub shared: bool,
    /// Whether its key has the layout of Go's `recipes.RWMutex`, whose readers wait for no other keys.
    pub rw: bool,
}

/// The value of a contender's key.
pub(crate) fn format_value(mode: LockMode, owner: Option<&LockOwner>) -> Vec<u8> {
    if owner.is_none() && !mode.rw {
        return if mode.shared { SHARED.to_vec() } else { Vec::new() };
    }
    let owner = owner.cloned().unwrap_or_default();
    let mut value = OWNED.to_vec();
    if mode.shared {
        value.extend(SHARED);
        value.push(b' ');
    }
    if mode.rw {
        value.extend(RW_LAYOUT);
        value.push(b' ');
    }
    let pid = owner.pid.map(|pid| pid.to_string()).unwrap_or_default();
    let since = owner.since.map(|since| Time::from_secs(since.secs).to_string()).unwrap_or_default();
    let fields = [("host", &owner.host), ("pid", &pid), ("user", &owner.user), ("since", &since), ("cmd", &owner.cmd)];
    let given = fields.into_iter().filter(|(_, field)| !field.is_empty());
    let fields: Vec<Vec<u8>> =
        given.map(|(name, field)| [name.as_bytes(), b"=", escape(field).as_slice()].concat()).collect();
    value.extend(fields.join(&b' '));
    value.truncate(value.trim_ascii_end().len());
    value
}

/// Whether the value is a contender's of kvadm in the layout of Go's `recipes.RWMutex`.
pub(crate) fn is_rw(value: &[u8]) -> bool {
    let Some(fields) = value.strip_prefix(OWNED) else { return false };
    fields.split(|byte| *byte == b' ').take(2).any(|field| field == RW_LAYOUT)
}

/// Whether the value is a shared contender's.
pub(crate) fn is_shared(value: &[u8]) -> bool {
    value == SHARED || value.strip_prefix(OWNED).is_some_and(|fields| strip_shared(fields).is_some())
}

/// Whether kvadm would read a proposal with this value as the mode or the owner of a lock.
pub fn is_reserved_proposal(value: &[u8]) -> bool {
    value == SHARED || value.starts_with(OWNED)
}

/// Whether kvadm or a client that writes no value may have written this value.
pub(crate) fn is_contender_value(value: &[u8]) -> bool {
    value.is_empty() || value == SHARED || value.starts_with(OWNED)
}

/// The owner that the value names, if it names one.
pub(crate) fn parse_owner(value: &[u8]) -> Option<LockOwner> {
    let fields = value.strip_prefix(OWNED)?;
    let fields = strip_shared(fields).unwrap_or(fields);
    let mut owner = LockOwner::default();
    let read = fields.get(..MAX_VALUE_BYTES).unwrap_or(fields);
    for field in read.split(|byte| *byte == b' ') {
        let mut parts = field.splitn(2, |byte| *byte == b'=');
        let (Some(name), Some(text)) = (parts.next(), parts.next()) else { continue };
        let text = unescape(text);
        match name {
            b"host" => owner.host = text,
            b"pid" => owner.pid = text.parse().ok(),
            b"user" => owner.user = text,
            b"since" => owner.since = Time::parse_rfc3339(text.as_bytes()),
            b"cmd" => owner.cmd = text,
            _ => {}
        }
    }
    (owner != LockOwner::default()).then_some(owner)
}

fn strip_shared(fields: &[u8]) -> Option<&[u8]> {
    let rest = fields.strip_prefix(SHARED)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b" ") }
}

fn escape(text: &str) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            escaped.push(byte);
        } else {
            escaped.extend(format!("%{byte:02X}").bytes());
        }
    }
    escaped
}

/// Decodes a field and cuts it. An invalid escape stays as it is; bytes that are not UTF-8 are replaced.
fn unescape(field: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let code = after.get(..2).filter(|code| *byte == b'%' && code.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*byte));
        rest = if code.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    let text = String::from_utf8_lossy(&bytes);
    match text.char_indices().nth(MAX_FIELD_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner() -> LockOwner {
        LockOwner {
            host: "node-1".to_owned(),
            pid: Some(4711),
            user: "web ops%".to_owned(),
            since: Time::parse_rfc3339(b"2026-11-29T01:02:03Z"),
            cmd: "réplique".to_owned(),
        }
    }

    const SHARED_MODE: LockMode = LockMode { shared: true, rw: false };

    #[test]
    fn a_value_says_the_mode_and_the_layout() {
        for shared in [false, true] {
            for rw in [false, true] {
                for owner in [None, Some(owner())] {
                    let value = format_value(LockMode { shared, rw }, owner.as_ref());
                    assert_eq!((is_shared(&value), is_rw(&value)), (shared, rw), "{}", value.escape_ascii());
                    assert_eq!((parse_owner(&value), is_contender_value(&value)), (owner, true));
                }
            }
        }
        assert_eq!(format_value(LockMode { shared: true, rw: true }, None), b"kvadm/1 shared layout=rw");
        assert_eq!(format_value(LockMode { shared: false, rw: true }, None), b"kvadm/1 layout=rw");
    }

    #[test]
    fn an_owner_survives_the_value() {
        let text = "kvadm/1 host=node-1 pid=4711 user=web%20ops%25 since=2026-11-29T01:02:03Z cmd=r%C3%A9plique";
        assert_eq!(String::from_utf8(format_value(LockMode::default(), Some(&owner()))).unwrap(), text);
        assert_eq!(parse_owner(text.as_bytes()), Some(owner()));
        assert!(!is_shared(text.as_bytes()) && is_contender_value(text.as_bytes()));
        let shared = format_value(SHARED_MODE, Some(&owner()));
        assert!(shared.starts_with(b"kvadm/1 shared host=node-1 ") && is_shared(&shared));
        assert_eq!(parse_owner(&shared), Some(owner()));
        assert_eq!(owner().to_string(), "node-1:4711 web ops% réplique");
        assert_eq!(owner().waited_seconds(Time::parse_rfc3339(b"2026-11-29T01:02:15.9Z").unwrap()), Some(12));
        assert_eq!(owner().waited_seconds(Time::default()), None);
    }

    #[test]
    fn other_values_are_exclusive_and_name_nobody() {
        for (value, shared, contender) in [
            (b"".as_slice(), false, true),
            (b"shared", true, true),
            (b"shared ", false, false),
            (b"kvadm/1 sharedhost=a", false, true),
            (b"kvadm/1 shared", true, true),
            (b"kvadm/2 shared host=a", false, false),
            (b"leader-1", false, false),
        ] {
            assert_eq!((is_shared(value), is_contender_value(value)), (shared, contender), "{}", value.escape_ascii());
        }
        assert_eq!(parse_owner(b"leader-1"), None);
        let values = (format_value(LockMode::default(), None), format_value(SHARED_MODE, None));
        assert_eq!(values, (Vec::new(), SHARED.to_vec()));
    }

    #[test]
    fn a_proposal_is_written_as_it_is_and_never_taken_for_a_mode_or_an_owner() {
        let written = |value: &[u8]| LockLabel::Proposal(value).value(LockMode::default());
        for value in [b"".as_slice(), b"node-1:8080", b"sharedness", b"kvadm/1", b"kvadm/2 x", b"\xff\x00"] {
            assert_eq!((written(value).as_slice(), is_reserved_proposal(value)), (value, false));
            assert!(!is_shared(value) && parse_owner(value).is_none());
        }
        for value in [b"shared".as_slice(), b"kvadm/1 shared", b"kvadm/1 host=a", b"kvadm/1 "] {
            assert!(is_reserved_proposal(value), "{}", value.escape_ascii());
        }
        assert_eq!(LockLabel::Owner(None).value(SHARED_MODE), SHARED);
    }

    #[test]
    fn a_huge_field_is_cut() {
        let value = [OWNED, b"host=", &vec![b'x'; 1 << 20]].concat();
        assert_eq!(parse_owner(&value).unwrap().host, format!("{}…", "x".repeat(MAX_FIELD_CHARS)));
    }

    proptest! {
        #[test]
        fn any_value_gets_an_answer(value in proptest::collection::vec(any::<u8>(), 0..200), shared: bool) {
            let fields = if shared { [OWNED, SHARED, b" ", &value].concat() } else { [OWNED, &value].concat() };
            let shown = parse_owner(&fields).unwrap_or_default().to_string();
            prop_assert!(shown.chars().count() < 4 * (MAX_FIELD_CHARS + 16));
            parse_owner(&value);
        }

        #[test]
        fn fields_round_trip(host in "\\PC{1,60}", user in "\\PC{0,60}", cmd in "\\PC{0,60}", pid: u32) {
            let owner = LockOwner { host, pid: Some(pid), user, since: None, cmd };
            prop_assert_eq!(parse_owner(&format_value(LockMode::default(), Some(&owner))), Some(owner));
        }
    }
}
