//! Clusters of real etcd members on the loopback address.

use super::etcd::{Etcd, Options, Ports};
use std::time::Duration;

/// Heartbeats and elections that are quicker than etcd's defaults.
const QUICK: [&str; 2] = ["--heartbeat-interval=50", "--election-timeout=500"];

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
            let mut options = options.clone().arg(&initial).arg(QUICK[0]).arg(QUICK[1]);
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

/// A member whose place is known before its process runs.
pub struct Newcomer {
    /// Its name.
    pub name: String,
    ports: Ports,
}

impl Newcomer {
    /// On free ports.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ports: Ports::free() }
    }

    /// At the address of a member, which is gone.
    pub fn in_place_of(name: &str, member: &Etcd) -> Self {
        Self { name: name.to_owned(), ports: member.ports() }
    }

    /// Its peer URL.
    pub fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.peer)
    }

    /// Starts the process as a member of a cluster that has it in its list, without waiting for it.
    pub fn join(&self, initial_cluster: &str) -> Etcd {
        self.launch(initial_cluster, "existing")
    }

    /// Starts the process as the only member of a new cluster, and waits until it is healthy.
    #[track_caller]
    pub fn start_alone(&self) -> Etcd {
        let mut etcd = self.launch(&format!("{}={}", self.name, self.peer_url()), "new");
        etcd.wait_healthy().unwrap_or_else(|why| panic!("{why}"));
        etcd
    }

    fn launch(&self, initial_cluster: &str, state: &str) -> Etcd {
        let initial = [format!("--initial-cluster={initial_cluster}"), format!("--initial-cluster-state={state}")];
        let args = initial.into_iter().chain(QUICK.map(str::to_owned));
        let mut options = args.fold(Options::default(), Options::arg);
        options.ports = Some(self.ports);
        options.name = Some(self.name.clone());
        options.launch()
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
