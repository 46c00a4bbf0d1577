//! The keys of the configuration, with their options and environment variables.

/// The kind of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// A string, taken literally whatever its YAML type.
    Text,
    /// Like `Text`, but never printed.
    Secret,
    /// Anything else.
    Other,
    /// Accepted for compatibility, without effect.
    Ignored,
}

/// One key, with its option and its environment variables (`""` for none).
pub(super) struct SettingKey {
    pub name: &'static str,
    pub flag: &'static str,
    /// kvadm's own variable. Only a file that the command line names takes precedence over it.
    pub env: &'static str,
    /// Variables of other tools, which the file takes precedence over; the first one set counts.
    pub fallback: &'static [&'static str],
}

const fn key(
    name: &'static str,
    flag: &'static str,
    env: &'static str,
    fallback: &'static [&'static str],
) -> SettingKey {
    SettingKey { name, flag, env, fallback }
}

pub(super) const DATABASE: SettingKey = key("db", "--db", "", &[]);
pub(super) const ENDPOINTS: SettingKey =
    key("endpoints", "--endpoints", "KVADM_ENDPOINTS", &["ETCD_ENDPOINTS", "ETCDV3_ENDPOINTS", "ETCDCTL_ENDPOINTS"]);
pub(super) const CA_FILE: SettingKey = key("ca-file", "--ca-file", "KVADM_CA_FILE", &["ETCDCTL_CACERT"]);
pub(super) const CERT_FILE: SettingKey = key("cert-file", "--cert-file", "KVADM_CERT_FILE", &["ETCDCTL_CERT"]);
pub(super) const KEY_FILE: SettingKey = key("key-file", "--key-file", "KVADM_KEY_FILE", &["ETCDCTL_KEY"]);
pub(super) const INSECURE_TRANSPORT: SettingKey =
    key("insecure-transport", "--insecure-transport", "KVADM_INSECURE_TRANSPORT", &[]);
pub(super) const SKIP_VERIFY: SettingKey = key(
    "insecure-skip-tls-verify",
    "--insecure-skip-tls-verify",
    "KVADM_INSECURE_SKIP_TLS_VERIFY",
    &["ETCDCTL_INSECURE_SKIP_TLS_VERIFY"],
);
pub(super) const USERNAME: SettingKey = key("username", "--user", "KVADM_USER", &["ETCDCTL_USER"]);
pub(super) const PASSWORD: SettingKey = key("password", "", "KVADM_PASSWORD", &["ETCDCTL_PASSWORD"]);
pub(super) const PASSWORD_FILE: SettingKey = key("password-file", "--password-file", "KVADM_PASSWORD_FILE", &[]);
pub(super) const DIAL_TIMEOUT: SettingKey =
    key("dial-timeout", "--dial-timeout", "KVADM_DIAL_TIMEOUT", &["ETCDCTL_DIAL_TIMEOUT"]);
pub(super) const OP_TIMEOUT: SettingKey =
    key("operation-timeout", "--op-timeout", "KVADM_OP_TIMEOUT", &["ETCDCTL_COMMAND_TIMEOUT"]);
pub(super) const CONNECT_WAIT: SettingKey = key("connect-wait", "--connect-wait", "KVADM_CONNECT_WAIT", &[]);
pub(super) const DELAYED_START: SettingKey = key("allow-delayed-start", "", "KVADM_ALLOW_DELAYED_START", &[]);
pub(super) const RECONNECT: SettingKey = key("reconnect-interval", "", "KVADM_RECONNECT_INTERVAL", &[]);
pub(super) const KEEPALIVE_TIME: SettingKey =
    key("dial-keep-alive-time", "", "KVADM_DIAL_KEEP_ALIVE_TIME", &["ETCDCTL_KEEPALIVE_TIME"]);
pub(super) const KEEPALIVE_TIMEOUT: SettingKey =
    key("dial-keep-alive-timeout", "", "KVADM_DIAL_KEEP_ALIVE_TIMEOUT", &["ETCDCTL_KEEPALIVE_TIMEOUT"]);
pub(super) const NAMESPACE: SettingKey = key("namespace", "--namespace", "KVADM_NAMESPACE", &[]);
pub(super) const QPS: SettingKey = key("qps", "--qps", "KVADM_QPS", &[]);
pub(super) const MAX_TXN_OPS: SettingKey = key("max-txn-ops", "--max-ops", "KVADM_MAX_TXN_OPS", &[]);
pub(super) const OUTPUT: SettingKey = key("output", "--output", "KVADM_OUTPUT", &[]);
pub(super) const SESSION_TTL: SettingKey = key("session-ttl", "", "KVADM_SESSION_TTL", &[]);
pub(super) const LOCK_TTL: SettingKey = key("lock-ttl", "", "KVADM_LOCK_TTL", &[]);
pub(super) const AUTO_COMPACT: SettingKey = key("auto-compact", "", "KVADM_AUTO_COMPACT", &[]);
pub(super) const RESYNC: SettingKey = key("resync-after-reconnect", "", "KVADM_RESYNC_AFTER_RECONNECT", &[]);

pub(super) const PROTO: SettingKey = key("proto", "", "", &[]);

/// Every key of the file: those of Ligato's `etcd.conf`, of clientv3's YAML configuration, and kvadm's own.
const IN_FILE: &[(&str, ValueKind)] = &[
    ("endpoints", ValueKind::Other),
    ("ca-file", ValueKind::Text),
    ("trusted-ca-file", ValueKind::Text),
    ("cert-file", ValueKind::Text),
    ("key-file", ValueKind::Text),
    ("insecure-transport", ValueKind::Other),
    ("insecure-skip-tls-verify", ValueKind::Other),
    ("username", ValueKind::Text),
    ("password", ValueKind::Secret),
    ("dial-timeout", ValueKind::Other),
    ("operation-timeout", ValueKind::Other),
    ("allow-delayed-start", ValueKind::Other),
    ("reconnect-interval", ValueKind::Other),
    ("dial-keep-alive-time", ValueKind::Other),
    ("dial-keep-alive-timeout", ValueKind::Other),
    ("namespace", ValueKind::Text),
    ("qps", ValueKind::Other),
    ("max-txn-ops", ValueKind::Other),
    ("output", ValueKind::Text),
    ("session-ttl", ValueKind::Other),
    ("lock-ttl", ValueKind::Other),
    ("auto-compact", ValueKind::Other),
    ("resync-after-reconnect", ValueKind::Other),
    ("proto", ValueKind::Other),
    ("expand-env-variables", ValueKind::Other),
    ("token", ValueKind::Secret),
    ("auto-sync-interval", ValueKind::Ignored),
    ("reject-old-cluster", ValueKind::Ignored),
    ("permit-without-stream", ValueKind::Ignored),
    ("max-unary-retries", ValueKind::Ignored),
    ("backoff-wait-between", ValueKind::Ignored),
    ("backoff-jitter-fraction", ValueKind::Ignored),
    ("max-call-send-size", ValueKind::Ignored),
    ("max-call-recv-size", ValueKind::Ignored),
    ("max-call-send-msg-size", ValueKind::Ignored),
    ("max-call-recv-msg-size", ValueKind::Ignored),
];

/// Finds a known key in any case.
pub(super) fn known(written: &str) -> Option<(&'static str, ValueKind)> {
    let found = IN_FILE.iter().copied().find(|(name, _)| name.eq_ignore_ascii_case(written));
    found.or_else(|| written.to_ascii_lowercase().starts_with("backoff-").then_some(("backoff", ValueKind::Ignored)))
}

/// The known key closest to a misspelt one.
pub(super) fn nearest(written: &str) -> Option<&'static str> {
    // The distance costs time in proportion to the length, and no key is this long.
    let plain: String = written.chars().take(64).collect();
    let plain = plain.to_ascii_lowercase().replace(['_', ' ', '.'], "-");
    // Two typos, or one in a short word: `host` is not meant as `output`.
    let allowed = if plain.chars().count() < 6 { 1 } else { 2 };
    let squeezed = plain.replace('-', "");
    let distance = |name: &str| {
        if name.replace('-', "") == squeezed { 0 } else { strsim::levenshtein(name, &plain) }
    };
    IN_FILE
        .iter()
        .map(|(name, _)| (distance(name), *name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
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
        assert_eq!(known("DIAL-Timeout"), Some(("dial-timeout", ValueKind::Other)));
        assert_eq!(known("Backoff-Max"), Some(("backoff", ValueKind::Ignored)));
        assert_eq!(known("dial_timeout"), None);
    }
}
