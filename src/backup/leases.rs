//! The leases of a database file.

use super::error::BackupError;
use super::etcd_file::EtcdFile;
use super::schema::{LEASE_BUCKET, varint};
use crate::kvstore::LeaseId;

/// The granted TTL of a lease in seconds; `None` if the file has no such lease.
///
/// The bucket `lease` has a `leasepb.Lease` (etcd's `server/lease/leasepb/lease.proto`) by the big-endian ID.
///
/// # Errors
/// The file is damaged or cannot be read.
pub fn lease_ttl(file: &EtcdFile, lease: LeaseId) -> Result<Option<i64>, BackupError> {
    let Some(bucket) = file.bolt().bucket(LEASE_BUCKET).map_err(|error| file.error(error))? else { return Ok(None) };
    let (mut cursor, id) = (bucket.cursor(), lease.0.to_be_bytes());
    let found = cursor.seek(&id).and_then(|()| cursor.next()).map_err(|error| file.error(error))?;
    Ok(found.filter(|element| element.key == id && !element.is_bucket).and_then(|element| granted_ttl(element.value)))
}

/// The field `TTL` of a lease, which has numbers only: `ID` = 1, `TTL` = 2, `RemainingTTL` = 3.
fn granted_ttl(mut bytes: &[u8]) -> Option<i64> {
    let mut ttl = None;
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = if tag & 7 == 0 { varint(&mut bytes)? } else { return None };
        if tag >> 3 == 2 {
            ttl = Some(number.cast_signed());
        }
    }
    ttl.filter(|ttl| *ttl > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ttl_is_found_in_a_lease() {
        assert_eq!(granted_ttl(b"\x08\x07\x10\xac\x02\x18\x05"), Some(300));
        assert_eq!(granted_ttl(b"\x08\x07"), None);
        assert_eq!(granted_ttl(b"\x08\x07\x10"), None);
        assert_eq!(granted_ttl(b"\x0a\x01x\x10\x05"), None);
    }
}
