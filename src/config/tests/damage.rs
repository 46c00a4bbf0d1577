//! Configurations with something wrong in them, and what is written read back.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fuzzing::{check_message, damage, damaged};

const SAMPLE: &str = "\
# the cluster
endpoints:
- https://etcd-0.example:2379
- \"[::1]:2379\"
ca-file: ~/ca.pem
cert-file: client.pem
key-file: client.key
dial-timeout: 1500000000
operation-timeout: 3s
connect-wait: 1m30s
insecure-transport: false
insecure-skip-tls-verify: no
namespace: /team/
qps: 12.5
output: json
session-ttl: 5
lock-ttl: 25s
auto-compact: 5m
resync-after-reconnect: true
dial-keep-alive-time: 10s
proto:
- {prefix: /vnf/, file: vnf.desc, message: vnf.Model}
backoff-jitter-fraction: 0.1
";

/// What a file may say, none of it the default.
const VARIABLES: &[(&str, &str)] = &[
    ("KVADM_ENDPOINTS", "https://etcd-0.example:2379,[::1]:2379"),
    ("KVADM_DIAL_TIMEOUT", "1h15m30.918s"),
    ("KVADM_OP_TIMEOUT", "300ms"),
    ("KVADM_QPS", "12.5"),
    ("KVADM_OUTPUT", "json"),
    ("KVADM_LOCK_TTL", "25"),
    ("KVADM_AUTO_COMPACT", "5m"),
    ("KVADM_INSECURE_TRANSPORT", "true"),
    ("KVADM_INSECURE_SKIP_TLS_VERIFY", "false"),
    ("KVADM_RESYNC_AFTER_RECONNECT", "yes"),
    ("KVADM_NAMESPACE", "/team/"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The refusal names the file; and every line of it leads to a place in the file.
    #[test]
    fn a_damaged_file_is_refused_by_name(damage in damage(), strict in any::<bool>()) {
        let mut setup = Setup::new().set(|overrides| overrides.strict = strict);
        let bytes = damaged(SAMPLE.as_bytes(), &damage);
        setup.overrides.config = Some(setup.write("etcd.yaml", &bytes));
        if let Err(error) = setup.load() {
            let said = setup.plain(&error.to_string());
            check_message(&error.message)?;
            prop_assert!(said.starts_with("D/etcd.yaml:"), "{said}");
            let lines = String::from_utf8_lossy(&bytes).lines().count().max(1);
            prop_assert!(error.line().is_none_or(|line| (1..=lines).contains(&line)), "{said}");
        }
    }

    /// A variable that is bad is named, and so is what is wrong with it.
    #[test]
    fn a_damaged_variable_is_refused_by_name((name, value) in prop::sample::select(VARIABLES), damage in damage()) {
        let value = String::from_utf8_lossy(&damaged(value.as_bytes(), &damage)).into_owned();
        if let Err(error) = Setup::new().env(name, &value).load() {
            check_message(&error.message)?;
            prop_assert!(error.to_string().starts_with(&format!("env {name}: ")), "{error}");
        }
    }

    #[test]
    fn what_a_file_says_is_what_holds(
        ports in proptest::collection::btree_set(1..=u16::MAX, 1..4),
        dial in 1..=i64::MAX as u64,
        op in 1..=i64::MAX as u64,
        seconds in 1..100_000_u32,
        qps in 0.001..1e9_f64,
        namespace in "[a-z/ \u{e9}\u{1f980}:#'\"\\\\{}-]{1,8}",
        secret in "[a-z :#'\"\\\\{}~!&*\u{e9}-]{1,12}",
        resync in any::<bool>(),
    ) {
        let (dial, op) = (Duration::from_nanos(dial), Duration::from_nanos(op));
        let endpoints: Vec<String> = ports.iter().map(|port| format!("http://h:{port}")).collect();
        let text = json!({
            "endpoints": endpoints, "dial-timeout": dial.as_nanos() as u64, "operation-timeout": format_duration(op),
            "session-ttl": seconds, "qps": qps, "namespace": namespace, "username": "u", "password": secret,
            "resync-after-reconnect": resync,
        });
        let setup = Setup::with(&text.to_string());
        let config = setup.load().map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(super::endpoints(&config), endpoints);
        prop_assert_eq!((config.connect.dial_timeout, config.connect.op_timeout), (dial, op));
        prop_assert_eq!(config.session_ttl, Duration::from_secs(seconds.into()));
        prop_assert_eq!(config.resync_after_reconnect, resync);
        prop_assert_eq!(&config.connect.namespace, namespace.as_bytes());
        let shown = |key: &str| config.settings.iter().find(|setting| setting.key == key).and_then(|one| one.value.clone());
        prop_assert_eq!(shown("qps"), Some(qps.to_string()));
        let leaks = secret.len() > 4 && config.settings.iter().any(|one| one.value.as_ref() == Some(&secret));
        prop_assert!(!leaks);
    }
}

#[test]
fn near_misses_are_refused() {
    for line in [
        "dial-timeout: -1",
        "dial-timeout: 1.5",
        "dial-timeout: 9223372036854775808000",
        "dial-timeout: 5 s",
        "dial-timeout: '5'",
        "dial-timeout: [5s]",
        "lock-ttl: 0.5",
        "lock-ttl: -25",
        "lock-ttl: 999ms",
        "qps: -1",
        "qps: .nan",
        "qps: .inf",
        "qps: many",
        "output: xml",
        "output: JSON",
        "insecure-transport: 1",
        "insecure-transport: 'tru'",
        "endpoints: 'h:99999'",
        "endpoints: [h, [i]]",
        "endpoints: {h: 1}",
        "proto: {prefix: a, file: b, message: c}",
        "proto: [{prefix: a, file: b}]",
        "proto: [{prefix: a, envelope: b}]",
        "proto: [{prefix: a, message: b, envelope: kubernetes}]",
        "proto: [{prefix: a, file: b, message: c, colour: d}]",
        "proto: [{prefix: a, file: b, message: 5}]",
    ] {
        let setup = Setup::with(&format!("# first\n{line}\n"));
        let key = line.split(':').next().unwrap();
        assert!(setup.error().starts_with(&format!("D/etcd.yaml:2: {key}: ")), "{line}: {}", setup.error());
    }
}

#[test]
fn a_file_that_grows_by_itself_is_refused() {
    let laughs: String = (1..40).map(|n| format!("k{n}: &a{n} [*a{m}, *a{m}, *a{m}]\n", m = n - 1)).collect();
    assert!(Setup::with(&format!("k0: &a0 [x]\n{laughs}")).error().starts_with("D/etcd.yaml:"));
    assert!(Setup::with(&format!("x: {}", "[".repeat(3_000))).error().starts_with("D/etcd.yaml:"));
}
