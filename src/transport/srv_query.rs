//! One question for the SRV records of a name to one DNS server, within a time limit.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, RecordType};

/// Aliases (CNAME) that are followed, as many as resolvers usually do.
const MAX_ALIASES: usize = 8;

/// Asks the server, by UDP first; the caller ends the question after `slice`.
pub(crate) async fn query(server: SocketAddr, name: &str, slice: Duration) -> Result<Lookup, NetError> {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = server.port();
    }
    let server = NameServerConfig::new(server.ip(), true, connections);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut options = ResolverOpts::default();
    options.timeout = slice;
    options.attempts = 1;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.num_concurrent_reqs = 1;
    let resolver =
        Resolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build()?;
    // A datagram can be lost. The first question stays open, because a slow server may still answer it.
    let again = async {
        tokio::time::sleep(slice.checked_div(2).unwrap_or(slice)).await;
        follow(&resolver, name).await
    };
    tokio::select! {
        answer = follow(&resolver, name) => answer,
        answer = again => answer,
    }
}

/// Looks up the SRV records of a name or, if the name is an alias, of what the alias stands for. The library takes the target
/// of a record behind an alias for another alias.
async fn follow(resolver: &Resolver<TokioRuntimeProvider>, name: &str) -> Result<Lookup, NetError> {
    let mut name = Name::from_str(name)?;
    let mut aliases = 0_usize;
    loop {
        let error = match resolver.lookup(name.clone(), RecordType::SRV).await {
            Err(error) => error,
            found => return found,
        };
        let NetError::Dns(DnsError::NoRecordsFound(none)) = &error else { return Err(error) };
        aliases = aliases.saturating_add(1);
        if none.query.name() == &name || aliases > MAX_ALIASES {
            return Err(error);
        }
        let Ok(found) = resolver.lookup(name.clone(), RecordType::CNAME).await else { return Err(error) };
        let target = found.answers().iter().find_map(|record| match &record.data {
            RData::CNAME(alias) => Some(alias.0.clone()),
            _ => None,
        });
        match target {
            Some(target) => name = target,
            None => return Err(error),
        }
    }
}
