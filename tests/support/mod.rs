//! What the tests stand on: real etcd servers, the built binary, certificates, a loopback proxy.
//!
//! Nothing here is skipped when a tool is missing: a test that cannot run fails and says what to do.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

pub mod answers;
pub mod binary;
pub mod certs;
pub mod cluster;
pub mod containerd;
pub mod contract;
pub mod databases;
pub mod dns;
pub mod etcd;
pub mod fake_server;
pub mod kvadm;
pub mod library;
pub mod mutation;
pub mod process;
pub mod protobuf;
pub mod proxy;
pub mod running;
pub mod screen;
pub mod spoiler;
pub mod time_limit;
pub mod truth;

pub use certs::Certs;
pub use cluster::{Cluster, Newcomer};
pub use dns::{Dns, DnsAnswer, Srv};
pub use etcd::{Etcd, Options, shared, unique_prefix};
pub use fake_server::{Asked, FakeServer, Reply};
pub use kvadm::{Endpoints, Kvadm, Run};
pub use protobuf::Message;
pub use proxy::{Mode, Proxy};
pub use running::Running;
pub use spoiler::{Plan, Spoil, Spoiler};
pub use truth::Held;

use std::time::{Duration, Instant};

/// Asks `ready` again and again until it says yes.
///
/// # Panics
/// When `within` has passed, naming `what` was waited for.
#[track_caller]
pub fn eventually(what: &str, within: Duration, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + within;
    while !ready() {
        assert!(Instant::now() < end, "waited {within:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
