//! The DNS servers of a `resolv.conf`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::bounded_file;
use crate::transport::cause::format_io_error;

/// The settings of the system's resolver.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Servers of `resolv.conf` that are asked, as many as glibc asks (`MAXNS`).
pub(crate) const MAX_SERVERS: usize = 3;

/// Far above the size of a `resolv.conf`.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The DNS servers of a `resolv.conf`; this machine if it names none, as resolv.conf(5) says.
pub(crate) fn servers(path: &Path) -> Result<Vec<SocketAddr>, String> {
    let text = match bounded_file::read(path, MAX_FILE_BYTES) {
        Ok(read) => String::from_utf8_lossy(&read.bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path == Path::new(RESOLV_CONF) => String::new(),
        Err(error) => {
            return Err(format!("cannot read the DNS servers in {}: {}", path.display(), format_io_error(&error)));
        }
    };
    let mut found = parse_servers(&text);
    if found.is_empty() {
        found.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
    }
    Ok(found)
}

/// `nameserver ADDRESS`, or `nameserver [ADDRESS]:PORT` as in OpenBSD.
fn parse_servers(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        if let Some((ip, port)) = address.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
            return Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?));
        }
        Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, 53))
    };
    text.lines().filter_map(server).take(MAX_SERVERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_of_a_resolv_conf_are_read() {
        let text = "# a comment\nsearch x\nnameserver 10.0.0.1\n nameserver\t::1 # trailing\nnameserver nonsense\n\
                    options x\nnameserver [127.0.0.1]:5353\nnameserver 10.0.0.4\n";
        let found: Vec<String> = parse_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:53", "[::1]:53", "127.0.0.1:5353"]);
        assert_eq!(parse_servers("nameserver [::1]:0x\nnameserver [\n"), []);
    }
}
