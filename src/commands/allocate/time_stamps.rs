//! The ages of the time stamps that Cilium keeps in etcd.
//!
//! Wire format: Cilium's operator writes the time to `cilium/.heartbeat` every minute, and clustermesh-apiserver and
//! kvstoremesh write it to `cilium/synced/<cluster>/<prefix>` when the prefix is complete, as RFC 3339.

use std::time::Duration;

use super::remote::RemoteStore;
use crate::context::Context;
use crate::duration::format_duration;
use crate::kvstore::{Error, KeyRange, ReadOptions};
use crate::output::bytes;
use crate::time::Time;

const ROOT: &[u8] = b"cilium/";
const HEARTBEAT: &[u8] = b"cilium/.heartbeat";
const SYNCED: &[u8] = b"cilium/synced/";
/// Time stamps that are printed: a mesh has at most 511 clusters with a few prefixes each.
const MOST: u64 = 4096;
/// Bytes of a value that are printed if it is not a time.
const LONGEST: usize = 40;
const NANOS_PER_SEC: u128 = 1_000_000_000;

/// Prints the ages of a store's time stamps as details, if details are printed and the base is one of Cilium's.
pub async fn print_ages(ctx: &Context, remote: &RemoteStore) {
    if !ctx.out.details() || !remote.layout.base().starts_with(ROOT) {
        return;
    }
    let at = remote.name.as_ref().map_or(String::new(), |name| format!("remote '{}': ", name.escape_debug()));
    match read_ages(remote).await {
        Ok(ages) => ages.iter().for_each(|age| ctx.out.detail(&format!("{at}{age}"))),
        Err(error) => ctx.out.detail(&format!("{at}cannot read Cilium's time stamps: {error}")),
    }
}

async fn read_ages(remote: &RemoteStore) -> Result<Vec<String>, Error> {
    let now = Time::now();
    let (heartbeat, revision) = remote.store.get(HEARTBEAT, 0, None).await?;
    let mut ages = vec![match heartbeat {
        Some(kv) => format_stamp(&kv.key, &kv.value, now),
        None => format!("{}: missing", bytes::escape(HEARTBEAT)),
    }];
    let options = ReadOptions { revision, limit: Some(MOST), ..ReadOptions::default() };
    let mut reader = remote.store.read(&KeyRange::prefix(SYNCED), options);
    while let Some(page) = reader.next().await? {
        ages.extend(page.iter().map(|kv| format_stamp(&kv.key, &kv.value, now)));
    }
    Ok(ages)
}

fn format_stamp(key: &[u8], value: &[u8], now: Time) -> String {
    let key = bytes::escape(key);
    let Some(written) = Time::parse_rfc3339(value) else {
        let shown = bytes::escape(value.get(..LONGEST).unwrap_or(value));
        return format!("{key}: '{shown}' is not a time");
    };
    let nanos = now.nanos_since(written);
    let secs = u64::try_from(nanos.unsigned_abs() / NANOS_PER_SEC).unwrap_or(u64::MAX);
    let age = format_duration(Duration::from_secs(secs));
    let direction = if nanos < 0 { "in the future" } else { "ago" };
    format!("{key}: {age} {direction} ({})", written.format_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_whole_seconds_by_the_writer_s_clock() {
        let now = Time::from_secs(1_594_634_400 + 90);
        let stamp = |value: &str| format_stamp(b"k", value.as_bytes(), now);
        assert_eq!(stamp("2020-07-13T10:00:00Z"), "k: 1m30s ago (2020-07-13 10:00:00 UTC)");
        assert_eq!(stamp("2020-07-13T12:01:30+02:00"), "k: 0s ago (2020-07-13 10:01:30 UTC)");
        assert_eq!(stamp("2020-07-13T10:01:32Z"), "k: 2s in the future (2020-07-13 10:01:32 UTC)");
        assert_eq!(stamp(""), "k: '' is not a time");
        assert_eq!(stamp(&"x".repeat(100)), format!("k: '{}' is not a time", "x".repeat(40)));
    }
}
