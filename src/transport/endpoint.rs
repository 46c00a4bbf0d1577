//! Parses endpoints.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::bounded_file;

const DEFAULT_PORT: u16 = 2379;

/// The protocol of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TCP without TLS.
    Plain,
    /// TCP with TLS.
    Tls,
    /// A Unix socket without TLS; the path is [`Endpoint::path`].
    Unix,
    /// The members that the SRV records of the domain [`Endpoint::host`] name, before they are known.
    Srv,
}

/// An address of an etcd member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The protocol.
    pub scheme: Scheme,
    /// The host name or IP address without brackets; empty for a Unix socket.
    pub host: String,
    /// The TCP port; 0 for a Unix socket.
    pub port: u16,
    /// The socket's path; empty for TCP.
    pub path: PathBuf,
}

/// Why a text is not a valid endpoint.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EndpointError {
    /// An empty text or list entry.
    #[error("the endpoint is empty")]
    Empty,
    /// A scheme other than `http`, `https`, `unix`.
    #[error("unknown scheme '{0}://' (use http://, https:// or unix://)")]
    Scheme(String),
    /// A user before the host, or a path after an address without a scheme.
    #[error("'{0}' has more than a host and a port (use e.g. https://HOST:2379)")]
    Trailing(String),
    /// The port is neither a number from 1 to 65535 nor the name of a service.
    #[error("'{0}' is not a valid port (use 1 to 65535)")]
    Port(String),
    /// The host is empty or has a byte that host names cannot have.
    #[error("'{0}' is not a valid host name")]
    Host(String),
    /// `unix://` without a path.
    #[error("unix:// needs a path (use e.g. unix:///run/etcd.sock)")]
    Path,
}

impl Endpoint {
    /// Parses `host`, `host:port`, `[v6]:port`, `:port`, `http://…`, `https://…`, `unix:///path` or `unix:/path`.
    ///
    /// `tls` selects the scheme of texts without one. The default port is 2379. As in Go, a missing host is this machine,
    /// a port may be the name of a service, an IPv6 address may have a zone, and the path of a URL has no meaning.
    ///
    /// # Errors
    /// The text is not a valid endpoint. Nothing is resolved or dialed.
    pub fn parse(text: &str, tls: bool) -> Result<Self, EndpointError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(EndpointError::Empty);
        }
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            if path.is_empty() || path == "/" {
                return Err(EndpointError::Path);
            }
            return Ok(Self { scheme: Scheme::Unix, host: String::new(), port: 0, path: PathBuf::from(path) });
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((name, rest)) if name.eq_ignore_ascii_case("http") => (Scheme::Plain, rest),
            Some((name, rest)) if name.eq_ignore_ascii_case("https") => (Scheme::Tls, rest),
            Some((name, _)) => return Err(EndpointError::Scheme(name.to_owned())),
            None if tls => (Scheme::Tls, text),
            None => (Scheme::Plain, text),
        };
        let is_url = text.contains("://");
        let rest =
            if is_url { rest.split(['/', '?', '#']).next().unwrap_or_default() } else { rest.trim_end_matches('/') };
        if is_url && rest.is_empty() {
            return Err(EndpointError::Host(text.to_owned()));
        }
        if rest.contains(['/', '?', '#', '@']) {
            return Err(EndpointError::Trailing(rest.to_owned()));
        }
        let (host, port) = split_host_port(rest)?;
        Ok(Self { scheme, host, port, path: PathBuf::new() })
    }

    /// The endpoints of a domain that have not been looked up yet.
    pub fn of_domain(domain: &str) -> Self {
        Self { scheme: Scheme::Srv, host: domain.to_owned(), port: 0, path: PathBuf::new() }
    }

    /// The host without the zone of an IPv6 address, which only this machine knows.
    pub(crate) fn host_without_zone(&self) -> &str {
        match self.host.split_once('%') {
            Some((address, _)) if self.host.contains(':') => address,
            _ => &self.host,
        }
    }

    /// Whether the endpoint is on this machine.
    pub fn is_local(&self) -> bool {
        self.scheme == Scheme::Unix || self.scheme != Scheme::Srv && self.is_loopback()
    }

    fn is_loopback(&self) -> bool {
        let loopback = |host: &str| host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        self.host.eq_ignore_ascii_case("localhost") || loopback(self.host_without_zone())
    }

    /// Whether this endpoint, which a server has named, is at least as safe as one of those that the user has configured:
    /// it has TLS, or it is as local as an endpoint without TLS that the user has configured. A Unix socket must be
    /// configured as such.
    pub fn is_as_safe_as(&self, configured: &[Self]) -> bool {
        let without_tls = |wanted: &dyn Fn(&Self) -> bool| {
            configured.iter().any(|endpoint| endpoint.scheme != Scheme::Tls && wanted(endpoint))
        };
        match self.scheme {
            Scheme::Tls => true,
            Scheme::Srv => false,
            Scheme::Unix => without_tls(&|endpoint| endpoint.scheme == Scheme::Unix),
            Scheme::Plain if self.is_local() => without_tls(&|_| true),
            Scheme::Plain => without_tls(&|endpoint| !endpoint.is_local()),
        }
    }

    /// The HTTP/2 authority, with brackets around an IPv6 address; `localhost` for a Unix socket, as in grpc-go.
    pub(crate) fn authority(&self) -> String {
        match self.scheme {
            Scheme::Unix => "localhost".to_owned(),
            _ => host_and_port(self.host_without_zone(), self.port),
        }
    }
}

fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Reads an IPv6 address, and its zone in both forms: `fe80::1%eth0` and, as in a URL, `fe80::1%25eth0` (RFC 6874).
fn ipv6(text: &str) -> Result<String, EndpointError> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => {
            (address, Some(zone.strip_prefix("25").filter(|rest| !rest.is_empty()).unwrap_or(zone)))
        }
        None => (text, None),
    };
    let bad_zone =
        |zone: &str| zone.is_empty() || zone.contains(|c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c)));
    if address.parse::<std::net::Ipv6Addr>().is_err() || zone.is_some_and(bad_zone) {
        return Err(EndpointError::Host(text.to_owned()));
    }
    Ok(zone.map_or_else(|| address.to_owned(), |zone| format!("{address}%{zone}")))
}

/// The port of a service: the names that every system has, then those of `/etc/services`.
fn service_port(name: &str) -> Option<u16> {
    const KNOWN: [(&str, u16); 3] = [("etcd-client", 2379), ("http", 80), ("https", 443)];
    /// Far above the size of the file, which is about 13 KiB.
    const MAX_BYTES: u64 = 1 << 20;
    if let Some((_, port)) = KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        return Some(*port);
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let services = bounded_file::read(std::path::Path::new("/etc/services"), MAX_BYTES).ok()?;
    String::from_utf8_lossy(&services.bytes).lines().find_map(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let (first, at) = (words.next()?, words.next()?);
        let port = at.strip_suffix("/tcp")?.parse().ok()?;
        (first == name || words.any(|alias| alias == name)).then_some(port)
    })
}

fn split_host_port(text: &str) -> Result<(String, u16), EndpointError> {
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let (host, rest) = inner.split_once(']').ok_or_else(|| EndpointError::Host(text.to_owned()))?;
        let port = match rest {
            "" => None,
            _ => Some(rest.strip_prefix(':').ok_or_else(|| EndpointError::Port(rest.to_owned()))?),
        };
        (ipv6(host)?, port)
    } else if text.matches(':').count() > 1 {
        // A bare IPv6 address: all colons belong to the address, and the port is the default.
        (ipv6(text)?, None)
    } else {
        match text.split_once(':') {
            // As in Go, a port alone is one of this machine.
            Some(("", port)) if !port.is_empty() => ("localhost".to_owned(), Some(port)),
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        }
    };
    let bad_host = |c: char| !(c.is_ascii_alphanumeric() || "-._:%".contains(c));
    if host.is_empty() || host.contains(bad_host) {
        return Err(EndpointError::Host(host));
    }
    let port = match port {
        None => DEFAULT_PORT,
        // `parse` alone would also accept a plus sign.
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 && !text.starts_with('+') => port,
            _ => service_port(text).ok_or_else(|| EndpointError::Port(text.to_owned()))?,
        },
    };
    Ok((host, port))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Plain => write!(f, "http://{}", host_and_port(&self.host, self.port)),
            Scheme::Tls => write!(f, "https://{}", host_and_port(&self.host, self.port)),
            Scheme::Unix => write!(f, "unix://{}", self.path.display()),
            Scheme::Srv => write!(f, "srv://{}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::{check_message, damage, damaged};

    proptest! {
        #[test]
        fn an_endpoint_reads_back(
            scheme in prop::sample::select(vec!["http://", "https://", "unix://"]),
            host in prop_oneof!["[a-z0-9]([-a-z0-9._]{0,8}[a-z0-9])?", any::<std::net::IpAddr>().prop_map(|ip| match ip {
                std::net::IpAddr::V6(ip) => format!("[{ip}]"),
                std::net::IpAddr::V4(ip) => ip.to_string(),
            })],
            port in 1..=u16::MAX,
            path in "/[a-z/\u{e9} ]{0,8}[a-z]",
            tls in any::<bool>(),
        ) {
            let text = if scheme == "unix://" { format!("{scheme}{path}") } else { format!("{scheme}{host}:{port}") };
            prop_assert_eq!(Endpoint::parse(&text, tls).map(|endpoint| endpoint.to_string()), Ok(text));
        }

        /// A damaged text is rejected, or parses to an endpoint that its own text parses back to.
        #[test]
        fn a_damaged_endpoint_is_refused_or_whole(
            text in prop::sample::select(vec!["https://etcd-0.example:2379", "[fe80::1]:1", "::1", "unix:///run/etcd.sock", "10.0.0.1:65535"]),
            damage in damage(),
        ) {
            let text = String::from_utf8_lossy(&damaged(text.as_bytes(), &damage)).into_owned();
            match Endpoint::parse(&text, false) {
                Err(error) => check_message(&error.to_string())?,
                Ok(endpoint) => {
                    prop_assert_eq!(Endpoint::parse(&endpoint.to_string(), true), Ok(endpoint.clone()));
                    let odd = |c: char| c.is_whitespace() || c.is_control() || "/@?#".contains(c);
                    prop_assert!(!endpoint.host.contains(odd) && (endpoint.port > 0 || endpoint.scheme == Scheme::Unix));
                }
            }
        }
    }

    fn shown(text: &str) -> String {
        Endpoint::parse(text, false).map_or_else(|e| format!("error: {e}"), |e| e.to_string())
    }

    #[test]
    fn default_port_and_scheme() {
        assert_eq!(shown("127.0.0.1"), "http://127.0.0.1:2379");
        assert_eq!(shown(" etcd-0.example:1 "), "http://etcd-0.example:1");
        assert_eq!(shown("HTTPS://h:4/"), "https://h:4");
        assert_eq!(Endpoint::parse("h", true).map(|e| e.scheme), Ok(Scheme::Tls));
        assert_eq!(Endpoint::parse("http://h", true).map(|e| e.scheme), Ok(Scheme::Plain));
    }

    #[test]
    fn ipv6_with_and_without_brackets() {
        assert_eq!(shown("[::1]:2380"), "http://[::1]:2380");
        assert_eq!(shown("::1"), "http://[::1]:2379");
        assert_eq!(shown("[::1"), "error: '[::1' is not a valid host name");
        assert_eq!(shown("[host]:1"), "error: 'host' is not a valid host name");
    }

    #[test]
    fn what_go_takes() {
        assert_eq!(shown(":2379"), "http://localhost:2379");
        assert_eq!(shown("https://:1"), "https://localhost:1");
        assert_eq!(shown("http://h:1/"), "http://h:1");
        assert_eq!(shown("http://h:1/v3/?x=y#z"), "http://h:1");
        assert_eq!(shown("https://h/v3"), "https://h:2379");
        assert_eq!(shown("h:1//"), "http://h:1");
        assert_eq!(shown("h:etcd-client"), "http://h:2379");
        assert_eq!(shown("h:https"), "http://h:443");
    }

    #[test]
    fn ipv6_zones() {
        for text in ["fe80::1%eth0", "[fe80::1%eth0]", "http://[fe80::1%25eth0]:2379"] {
            assert_eq!(shown(text), "http://[fe80::1%eth0]:2379", "{text}");
        }
        // A zone may be a number, also one that begins with 25.
        assert_eq!(shown("[fe80::1%25]:1"), "http://[fe80::1%25]:1");
        let endpoint = Endpoint::parse("[fe80::1%eth0]:1", true).ok();
        assert_eq!(endpoint.map(|endpoint| endpoint.authority()).as_deref(), Some("[fe80::1]:1"));
        assert!(Endpoint::parse("::1%lo", false).is_ok_and(|endpoint| endpoint.is_local()));
        assert_eq!(shown("[fe80::1%]"), "error: 'fe80::1%' is not a valid host name");
        assert_eq!(shown("[fe80::1%a b]"), "error: 'fe80::1%a b' is not a valid host name");
    }

    #[test]
    fn unix_sockets() {
        assert_eq!(shown("unix:///run/etcd.sock"), "unix:///run/etcd.sock");
        assert_eq!(shown("unix:/run/etcd.sock"), "unix:///run/etcd.sock");
        assert_eq!(shown("unix://"), "error: unix:// needs a path (use e.g. unix:///run/etcd.sock)");
    }

    #[test]
    fn a_server_cannot_name_a_less_safe_endpoint_than_the_user() {
        let parse = |text: &str| Endpoint::parse(text, false).ok();
        let safe = |url: &str, configured: &[&str]| {
            let configured: Vec<Endpoint> = configured.iter().filter_map(|text| parse(text)).collect();
            parse(url).is_some_and(|url| url.is_as_safe_as(&configured))
        };
        for configured in ["https://h", "http://h", "http://127.0.0.1", "http://[::1]", "unix:///s"] {
            assert!(safe("https://other", &[configured]), "{configured}");
        }
        assert!(safe("http://other", &["http://h"]) && safe("http://other", &["https://h", "http://h"]));
        assert!(!safe("http://other", &["https://h"]) && !safe("http://127.0.0.1", &["https://127.0.0.1"]));
        for local in ["http://127.0.0.1", "http://LOCALHOST", "http://[::1]", "unix:///s"] {
            assert!(!safe("http://other", &[local]), "{local}");
            assert!(safe("http://127.0.0.2:1", &[local]), "{local}");
        }
        assert!(safe("http://127.0.0.1", &["http://h"]));
        assert!(safe("unix:///other", &["unix:///s"]));
        assert!(!safe("unix:///s", &["http://127.0.0.1"]) && !safe("unix:///s", &["https://h", "http://h"]));
    }

    #[test]
    fn texts_that_are_no_endpoints() {
        assert_eq!(shown(""), "error: the endpoint is empty");
        assert_eq!(shown("ftp://h:1"), "error: unknown scheme 'ftp://' (use http://, https:// or unix://)");
        assert_eq!(shown("h:1/path"), "error: 'h:1/path' has more than a host and a port (use e.g. https://HOST:2379)");
        assert_eq!(shown("h:99999"), "error: '99999' is not a valid port (use 1 to 65535)");
        assert_eq!(shown("h:0"), "error: '0' is not a valid port (use 1 to 65535)");
        assert_eq!(shown("h:+80"), "error: '+80' is not a valid port (use 1 to 65535)");
        assert_eq!(shown(":"), "error: '' is not a valid host name");
        assert_eq!(shown("h:no-such-service"), "error: 'no-such-service' is not a valid port (use 1 to 65535)");
        assert_eq!(shown("http:///path"), "error: 'http:///path' is not a valid host name");
        assert_eq!(
            shown("http://u@h:1"),
            "error: 'u@h:1' has more than a host and a port (use e.g. https://HOST:2379)"
        );
        assert_eq!(shown("a b"), "error: 'a b' is not a valid host name");
    }
}
