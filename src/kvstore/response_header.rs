//! What every response of etcd carries: the store's revision and the cluster's ID.

use crate::kvstore::types::{MAX_REVISION, Revision};

/// Responses that carry the store's revision and the cluster's ID.
pub(crate) trait ResponseHeader {
    /// Whether the revision of the response is never lower than that of a response before the request, unless the
    /// request is serializable.
    const LINEARIZABLE: bool = false;

    fn revision(&self) -> Revision;

    /// 0 if the response does not tell it.
    fn cluster(&self) -> u64 {
        0
    }

    /// Whether the response has no header although etcd sends one. Its IDs may be 0 (grpc-proxy, kine).
    fn lacks_header(&self) -> bool {
        false
    }
}

macro_rules! header {
    ($linearizable:literal: $($answer:ident),*) => {$(
        impl ResponseHeader for etcd_client::$answer {
            const LINEARIZABLE: bool = $linearizable;

            fn cluster(&self) -> u64 {
                self.header().map_or(0, etcd_client::ResponseHeader::cluster_id)
            }

            fn revision(&self) -> Revision {
                self.header().map_or(0, etcd_client::ResponseHeader::revision)
            }

            fn lacks_header(&self) -> bool {
                self.header().is_none()
            }
        }
    )*};
}
header!(true: GetResponse, PutResponse, DeleteResponse, TxnResponse);
header!(
    false: LeaseGrantResponse,
    LeaseRevokeResponse,
    LeaseTimeToLiveResponse,
    LeaseLeasesResponse,
    StatusResponse,
    MemberListResponse,
    MemberAddResponse,
    MemberRemoveResponse,
    MemberUpdateResponse,
    MemberPromoteResponse,
    CompactionResponse,
    DowngradeResponse,
    HashKvResponse
);

/// etcd sends these responses without a header, the alarms up to 3.4.
macro_rules! no_header {
    ($($answer:ident),*) => {$(
        impl ResponseHeader for etcd_client::$answer {
            fn revision(&self) -> Revision {
                0
            }
        }
    )*};
}
no_header!(AlarmResponse, DefragmentResponse, MoveLeaderResponse);

/// Checks that the revision of a response's header is one that a store can have; 0 stands for none.
pub(crate) fn check_revision(revision: Revision) -> Result<(), String> {
    let right = (0..=MAX_REVISION).contains(&revision);
    if right { Ok(()) } else { Err(format!("the store is at revision {revision}")) }
}
