//! Whether a process listens at a peer URL, as far as kvadm can tell from its own host.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::net::TcpStream;

use super::view::MemberView;
use crate::transport::Endpoint;

/// A connection within a data center takes milliseconds.
const LIMIT: Duration = Duration::from_secs(1);

/// The members at whose peer URLs nothing listens.
pub async fn without_listener<'a>(members: &[&'a MemberView]) -> Vec<&'a MemberView> {
    let mut found = Vec::new();
    for &view in members {
        let urls: Vec<Endpoint> =
            view.member.peer_urls.iter().filter_map(|url| Endpoint::parse(url, false).ok()).collect();
        if !any_listens(&urls).await {
            found.push(view);
        }
    }
    found
}

/// Whether something listens at one of these addresses. Only a refused connection proves that nothing does: a firewall may let
/// only the members connect.
pub async fn any_listens(endpoints: &[Endpoint]) -> bool {
    for endpoint in endpoints {
        let host = endpoint.host.trim_start_matches('[').trim_end_matches(']');
        let dialed = tokio::time::timeout(LIMIT, TcpStream::connect((host, endpoint.port))).await;
        if !matches!(dialed, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused) {
            return true;
        }
    }
    endpoints.is_empty()
}
