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
pub(super) const DISCOVERY_SRV: SettingKey =
    key("discovery-srv", "--discovery-srv", "KVADM_DISCOVERY_SRV", &["ETCDCTL_DISCOVERY_SRV"]);
pub(super) const DISCOVERY_SRV_NAME: SettingKey =
    key("discovery-srv-name", "--discovery-srv-name", "KVADM_DISCOVERY_SRV_NAME", &["ETCDCTL_DISCOVERY_SRV_NAME"]);
pub(super) const INSECURE_DISCOVERY: SettingKey =
    key("insecure-discovery", "--insecure-discovery", "KVADM_INSECURE_DISCOVERY", &["ETCDCTL_INSECURE_DISCOVERY"]);
pub(super) const RESOLV_CONF: SettingKey = key("resolv-conf", "", "KVADM_RESOLV_CONF", &[]);
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
pub(super) const TOKEN_FILE: SettingKey = key("token-file", "--token-file", "KVADM_TOKEN_FILE", &[]);
pub(super) const TOKEN: SettingKey = key("token", "", "KVADM_TOKEN", &["ETCDCTL_AUTH_JWT_TOKEN"]);
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
    ("discovery-srv", ValueKind::Text),
    ("discovery-srv-name", ValueKind::Text),
    ("insecure-discovery", ValueKind::Other),
    ("resolv-conf", ValueKind::Text),
    ("ca-file", ValueKind::Text),
    ("trusted-ca-file", ValueKind::Text),
    ("cert-file", ValueKind::Text),
    ("key-file", ValueKind::Text),
    ("insecure-transport", ValueKind::Other),
    ("insecure-skip-tls-verify", ValueKind::Other),
    ("username", ValueKind::Text),
    ("password", ValueKind::Secret),
    ("password-file", ValueKind::Text),
    ("token-file", ValueKind::Text),
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

/// Variables that are no keys: kvadm sets them for commands that it runs, or reads them otherwise.
const OTHER_VARIABLES: &[&str] = &["KVADM_CONTEXT", "KVADM_COMPLETE", "KVADM_COMPLETE_BREAKS", "KVADM_KEY"];

/// Beginnings of the variables that kvadm sets for the commands that it runs.
const VARIABLE_FAMILIES: &[&str] = &["KVADM_LOCK", "KVADM_EVENT", "KVADM_ID"];

/// Keys without a variable.
const WITHOUT_VARIABLE: &[&str] = &["proto", "expand-env-variables", "trusted-ca-file"];

/// The keys that have a variable of kvadm's own.
fn with_variable() -> impl Iterator<Item = &'static str> {
    let has = |key: &&(&'static str, ValueKind)| key.1 != ValueKind::Ignored && !WITHOUT_VARIABLE.contains(&key.0);
    // Two keys have other names in variables.
    let names = IN_FILE.iter().filter(has).map(|(name, _)| *name);
    names.filter(|name| ![OP_TIMEOUT.name, USERNAME.name].contains(name)).chain([
        "op-timeout",
        "user",
        CONNECT_WAIT.name,
    ])
}

fn variable_of(key: &str) -> String {
    format!("KVADM_{}", key.to_ascii_uppercase().replace('-', "_"))
}

/// Whether kvadm reads or sets this variable.
pub(super) fn is_known_variable(name: &str) -> bool {
    OTHER_VARIABLES.contains(&name)
        || VARIABLE_FAMILIES
            .iter()
            .any(|family| name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')))
        || with_variable().any(|key| variable_of(key) == name)
}

/// The variable closest to an unknown one.
pub(super) fn nearest_variable(name: &str) -> Option<String> {
    let plain: String = name.chars().take(64).collect::<String>().to_ascii_uppercase();
    let near = |known: String| {
        let distance =
            if known.replace('_', "") == plain.replace('_', "") { 0 } else { strsim::levenshtein(&known, &plain) };
        (distance <= 2).then_some((distance, known))
    };
    let known = with_variable().map(variable_of).chain(OTHER_VARIABLES.iter().map(|name| (*name).to_owned()));
    known.filter_map(near).min().map(|(_, known)| known)
}

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
    fn each_variable_of_a_key_is_known_and_near_names_are_found() {
        let keys = [
            ENDPOINTS,
            DISCOVERY_SRV,
            DISCOVERY_SRV_NAME,
            INSECURE_DISCOVERY,
            RESOLV_CONF,
            CA_FILE,
            CERT_FILE,
            KEY_FILE,
            INSECURE_TRANSPORT,
            SKIP_VERIFY,
            USERNAME,
            PASSWORD,
            PASSWORD_FILE,
            TOKEN,
            TOKEN_FILE,
            DIAL_TIMEOUT,
            OP_TIMEOUT,
            CONNECT_WAIT,
            DELAYED_START,
            RECONNECT,
            KEEPALIVE_TIME,
            KEEPALIVE_TIMEOUT,
            NAMESPACE,
            QPS,
            MAX_TXN_OPS,
            OUTPUT,
            SESSION_TTL,
            LOCK_TTL,
            AUTO_COMPACT,
            RESYNC,
        ];
        for key in keys {
            assert!(is_known_variable(key.env), "{}", key.env);
        }
        for known in ["KVADM_LOCK", "KVADM_LOCK_REV", "KVADM_LOCK_TTL", "KVADM_EVENT_KEY", "KVADM_ID_NODE"] {
            assert!(is_known_variable(known), "{known}");
        }
        for (unknown, near) in [
            ("KVADM_ENDPOINT", Some("KVADM_ENDPOINTS")),
            ("KVADM_CAFILE", Some("KVADM_CA_FILE")),
            ("KVADM_USERNAME", None),
            ("KVADM_OPERATION_TIMEOUT", None),
            ("KVADM_LOCKS", None),
            ("KVADM_PROTO", None),
            ("KVADM_", None),
        ] {
            assert!(!is_known_variable(unknown), "{unknown}");
            let found = nearest_variable(unknown);
            assert!(near.is_none() || found.as_deref() == near, "{unknown}: {found:?}");
        }
    }

    #[test]
    fn case_does_not_matter() {
        assert_eq!(known("DIAL-Timeout"), Some(("dial-timeout", ValueKind::Other)));
        assert_eq!(known("Backoff-Max"), Some(("backoff", ValueKind::Ignored)));
        assert_eq!(known("dial_timeout"), None);
    }
}
