//! Parsers for option values.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::{Arg, ArgAction, Args};

use crate::duration;
use crate::error::Failure;
use crate::kvstore::{LeaseId, LockGuard, Revision};
use crate::output::bytes;
use crate::transport::TXN_OPS_LIMITS;

/// How keys are written on the command line.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct KeyText {
    /// Decode \xNN, \n, \t, \r, \0 and \\ in keys, prefixes and range ends
    #[arg(long)]
    pub escape: bool,
}

impl KeyText {
    /// The bytes of a key. Inside a namespace, the empty key is the one that equals the namespace.
    ///
    /// # Errors
    /// A usage error for an empty key without a namespace, or an invalid escape.
    pub fn key(self, text: &OsStr, namespace: &[u8]) -> Result<Vec<u8>, Failure> {
        let key = self.bytes(text)?;
        if key.is_empty() && namespace.is_empty() {
            return Err(
                Failure::usage("the key is empty").hint("run 'kvadm list' to print all keys; etcd has no empty key")
            );
        }
        Ok(key)
    }

    /// The bytes of a prefix or a range end, which may be empty.
    ///
    /// # Errors
    /// A usage error for an invalid escape.
    pub fn bytes(self, text: &OsStr) -> Result<Vec<u8>, Failure> {
        if !self.escape {
            return Ok(text.as_bytes().to_vec());
        }
        bytes::unescape(text.as_bytes()).map_err(|error| Failure::usage(format!("--escape: {error}")))
    }
}

/// `--yes` and `--dry-run`, for the verbs that change something. `cli` reads them from wherever they stand on the line.
pub fn safety_options() -> [Arg; 2] {
    let option = |name| Arg::new(name).long(name).action(ArgAction::SetTrue);
    [
        option("yes").help("Skip confirmation prompts"),
        option("dry-run").help("Print what would be done, and change nothing"),
    ]
}

/// `--dry-run` alone, for a verb that asks nothing.
pub fn dry_run_option() -> Arg {
    let [_, dry_run] = safety_options();
    dry_run
}

/// [`safety_options`] for a verb with subcommands: accepted before the subcommand, shown only in the subcommand's help.
pub fn hidden_safety_options() -> [Arg; 2] {
    safety_options().map(|option| option.hide(true))
}

/// The bytes of a value on the command line.
pub fn bytes_of(text: &OsStr) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// The command line of the user's editor: `$VISUAL`, else `$EDITOR`, else vi.
pub fn editor_command() -> OsString {
    chosen_editor().unwrap_or_else(|| OsString::from("vi"))
}

/// The user's editor, if the environment names one.
pub fn chosen_editor() -> Option<OsString> {
    ["VISUAL", "EDITOR"].into_iter().filter_map(std::env::var_os).find(|command| !command.is_empty())
}

/// The largest number of something, at least one.
///
/// # Errors
/// What it must be.
pub fn parse_limit(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "must be a number from 1 on".to_owned())
}

/// A Go duration with its unit, greater than zero.
///
/// # Errors
/// The problem, and a suggestion if a unit is missing.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let time = duration::parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err("must be greater than zero".to_owned()) } else { Ok(time) }
}

/// The shortest period of a repeated command: a smaller one is a mistyped unit, and would send requests without a pause.
pub const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

/// The period of a repeated command.
///
/// # Errors
/// As [`parse_duration`], or less than [`SHORTEST_PERIOD`].
pub fn parse_period(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time < SHORTEST_PERIOD { Err("must be at least 10ms".to_owned()) } else { Ok(time) }
}

/// A TTL in whole seconds, rounded up.
///
/// # Errors
/// Less than one second, which etcd would silently raise to its own minimum, or more than 64 bits of seconds.
pub fn parse_ttl(text: &str) -> Result<i64, String> {
    let time = duration::parse_duration(text).map_err(|error| error.to_string())?;
    if time < Duration::from_secs(1) {
        return Err("must be at least 1s: etcd counts TTLs in seconds".to_owned());
    }
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i64::try_from(seconds).map_err(|_| "too long".to_owned())
}

/// A revision, counted from 1.
///
/// # Errors
/// Zero, a sign, or not a number.
pub fn parse_revision(text: &str) -> Result<Revision, String> {
    match text.parse::<Revision>() {
        Ok(revision) if revision >= 1 && !text.starts_with('+') => Ok(revision),
        Ok(1..) => Err("a revision consists of digits only".to_owned()),
        Ok(_) => Err("revisions start at 1; omit the option for the current revision".to_owned()),
        Err(_) => Err("expected a revision: a whole number from 1 on".to_owned()),
    }
}

/// A bound of revisions; 0 is no bound.
///
/// # Errors
/// A sign, or not a number.
pub fn parse_revision_bound(text: &str) -> Result<Revision, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let revision = text.parse().ok().filter(|_| is_number);
    revision.ok_or_else(|| "expected a revision, or 0 for no bound".to_owned())
}

/// A lease ID in hex, as etcdctl prints it.
///
/// # Errors
/// Zero, or not a 64-bit hex number.
pub fn parse_lease(text: &str) -> Result<LeaseId, String> {
    match text.parse::<LeaseId>() {
        Ok(LeaseId(0)) => Err("0 is not a valid lease ID".to_owned()),
        Ok(lease) => Ok(lease),
        Err(_) => Err("a lease ID is a hex number, such as 694d7c5a1b2c3d4e".to_owned()),
    }
}

/// Requests per second, greater than zero.
///
/// # Errors
/// Zero, a negative number, or not a number.
pub fn parse_qps(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(qps) if qps.is_finite() && qps > 0.0 => Ok(qps),
        _ => Err("must be a number of requests per second greater than 0".to_owned()),
    }
}

/// Operations per transaction.
///
/// # Errors
/// Less than 3, more than 65536, or not a number.
pub fn parse_max_ops(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(ops) if TXN_OPS_LIMITS.contains(&ops) => Ok(ops),
        _ => Err("must be a number of operations from 3 to 65536".to_owned()),
    }
}

/// Reads the `--if-locked` token `KEY@REV`: the lock's absolute key, escaped, and its create revision, split at the last
/// `@`. A bare `--if-locked` takes the token from `KVADM_LOCK`. Options must spell out `Option<Option<OsString>>`: clap
/// recognizes the type by its name, and behind an alias a bare `--if-locked` would look absent.
///
/// # Errors
/// A usage error if there is no token, or if it is invalid.
pub fn parse_lock_token(option: Option<&Option<OsString>>) -> Result<Option<LockGuard>, Failure> {
    let Some(given) = option else { return Ok(None) };
    let (text, from) = match given {
        Some(text) => (text.clone(), "--if-locked"),
        None => match std::env::var_os("KVADM_LOCK") {
            Some(text) if !text.is_empty() => (text, "KVADM_LOCK"),
            _ => {
                return Err(Failure::usage("--if-locked has no lock: KVADM_LOCK is not set")
                    .hint("run it under 'kvadm lock NAME -- COMMAND', or write --if-locked=LOCKKEY@REVISION"));
            }
        },
    };
    let bad = || Failure::usage(format!("{from}: '{}' is not LOCKKEY@REVISION", text.to_string_lossy()));
    let raw = text.as_bytes();
    let at = raw.iter().rposition(|byte| *byte == b'@').ok_or_else(bad)?;
    let key = bytes::unescape(&raw[..at]).map_err(|_| bad())?;
    let revision = std::str::from_utf8(&raw[at + 1..]).ok().and_then(|digits| parse_revision(digits).ok());
    match revision {
        Some(revision) if !key.is_empty() => Ok(Some(LockGuard { key, revision })),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::{check_message, damage, damaged};

    fn token(text: &[u8]) -> Result<Option<LockGuard>, String> {
        parse_lock_token(Some(&Some(OsString::from_vec(text.to_vec())))).map_err(|failure| failure.error.to_string())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// As `lock` prints it and KVADM_LOCK carries it.
        #[test]
        fn a_lock_token_reads_back(key in proptest::collection::vec(any::<u8>(), 1..24), revision in 1..=i64::MAX) {
            let text = format!("{}@{revision}", bytes::escape(&key));
            prop_assert_eq!(token(text.as_bytes()), Ok(Some(LockGuard { key, revision })));
        }

        /// No other lock's token comes of a damaged one unless it says so itself.
        #[test]
        fn a_damaged_token_is_refused_or_whole(damage in damage()) {
            match token(&damaged(b"/locks/\\xff\\t@a/694d7c5a1b2c3d4e@1234", &damage)) {
                Err(message) => check_message(&message)?,
                Ok(None) => prop_assert!(false, "nothing was asked for"),
                Ok(Some(guard)) => {
                    let text = format!("{}@{}", bytes::escape(&guard.key), guard.revision);
                    prop_assert_eq!(token(text.as_bytes()), Ok(Some(guard)));
                }
            }
        }

        /// With `--escape` or without, a key is the bytes that were meant or it is refused.
        #[test]
        fn any_key_gets_an_answer(text in proptest::collection::vec(prop_oneof![Just(b'\\'), Just(b'x'), any::<u8>()], 0..16)) {
            let given = OsString::from_vec(text.clone());
            let plain = KeyText { escape: false }.key(&given, b"").ok();
            prop_assert_eq!(plain, (!text.is_empty()).then(|| text.clone()));
            match (KeyText { escape: true }).bytes(&given) {
                Ok(key) => prop_assert_eq!(bytes::unescape(bytes::escape(&key).as_bytes()), Ok(key)),
                Err(failure) => check_message(&failure.error.to_string())?,
            }
        }

        #[test]
        fn numbers_read_back(lease in any::<i64>(), revision in any::<i64>(), nanos in any::<u32>(), secs in 0..u64::from(u32::MAX)) {
            prop_assert_eq!(parse_lease(&LeaseId(lease).to_string()).ok(), LeaseId::from_wire(lease));
            prop_assert_eq!(parse_revision(&revision.to_string()).ok(), (revision > 0).then_some(revision));
            let time = Duration::from_secs(secs) + Duration::from_nanos(nanos.into());
            let whole = i64::try_from(time.as_nanos().div_ceil(1_000_000_000)).ok();
            let text = duration::format_duration(time);
            prop_assert_eq!(parse_ttl(&text).ok(), whole.filter(|_| time >= Duration::from_secs(1)));
            prop_assert_eq!(parse_duration(&text).ok(), (!time.is_zero()).then_some(time));
        }

        #[test]
        fn a_damaged_number_gets_an_answer(
            text in prop::sample::select(vec!["694d7c5a1b2c3d4e", "1h15m30.918s", "9223372036854775807", "0.25"]),
            damage in damage(),
        ) {
            let text = String::from_utf8_lossy(&damaged(text.as_bytes(), &damage)).into_owned();
            let errors = [
                parse_lease(&text).err(), parse_revision(&text).err(), parse_ttl(&text).err(),
                parse_duration(&text).err(), parse_qps(&text).err(),
            ];
            errors.iter().flatten().try_for_each(|message| check_message(message))?;
            prop_assert!(parse_qps(&text).map_or(true, |qps| qps.is_finite() && qps > 0.0));
        }
    }

    #[test]
    fn near_misses_are_refused() {
        for text in [
            "",
            "@",
            "k",
            "k@",
            "@5",
            "k@0",
            "k@-1",
            "k@+5",
            "k@5 ",
            "k@ 5",
            "k@0x5",
            "k@9223372036854775808",
            "\\q@5",
            "k@5@",
        ] {
            assert!(token(text.as_bytes()).is_err_and(|why| why.contains("is not LOCKKEY@REVISION")), "{text}");
        }
        for text in ["", "0", "0x0", "-1", "+1f", "0x+1f", "0x", "0x0x1", " 1f", "1g", "10000000000000000"] {
            assert!(parse_lease(text).is_err(), "{text}");
        }
        for text in ["", "0", "-1", "+1", "1.0", "0x1", "1e3", " 1", "9223372036854775808"] {
            assert!(parse_revision(text).is_err(), "{text}");
        }
        for text in ["", "0", "0s", "999ms", "-5s", "5", "5d", "1s1", "292277026597h"] {
            assert!(parse_ttl(text).is_err(), "{text}");
        }
        for text in ["", "0", "-1", "nan", "inf", "-inf", "1e999", "1,5", "0x1"] {
            assert!(parse_qps(text).is_err(), "{text}");
        }
    }
}
