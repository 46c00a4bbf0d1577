//! The keys a configuration may have, and the other names their values go by.

/// What a key's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Taken as it is written, whatever YAML thinks it is.
    Text,
    /// As `Text`, and never shown.
    Secret,
    /// Anything else.
    Other,
    /// Understood and without effect.
    Ignored,
}

/// One key, with its option and its environment variables (`""` where there is none).
pub(super) struct Key {
    pub name: &'static str,
    pub flag: &'static str,
    /// Above the file.
    pub env: &'static str,
    /// Below the file, best first.
    pub fallback: &'static [&'static str],
}

const fn key(name: &'static str, flag: &'static str, env: &'static str, fallback: &'static [&'static str]) -> Key {
    Key { name, flag, env, fallback }
}

pub(super) const ENDPOINTS: Key =
    key("endpoints", "--endpoints", "KVADM_ENDPOINTS", &["ETCD_ENDPOINTS", "ETCDV3_ENDPOINTS", "ETCDCTL_ENDPOINTS"]);
pub(super) const CA_FILE: Key = key("ca-file", "--ca-file", "KVADM_CA_FILE", &["ETCDCTL_CACERT"]);
pub(super) const CERT_FILE: Key = key("cert-file", "--cert-file", "KVADM_CERT_FILE", &["ETCDCTL_CERT"]);
pub(super) const KEY_FILE: Key = key("key-file", "--key-file", "KVADM_KEY_FILE", &["ETCDCTL_KEY"]);
pub(super) const INSECURE_TRANSPORT: Key =
    key("insecure-transport", "--insecure-transport", "KVADM_INSECURE_TRANSPORT", &[]);
pub(super) const SKIP_VERIFY: Key =
    key("insecure-skip-tls-verify", "--insecure-skip-tls-verify", "KVADM_INSECURE_SKIP_TLS_VERIFY", &[]);
pub(super) const USERNAME: Key = key("username", "--user", "KVADM_USER", &["ETCDCTL_USER"]);
pub(super) const PASSWORD: Key = key("password", "", "KVADM_PASSWORD", &["ETCDCTL_PASSWORD"]);
pub(super) const PASSWORD_FILE: Key = key("password-file", "--password-file", "KVADM_PASSWORD_FILE", &[]);
pub(super) const DIAL_TIMEOUT: Key = key("dial-timeout", "--dial-timeout", "KVADM_DIAL_TIMEOUT", &[]);
pub(super) const OP_TIMEOUT: Key = key("operation-timeout", "--op-timeout", "KVADM_OP_TIMEOUT", &[]);
pub(super) const CONNECT_WAIT: Key = key("connect-wait", "--connect-wait", "KVADM_CONNECT_WAIT", &[]);
pub(super) const DELAYED_START: Key = key("allow-delayed-start", "", "KVADM_ALLOW_DELAYED_START", &[]);
pub(super) const RECONNECT: Key = key("reconnect-interval", "", "KVADM_RECONNECT_INTERVAL", &[]);
pub(super) const KEEPALIVE_TIME: Key = key("dial-keep-alive-time", "", "KVADM_DIAL_KEEP_ALIVE_TIME", &[]);
pub(super) const KEEPALIVE_TIMEOUT: Key = key("dial-keep-alive-timeout", "", "KVADM_DIAL_KEEP_ALIVE_TIMEOUT", &[]);
pub(super) const NAMESPACE: Key = key("namespace", "--namespace", "KVADM_NAMESPACE", &[]);
pub(super) const QPS: Key = key("qps", "--qps", "KVADM_QPS", &[]);
pub(super) const OUTPUT: Key = key("output", "--output", "KVADM_OUTPUT", &[]);
pub(super) const SESSION_TTL: Key = key("session-ttl", "", "KVADM_SESSION_TTL", &[]);
pub(super) const LOCK_TTL: Key = key("lock-ttl", "", "KVADM_LOCK_TTL", &[]);
pub(super) const AUTO_COMPACT: Key = key("auto-compact", "", "KVADM_AUTO_COMPACT", &[]);
pub(super) const RESYNC: Key = key("resync-after-reconnect", "", "KVADM_RESYNC_AFTER_RECONNECT", &[]);

pub(super) const PROTO: Key = key("proto", "", "", &[]);

/// Every key of the file: Ligato's `etcd.conf`, clientv3's YAML configuration, kvadm's own.
const IN_FILE: &[(&str, Kind)] = &[
    ("endpoints", Kind::Other),
    ("ca-file", Kind::Text),
    ("trusted-ca-file", Kind::Text),
    ("cert-file", Kind::Text),
    ("key-file", Kind::Text),
    ("insecure-transport", Kind::Other),
    ("insecure-skip-tls-verify", Kind::Other),
    ("username", Kind::Text),
    ("password", Kind::Secret),
    ("dial-timeout", Kind::Other),
    ("operation-timeout", Kind::Other),
    ("allow-delayed-start", Kind::Other),
    ("reconnect-interval", Kind::Other),
    ("dial-keep-alive-time", Kind::Other),
    ("dial-keep-alive-timeout", Kind::Other),
    ("namespace", Kind::Text),
    ("qps", Kind::Other),
    ("output", Kind::Text),
    ("session-ttl", Kind::Other),
    ("lock-ttl", Kind::Other),
    ("auto-compact", Kind::Other),
    ("resync-after-reconnect", Kind::Other),
    ("proto", Kind::Other),
    ("expand-env-variables", Kind::Other),
    ("token", Kind::Secret),
    ("auto-sync-interval", Kind::Ignored),
    ("reject-old-cluster", Kind::Ignored),
    ("permit-without-stream", Kind::Ignored),
    ("max-unary-retries", Kind::Ignored),
    ("backoff-wait-between", Kind::Ignored),
    ("backoff-jitter-fraction", Kind::Ignored),
    ("max-call-send-size", Kind::Ignored),
    ("max-call-recv-size", Kind::Ignored),
    ("max-call-send-msg-size", Kind::Ignored),
    ("max-call-recv-msg-size", Kind::Ignored),
];

/// The known key that `written` is, whatever its case.
pub(super) fn known(written: &str) -> Option<(&'static str, Kind)> {
    let found = IN_FILE.iter().copied().find(|(name, _)| name.eq_ignore_ascii_case(written));
    found.or_else(|| written.to_ascii_lowercase().starts_with("backoff-").then_some(("backoff", Kind::Ignored)))
}

/// The known key that `written` may have been meant as.
pub(super) fn nearest(written: &str) -> Option<&'static str> {
    let plain = written.to_ascii_lowercase().replace(['_', ' ', '.'], "-");
    // Two slips, or one in a short word: `host` is no `output`.
    let allowed = if plain.chars().count() < 6 { 1 } else { 2 };
    let squeezed = plain.replace('-', "");
    let distance = |name: &str| {
        if name.replace('-', "") == squeezed { 0 } else { edits(name, &plain) }
    };
    IN_FILE
        .iter()
        .map(|(name, _)| (distance(name), *name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        assert_eq!(nearest("dial_timeout"), Some("dial-timeout"));
        assert_eq!(nearest("DialTimeout"), Some("dial-timeout"));
        assert_eq!(nearest("endpoint"), Some("endpoints"));
        assert_eq!(nearest("passwrod"), Some("password"));
        assert_eq!(nearest("prefix"), None);
        assert_eq!(nearest("host"), None);
        assert_eq!(nearest(""), None);
    }

    #[test]
    fn case_does_not_matter() {
        assert_eq!(known("DIAL-Timeout"), Some(("dial-timeout", Kind::Other)));
        assert_eq!(known("Backoff-Max"), Some(("backoff", Kind::Ignored)));
        assert_eq!(known("dial_timeout"), None);
    }
}
