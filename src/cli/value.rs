//! Parsers for the values of options.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::Args;

use crate::config;
use crate::error::Failure;
use crate::kvstore::{LeaseId, LockGuard, Revision};
use crate::output::bytes;

/// How keys are written on the command line.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct KeyText {
    /// Decode \xNN, \n, \t, \r, \0 and \\ in keys, prefixes and range ends
    #[arg(long)]
    pub escape: bool,
}

impl KeyText {
    /// The bytes of a key; it must not be empty.
    ///
    /// # Errors
    /// A usage error for an empty key or a bad escape.
    pub fn key(self, text: &OsStr) -> Result<Vec<u8>, Failure> {
        let key = self.bytes(text)?;
        if key.is_empty() {
            return Err(Failure::usage("the key is empty").hint("etcd has no empty key; for all keys use 'kvadm list'"));
        }
        Ok(key)
    }

    /// The bytes of a prefix or a range end, which may be empty.
    ///
    /// # Errors
    /// A usage error for a bad escape.
    pub fn bytes(self, text: &OsStr) -> Result<Vec<u8>, Failure> {
        if !self.escape {
            return Ok(text.as_bytes().to_vec());
        }
        bytes::unescape(text.as_bytes()).map_err(|error| Failure::usage(format!("--escape: {error}")))
    }
}

/// The bytes of a value on the command line.
pub fn bytes_of(text: &OsStr) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// A Go duration above zero, with its unit.
///
/// # Errors
/// Says what is wrong and what was perhaps meant.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let time = config::parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err("must be above zero".to_owned()) } else { Ok(time) }
}

/// A TTL: whole seconds, at least one, rounded up.
///
/// # Errors
/// Refuses less than a second, which etcd would silently make its own minimum.
pub fn parse_ttl(text: &str) -> Result<i64, String> {
    let time = config::parse_duration(text).map_err(|error| error.to_string())?;
    if time < Duration::from_secs(1) {
        return Err("etcd counts TTLs in seconds; at least 1s".to_owned());
    }
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i64::try_from(seconds).map_err(|_| "too long".to_owned())
}

/// A revision, counted from 1.
///
/// # Errors
/// Refuses 0 and what is no number.
pub fn parse_revision(text: &str) -> Result<Revision, String> {
    match text.parse::<Revision>() {
        Ok(revision) if revision >= 1 => Ok(revision),
        Ok(_) => Err("revisions count from 1; leave the option out for the present".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A lease ID in hex, as etcdctl prints it.
///
/// # Errors
/// Refuses 0 and what is no hex number of 64 bits.
pub fn parse_lease(text: &str) -> Result<LeaseId, String> {
    match text.parse::<LeaseId>() {
        Ok(LeaseId(0)) => Err("0 is no lease".to_owned()),
        Ok(lease) => Ok(lease),
        Err(_) => Err("a lease ID is hex, such as 694d7c5a1b2c3d4e".to_owned()),
    }
}

/// Requests a second, above zero.
///
/// # Errors
/// Refuses zero, negatives and what is no number.
pub fn parse_qps(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(qps) if qps.is_finite() && qps > 0.0 => Ok(qps),
        _ => Err("a number of requests a second above 0".to_owned()),
    }
}

/// Reads `KEY@REV`: the lock's absolute key, escaped, and its create revision, split at the last `@`.
/// Without a token the environment's `KVADM_LOCK` is taken. (The options' type has to be spelt out as it is here: clap
/// knows it by its name, and an alias would make a bare `--if-locked` look like none at all.)
///
/// # Errors
/// A usage error where there is no token, or where it is none.
pub fn parse_lock_token(asked: Option<&Option<OsString>>) -> Result<Option<LockGuard>, Failure> {
    let Some(given) = asked else { return Ok(None) };
    let (text, from) = match given {
        Some(text) => (text.clone(), "--if-locked"),
        None => match std::env::var_os("KVADM_LOCK") {
            Some(text) if !text.is_empty() => (text, "KVADM_LOCK"),
            _ => {
                return Err(Failure::usage("--if-locked without a lock: KVADM_LOCK is not set")
                    .hint("run it under 'kvadm lock NAME -- …', or say --if-locked=LOCKKEY@REVISION"));
            }
        },
    };
    let bad = || Failure::usage(format!("{from}: '{}' is no LOCKKEY@REVISION", text.to_string_lossy()));
    let raw = text.as_bytes();
    let at = raw.iter().rposition(|byte| *byte == b'@').ok_or_else(bad)?;
    let key = bytes::unescape(&raw[..at]).map_err(|_| bad())?;
    let revision = std::str::from_utf8(&raw[at + 1..]).ok().and_then(|digits| parse_revision(digits).ok());
    match revision {
        Some(revision) if !key.is_empty() => Ok(Some(LockGuard { key, revision })),
        _ => Err(bad()),
    }
}
