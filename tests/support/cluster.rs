//! Clusters of real etcd members on the loopback address.

use super::etcd::{Etcd, Options, Ports};
use std::time::Duration;

/// A cluster whose members can be stopped, killed and paused one by one.
pub struct Cluster {
    /// The members, in no order of meaning.
    pub members: Vec<Etcd>,
}

impl Cluster {
    /// Starts `size` plaintext members and waits until each has a leader.
    #[track_caller]
    pub fn start(size: usize) -> Self {
        Self::start_with(size, &Options::default())
    }

    /// Starts `size` members, each as `options` say.
    #[track_caller]
    pub fn start_with(size: usize, options: &Options) -> Self {
        for _ in 0..5 {
            match Self::attempt(size, options) {
                Ok(cluster) => return cluster,
                Err(why) if why.contains("address already in use") => {}
                Err(why) => panic!("{why}"),
            }
        }
        panic!("the cluster found its ports taken five times in a row")
    }

    fn attempt(size: usize, options: &Options) -> Result<Self, String> {
        let ports: Vec<Ports> = (0..size).map(|_| Ports::free()).collect();
        let peers: Vec<String> =
            ports.iter().enumerate().map(|(at, ports)| format!("m{at}=http://127.0.0.1:{}", ports.peer)).collect();
        let initial = format!("--initial-cluster={}", peers.join(","));
        let launch = |(at, ports): (usize, &Ports)| {
            let mut options =
                options.clone().arg(&initial).arg("--heartbeat-interval=50").arg("--election-timeout=500");
            options.ports = Some(*ports);
            options.name = Some(format!("m{at}"));
            options.launch()
        };
        let mut members: Vec<Etcd> = ports.iter().enumerate().map(launch).collect();
        members.iter_mut().try_for_each(Etcd::wait_healthy)?;
        Ok(Self { members })
    }

    /// Every member's endpoint, joined by commas.
    pub fn endpoints(&self) -> String {
        self.members.iter().map(Etcd::endpoint).collect::<Vec<_>>().join(",")
    }

    /// The index of the member that leads, as the members that run see it.
    ///
    /// # Panics
    /// When none is found within 20 s.
    #[track_caller]
    pub fn leader(&self) -> usize {
        let mut leader = None;
        super::eventually("a leader", Duration::from_secs(20), || {
            leader = self.members.iter().position(leads);
            leader.is_some()
        });
        leader.expect("just found")
    }
}

/// Whether the member says of itself that it leads; one that does not answer does not lead.
fn leads(member: &Etcd) -> bool {
    let output =
        member.etcdctl(&["--dial-timeout=1s", "--command-timeout=1s", "endpoint", "status", "--write-out=json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let status = &status[0]["Status"];
    output.status.success() && status["leader"].is_u64() && status["leader"] == status["header"]["member_id"]
}
