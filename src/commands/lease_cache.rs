//! Caches the TTLs of leases, so that each lease is queried once.

use std::collections::HashMap;

use crate::kvstore::{Error, Grant, LeaseId, Store};

#[derive(Default)]
pub struct LeaseCache(HashMap<LeaseId, Option<Grant>>);

impl LeaseCache {
    /// The granted and remaining TTL; `None` for an expired lease.
    pub async fn grant(&mut self, store: &Store, lease: LeaseId) -> Result<Option<Grant>, Error> {
        if let Some(known) = self.0.get(&lease) {
            return Ok(*known);
        }
        let grant = store.time_to_live(lease).await?;
        self.0.insert(lease, grant);
        Ok(grant)
    }
}
