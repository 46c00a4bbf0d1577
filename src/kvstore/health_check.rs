//! Whether a member that has not answered yet is still working.

use std::sync::atomic::{AtomicBool, Ordering};

use etcd_client::Client;
use tonic::Code;

use crate::kvstore::store::Store;
use crate::transport::Notice;

impl Store {
    /// Whether the member answers a status request, even with a refusal. `noted` is whether the user knows that the member
    /// is still working on `op`.
    pub(crate) async fn is_responsive(&self, client: &Client, op: &'static str, noted: &AtomicBool) -> bool {
        let responsive = match client.maintenance_client().status().await {
            Ok(_) => true,
            Err(etcd_client::Error::GRpcStatus(status)) => {
                matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated)
            }
            Err(_) => false,
        };
        if responsive && !noted.swap(true, Ordering::Relaxed) {
            self.session.observer.notice(Notice::Detail, &format!("{op}: the member is still working; waiting"));
        }
        responsive
    }
}
