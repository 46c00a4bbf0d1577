//! Peer URLs: what etcd accepts, and what is worth a warning. Pure.

use super::view::MemberView;
use crate::error::Failure;
use crate::transport::{Endpoint, Scheme};

/// A peer URL as it was typed: etcd compares URLs as texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerUrl {
    pub text: String,
    pub endpoint: Endpoint,
}

/// Reads one URL of `--peer-urls`.
///
/// # Errors
/// What is wrong.
pub fn parse_peer_url(text: &str) -> Result<PeerUrl, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a URL is empty (use e.g. https://HOST:2380)".to_owned());
    }
    let lower = text.to_ascii_lowercase();
    let Some(rest) = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://")) else {
        return Err("a peer URL begins with http:// or https:// (use e.g. https://HOST:2380)".to_owned());
    };
    if rest.contains(['/', '?', '#', '@']) {
        return Err("etcd accepts no user, path or slash in a peer URL (use e.g. https://HOST:2380)".to_owned());
    }
    // Only the last part of an IPv6 address in brackets is a port.
    let digits = rest.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.is_empty() && !port.ends_with(']'));
    if !digits.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit())) || rest.starts_with(':') {
        return Err("a peer URL has a host and a port, usually 2380 (use e.g. https://HOST:2380)".to_owned());
    }
    let endpoint = Endpoint::parse(text, false).map_err(|error| error.to_string())?;
    Ok(PeerUrl { text: text.to_owned(), endpoint })
}

/// The texts of the URLs.
pub fn texts(urls: &[PeerUrl]) -> Vec<String> {
    urls.iter().map(|url| url.text.clone()).collect()
}

/// Checks that no URL is there twice, and that no other member has one of them.
///
/// # Errors
/// A usage error for a repeated URL, a conflict for one of another member.
pub fn check_free<'a>(urls: &[PeerUrl], others: impl IntoIterator<Item = &'a MemberView>) -> Result<(), Failure> {
    for (at, url) in urls.iter().enumerate() {
        if urls[..at].iter().any(|other| other.endpoint == url.endpoint) {
            return Err(Failure::usage(format!("--peer-urls has {} twice", url.text)));
        }
    }
    for view in others {
        let taken = urls.iter().find(|url| has_url(view, &url.endpoint));
        if let Some(url) = taken {
            return Err(Failure::conflict(format!("member {} has the peer URL {}", view.label(), url.text))
                .hint("'kvadm member list' prints the peer URLs of all members"));
        }
    }
    Ok(())
}

/// Whether the member has this peer URL.
pub fn has_url(view: &MemberView, endpoint: &Endpoint) -> bool {
    view.member.peer_urls.iter().any(|url| Endpoint::parse(url, false).ok().as_ref() == Some(endpoint))
}

/// What may be wrong with the URLs of a member among the others.
pub fn warnings<'a>(name: &str, urls: &[PeerUrl], others: impl IntoIterator<Item = &'a MemberView>) -> Vec<String> {
    let others: Vec<&MemberView> = others.into_iter().collect();
    let parsed = |view: &&MemberView| -> Vec<Endpoint> {
        view.member.peer_urls.iter().filter_map(|url| Endpoint::parse(url, false).ok()).collect()
    };
    let mut found = Vec::new();
    let same_host = others
        .iter()
        .find(|view| parsed(view).iter().any(|other| urls.iter().any(|url| url.endpoint.host == other.host)));
    if let Some(view) = same_host {
        found.push(format!("{name} and {} are on the same host: if it fails, both fail", view.name()));
    }
    let all: Vec<Endpoint> = others.iter().flat_map(parsed).collect();
    let local = urls.iter().find(|url| url.endpoint.is_local());
    if let Some(url) = local.filter(|_| all.iter().any(|other| !other.is_local())) {
        found.push(format!("the members on other hosts cannot reach {name} at {}", url.text));
    }
    let elsewhere = all.iter().any(|other| !other.is_local());
    if urls.iter().any(|url| !url.endpoint.is_local()) && !elsewhere && !all.is_empty() {
        let name_of = others.iter().find(|view| parsed(view).iter().all(Endpoint::is_local));
        if let Some(view) = name_of {
            found.push(format!(
                "{name} cannot reach {} at {}: change that with 'kvadm member update' first",
                view.name(),
                view.member.peer_urls.join(",")
            ));
        }
    }
    let plain = urls.iter().find(|url| url.endpoint.scheme == Scheme::Plain);
    if let Some(url) = plain.filter(|_| !all.is_empty() && all.iter().all(|other| other.scheme == Scheme::Tls)) {
        found.push(format!("{} has no TLS, which the other members use", url.text));
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::super::find::tests::view;
    use super::*;

    fn urls(texts: &[&str]) -> Vec<PeerUrl> {
        texts.iter().map(|text| parse_peer_url(text).unwrap()).collect()
    }

    #[test]
    fn only_what_etcd_accepts_is_a_peer_url() {
        for text in ["http://h:2380", "https://10.0.0.1:1", "https://[::1]:2380", "HTTPS://h:2380", " http://h:1 "] {
            assert_eq!(parse_peer_url(text).map(|url| url.text), Ok(text.trim().to_owned()));
        }
        for text in [
            "",
            " ",
            "h:2380",
            "10.0.0.1",
            "ftp://h:1",
            "unix:///s",
            "http://h",
            "http://h:",
            "http://:2380",
            "http://h:0",
            "http://h:65536",
            "http://h:etcd-client",
            "http://h:2380/",
            "http://h:2380/raft",
            "http://u@h:2380",
            "http://h:2380?x",
            "http://[::1]",
            "http://a b:1",
            "http://\u{1b}:1",
        ] {
            assert!(parse_peer_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_url_is_of_one_member() {
        let one = view(1, "m1", 2380);
        assert!(check_free(&urls(&["http://10.0.0.1:2381", "http://10.0.0.1:2382"]), [&one]).is_ok());
        let taken = check_free(&urls(&["http://h:1", "http://10.0.0.1:2380"]), [&one]).err().unwrap();
        assert_eq!((taken.exit.code(), taken.one_line().contains("m1 (1)")), (5, true));
        let twice = check_free(&urls(&["http://h:1", "HTTP://h:1"]), []).err().unwrap();
        assert_eq!(twice.exit.code(), 2);
    }

    #[test]
    fn what_may_be_wrong() {
        let mut one = view(1, "m1", 2380);
        let of = |texts: &[&str], one: &MemberView| warnings("m2", &urls(texts), [one]);
        assert!(of(&["http://10.0.0.2:2380"], &one).is_empty());
        assert_eq!(of(&["http://10.0.0.1:1"], &one), ["m2 and m1 are on the same host: if it fails, both fail"]);
        assert!(of(&["http://127.0.0.1:1"], &one)[0].contains("cannot reach m2 at http://127.0.0.1:1"));
        one.member.peer_urls = vec!["https://10.0.0.1:2380".to_owned()];
        assert!(of(&["http://10.0.0.2:1"], &one)[0].contains("no TLS"));
        one.member.peer_urls = vec!["http://localhost:2380".to_owned()];
        assert!(of(&["http://10.0.0.2:1"], &one)[0].contains("m2 cannot reach m1 at http://localhost:2380"));
    }
}
