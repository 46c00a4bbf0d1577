//! What the requests of the Auth service share.

use crate::kvstore::request::{Idempotency, Request};

/// The header of responses of the Auth service.
macro_rules! auth_header {
    ($($answer:ident),*) => {$(
        impl crate::kvstore::response_header::ResponseHeader for $answer {
            fn cluster(&self) -> u64 {
                self.header().map_or(0, etcd_client::ResponseHeader::cluster_id)
            }

            fn revision(&self) -> crate::kvstore::types::Revision {
                self.header().map_or(0, etcd_client::ResponseHeader::revision)
            }

            fn lacks_header(&self) -> bool {
                self.header().is_none()
            }
        }
    )*};
}
pub(crate) use auth_header;

/// A request that changes users, roles, or authentication itself.
pub(crate) fn auth_change(op: &'static str) -> Request<'static> {
    Request { idempotency: Idempotency::None, ..Request::read(op, &[]) }
}

/// The names of a response, in order.
pub(crate) fn sorted_names(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}
