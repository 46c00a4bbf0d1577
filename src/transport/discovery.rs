//! Finds the endpoints of a cluster by the SRV records of its domain (`--discovery-srv`), as etcdctl does.
//!
//! The records are those that etcd's `client/pkg/srv` asks for: `_etcd-client-ssl._tcp.DOMAIN` for members with TLS and
//! `_etcd-client._tcp.DOMAIN` for members without. DNS answers can be forged. So an endpoint without TLS counts only with
//! `--insecure-discovery`, and [`crate::transport::tls`] compares certificates with the domain.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::{Instant, timeout};

use crate::plural::counted;
use crate::transport::cause::format_io_error;
use crate::transport::endpoint::Endpoint;
use crate::transport::options::{DiscoveryFailure, DiscoveryOutcome, SrvDiscovery};
use crate::transport::resolv_conf::{MAX_SERVERS, servers};

/// Endpoints that are taken from an answer: far more than a cluster has members.
const MAX_ENDPOINTS: usize = 64;

/// The part of a name from a DNS server that is shown.
const SHOWN_CHARS: usize = 80;

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SrvRecord {
    priority: u16,
    weight: u16,
    port: u16,
    /// Without the trailing dot.
    target: String,
}

/// Looks up the endpoints, within the limit. Failures are part of the outcome.
pub async fn discover(wanted: &SrvDiscovery, limit: Duration) -> DiscoveryOutcome {
    let started = Instant::now();
    let mut outcome = look_up(wanted, limit).await;
    outcome.took = started.elapsed();
    outcome
}

async fn look_up(wanted: &SrvDiscovery, limit: Duration) -> DiscoveryOutcome {
    let servers = match servers(&wanted.resolv_conf) {
        Ok(servers) => servers,
        Err(cause) => {
            let hint = "check the file, or name another one with KVADM_RESOLV_CONF".to_owned();
            return DiscoveryOutcome { failure: Some(DiscoveryFailure { cause, hint }), ..Default::default() };
        }
    };
    let (with_tls, without) = (service(wanted, "-ssl"), service(wanted, ""));
    let (with_tls, without) = tokio::join!(ask(&servers, &with_tls, limit), ask(&servers, &without, limit));
    let mut outcome = DiscoveryOutcome::default();
    let (mut dropped, mut failed) = (0_usize, Vec::new());
    for (scheme, answer) in [("https", with_tls), ("http", without)] {
        let records = match answer.records {
            Ok(records) => records,
            Err(cause) => {
                let line = format!("{}: {cause}", answer.name);
                outcome.answers.push(line.clone());
                failed.push((line, cause));
                continue;
            }
        };
        let line = format!("{}: {} from {}", answer.name, counted(records.len(), "record"), answer.server);
        outcome.answers.push(line);
        for record in in_order(records, random()) {
            let text = format!("{}:{}", record.target, record.port);
            let endpoint = match Endpoint::parse(&format!("{scheme}://{text}"), scheme == "https") {
                _ if record.target.is_empty() => continue,
                Ok(endpoint) => endpoint,
                Err(_) => {
                    outcome.warnings.push(format!("{}: '{}' is not a valid host and port", answer.name, shown(&text)));
                    continue;
                }
            };
            if scheme == "http" && !wanted.insecure {
                dropped = dropped.saturating_add(1);
            } else if !outcome.endpoints.contains(&endpoint) {
                outcome.hosts.push(endpoint.host.clone());
                outcome.endpoints.push(endpoint);
            }
        }
    }
    outcome.warnings.truncate(MAX_SERVERS);
    if outcome.endpoints.len() > MAX_ENDPOINTS {
        let text = format!(
            "DNS has {} endpoints for {}; the first {MAX_ENDPOINTS} are used",
            outcome.endpoints.len(),
            wanted.domain
        );
        outcome.warnings.push(text);
        outcome.endpoints.truncate(MAX_ENDPOINTS);
    }
    if dropped > 0 {
        let text = format!(
            "{} of {} without TLS {} ignored; --insecure-discovery uses endpoints without TLS too",
            counted(dropped, "endpoint"),
            service(wanted, "").trim_end_matches('.'),
            if dropped == 1 { "is" } else { "are" },
        );
        outcome.warnings.push(text);
    }
    if outcome.endpoints.is_empty() {
        outcome.failure = Some(failure(&outcome.answers, dropped, failed));
    }
    outcome
}

fn failure(answers: &[String], dropped: usize, failed: Vec<(String, String)>) -> DiscoveryFailure {
    let dig = answers.first().and_then(|line| line.split(": ").next()).unwrap_or_default();
    let dig = format!("run 'dig {dig} SRV' to see what the DNS server answers, or list the endpoints with --endpoints");
    if dropped > 0 {
        let cause = format!("DNS names only endpoints without TLS ({})", answers.join("; "));
        let hint = "add --insecure-discovery if the network is trusted: DNS answers can be forged".to_owned();
        return DiscoveryFailure { cause, hint };
    }
    let mut causes = failed.into_iter();
    let cause = match (causes.next(), causes.next()) {
        (Some((first, cause)), Some((second, other))) if cause == other => {
            let second = second.split(": ").next().unwrap_or_default().to_owned();
            format!("{} and {second}: {cause}", first.split(": ").next().unwrap_or_default())
        }
        _ => answers.join("; "),
    };
    DiscoveryFailure { cause, hint: dig }
}

/// The name of the service, which etcd's `GetSRVService` makes, in the domain.
fn service(wanted: &SrvDiscovery, kind: &str) -> String {
    let name = wanted.name.as_ref().map_or_else(String::new, |name| format!("-{name}"));
    format!("_etcd-client{kind}{name}._tcp.{}.", wanted.domain.trim_end_matches('.'))
}

/// The domain, as it is compared and shown.
///
/// # Errors
/// What is wrong with it.
pub fn check_domain(domain: &str, name: Option<&str>) -> Result<String, String> {
    let plain = domain.trim_end_matches('.').to_ascii_lowercase();
    let allowed = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if plain.is_empty() || !allowed(&plain) || plain.split('.').any(str::is_empty) {
        return Err(format!("'{}' is not a domain name", shown(domain)));
    }
    if let Some(name) = name.filter(|name| name.is_empty() || name.contains('.') || !allowed(name)) {
        return Err(format!("'{}' is not a valid name of a service", shown(name)));
    }
    let wanted = SrvDiscovery {
        domain: plain.clone(),
        name: name.map(str::to_owned),
        insecure: false,
        resolv_conf: std::path::PathBuf::new(),
        outcome: None,
    };
    Name::from_str(&service(&wanted, "-ssl"))
        .map_err(|_| format!("'{}' is too long for a domain name", shown(domain)))?;
    Ok(plain)
}

/// The answer to one question.
struct SrvAnswer {
    /// The name without the trailing dot.
    name: String,
    server: SocketAddr,
    records: Result<Vec<SrvRecord>, String>,
}

/// Asks the servers one after the other, until one has an answer, which may be that there is no record.
async fn ask(servers: &[SocketAddr], name: &str, limit: Duration) -> SrvAnswer {
    let ends = crate::duration::from_now(limit);
    let mut causes: Vec<String> = Vec::new();
    let asked = |server, records| SrvAnswer { name: name.trim_end_matches('.').to_owned(), server, records };
    for (index, server) in servers.iter().enumerate() {
        let left = u32::try_from(servers.len().saturating_sub(index)).unwrap_or(u32::MAX).max(1);
        let slice = ends.saturating_duration_since(Instant::now()).checked_div(left).unwrap_or_default();
        let answer = timeout(slice, query(*server, name, slice)).await.unwrap_or(Err(NetError::Timeout));
        match answer {
            Ok(answer) => return asked(*server, Ok(records(&answer))),
            Err(error) => {
                let nominal = limit.checked_div(left).unwrap_or(limit);
                let (cause, is_final) = describe(&error, *server, nominal);
                causes.push(cause);
                if is_final {
                    return asked(*server, Err(causes.pop().unwrap_or_default()));
                }
            }
        }
    }
    let server = servers.first().copied().unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
    asked(server, Err(causes.join("; ")))
}

async fn query(server: SocketAddr, name: &str, slice: Duration) -> Result<Lookup, NetError> {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = server.port();
    }
    let server = NameServerConfig::new(server.ip(), true, connections);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut options = ResolverOpts::default();
    // A lost datagram is sent once more.
    options.timeout = slice.checked_div(2).unwrap_or(slice);
    options.attempts = 1;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.num_concurrent_reqs = 1;
    let resolver =
        Resolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build()?;
    resolver.lookup(name, RecordType::SRV).await
}

/// Why a server gave no records, and whether the other servers would answer the same.
fn describe(error: &NetError, server: SocketAddr, slice: Duration) -> (String, bool) {
    let text = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            return match none.response_code {
                ResponseCode::NXDomain => {
                    (format!("the DNS server {server} answered that the name does not exist (NXDOMAIN)"), true)
                }
                ResponseCode::NoError => (format!("the DNS server {server} has no SRV record of this name"), true),
                code => (format!("the DNS server {server} answered {}", code_name(code)), false),
            };
        }
        NetError::Dns(DnsError::ResponseCode(code)) => format!("answered {}", code_name(*code)),
        NetError::Timeout => format!("did not answer within {}", crate::transport::connection_cause::bound(slice)),
        NetError::Io(error) => match error.kind() {
            std::io::ErrorKind::TimedOut => {
                format!("did not answer within {}", crate::transport::connection_cause::bound(slice))
            }
            std::io::ErrorKind::ConnectionRefused => "cannot be reached: connection refused".to_owned(),
            std::io::ErrorKind::InvalidData => "sent an answer that cannot be read".to_owned(),
            _ => format!("cannot be asked: {}", shown(&format_io_error(error))),
        },
        NetError::NoConnections => "cannot be reached".to_owned(),
        // The library's text may have bytes of the answer.
        _ => "sent an answer that cannot be read".to_owned(),
    };
    (format!("the DNS server {server} {text}"), false)
}

fn code_name(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        other => format!("with code {}", u16::from(other)),
    }
}

fn records(answer: &Lookup) -> Vec<SrvRecord> {
    let of = |data: &RData| match data {
        RData::SRV(srv) => Some(SrvRecord {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: srv.target.to_ascii().trim_end_matches('.').to_ascii_lowercase(),
        }),
        _ => None,
    };
    answer.answers().iter().filter_map(|record| of(&record.data)).collect()
}

/// The records by priority; those of equal priority in a random order in which a greater weight comes first more often
/// (RFC 2782).
fn in_order(mut records: Vec<SrvRecord>, mut random: impl FnMut() -> u64) -> Vec<SrvRecord> {
    // Exponentially distributed keys whose rate is the weight: the least key is a record's with the chance of its weight.
    let mut key = |weight: u16| {
        #[allow(clippy::cast_precision_loss, reason = "a random number; its last bits do not matter")]
        let uniform = (random() >> 11) as f64 / (1_u64 << 53) as f64;
        // A weight of 0 comes first rarely, but is possible.
        -(1.0 - uniform).ln() / f64::from(weight).max(0.01)
    };
    let mut keyed: Vec<(f64, SrvRecord)> = records.drain(..).map(|record| (key(record.weight), record)).collect();
    keyed.sort_by(|(key, one), (other_key, other)| one.priority.cmp(&other.priority).then(key.total_cmp(other_key)));
    keyed.into_iter().map(|(_, record)| record).collect()
}

/// Random numbers of the standard library's hash keys.
fn random() -> impl FnMut() -> u64 {
    let (state, mut count) = (RandomState::new(), 0_u64);
    move || {
        count = count.wrapping_add(1);
        state.hash_one(count)
    }
}

/// Text from a DNS server or of the user, safe to print and short.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> SrvRecord {
        SrvRecord { priority, weight, port: 2379, target: target.to_owned() }
    }

    #[test]
    fn the_names_are_those_of_etcd() {
        let mut wanted = SrvDiscovery {
            domain: "example.com".to_owned(),
            name: None,
            insecure: false,
            resolv_conf: std::path::PathBuf::new(),
            outcome: None,
        };
        assert_eq!(service(&wanted, "-ssl"), "_etcd-client-ssl._tcp.example.com.");
        assert_eq!(service(&wanted, ""), "_etcd-client._tcp.example.com.");
        wanted.name = Some("two".to_owned());
        assert_eq!(service(&wanted, "-ssl"), "_etcd-client-ssl-two._tcp.example.com.");
        assert_eq!(service(&wanted, ""), "_etcd-client-two._tcp.example.com.");
    }

    #[test]
    fn a_domain_is_checked() {
        assert_eq!(check_domain("Example.COM.", None), Ok("example.com".to_owned()));
        assert_eq!(check_domain("a", Some("two")), Ok("a".to_owned()));
        for wrong in ["", ".", "a..b", "a b", "a\u{1b}[2J", "https://a", "a:2379", &"a".repeat(64), &"a.".repeat(130)] {
            let text = check_domain(wrong, None).expect_err(wrong);
            assert!(!text.contains('\u{1b}') && text.len() < 200, "{text}");
        }
        for wrong in ["", "a.b", "a b"] {
            assert!(check_domain("a", Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn priorities_decide_and_weights_share() {
        let records = || vec![record(2, 9, "c"), record(1, 90, "a"), record(1, 10, "b"), record(1, 0, "z")];
        let mut first = std::collections::BTreeMap::<String, u32>::new();
        let mut numbers = random();
        for _ in 0..4000 {
            let ordered = in_order(records(), &mut numbers);
            assert_eq!(ordered.len(), 4);
            assert_eq!(ordered[3].target, "c");
            *first.entry(ordered[0].target.clone()).or_default() += 1;
        }
        let (a, b) = (first["a"], first["b"]);
        // 90 % and 10 % of 4000, with six standard deviations of room.
        assert!((3480..3720).contains(&a) && (280..520).contains(&b), "{first:?}");
    }
}
