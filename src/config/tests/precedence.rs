//! The highest source wins, for every key by itself.

use proptest::prelude::*;

use super::*;

/// A key with its sources, best first: option, variable, file, and the variables below.
struct Ladder {
    key: &'static str,
    flag: Option<fn(&mut Overrides, &str)>,
    env: &'static str,
    in_file: bool,
    fallback: &'static [&'static str],
    /// A value that differs by its number.
    value: fn(usize) -> String,
}

const fn ladder(key: &'static str, flag: Option<fn(&mut Overrides, &str)>, env: &'static str) -> Ladder {
    Ladder { key, flag, env, in_file: true, fallback: &[], value: |n| format!("{}s", n + 10) }
}

fn path(n: usize) -> String {
    format!("/tls/{n}")
}

fn time(text: &str) -> Option<Duration> {
    Some(crate::duration::parse_duration(text).unwrap())
}

#[rustfmt::skip]
const LADDERS: &[Ladder] = &[
    Ladder { value: |n| format!("h{n}:1"), fallback: &["ETCD_ENDPOINTS", "ETCDV3_ENDPOINTS", "ETCDCTL_ENDPOINTS"],
        ..ladder("endpoints", Some(|o, v| o.endpoints = Some(vec![v.into()])), "KVADM_ENDPOINTS") },
    Ladder { value: path, fallback: &["ETCDCTL_CACERT"], ..ladder("ca-file", Some(|o, v| o.ca_file = Some(v.into())), "KVADM_CA_FILE") },
    Ladder { value: path, fallback: &["ETCDCTL_CERT"], ..ladder("cert-file", Some(|o, v| o.cert_file = Some(v.into())), "KVADM_CERT_FILE") },
    Ladder { value: path, fallback: &["ETCDCTL_KEY"], ..ladder("key-file", Some(|o, v| o.key_file = Some(v.into())), "KVADM_KEY_FILE") },
    Ladder { value: |n| format!("u{n}"), fallback: &["ETCDCTL_USER"], ..ladder("username", Some(|o, v| o.user = Some(v.into())), "KVADM_USER") },
    Ladder { value: |n| format!("/n{n}/"), ..ladder("namespace", Some(|o, v| o.namespace = Some(v.into())), "KVADM_NAMESPACE") },
    Ladder { value: |n| (n + 1).to_string(), ..ladder("qps", Some(|o, v| o.qps = v.parse().ok()), "KVADM_QPS") },
    Ladder { value: |n| (n + 100).to_string(), ..ladder("max-txn-ops", Some(|o, v| o.max_txn_ops = v.parse().ok()), "KVADM_MAX_TXN_OPS") },
    Ladder { value: |n| ["text", "json", "yaml"][n].to_owned(), ..ladder("output", Some(|o, v| o.output = Some(v.into())), "KVADM_OUTPUT") },
    Ladder { value: |n| (n % 2 == 0).to_string(),
        ..ladder("insecure-transport", Some(|o, v| o.insecure_transport = v.parse().ok()), "KVADM_INSECURE_TRANSPORT") },
    Ladder { value: |n| (n % 2 == 0).to_string(),
        ..ladder("insecure-skip-tls-verify", Some(|o, v| o.insecure_skip_tls_verify = v.parse().ok()), "KVADM_INSECURE_SKIP_TLS_VERIFY") },
    Ladder { value: |n| (n % 2 == 0).to_string(), ..ladder("allow-delayed-start", None, "KVADM_ALLOW_DELAYED_START") },
    Ladder { value: |n| (n % 2 == 0).to_string(), ..ladder("resync-after-reconnect", None, "KVADM_RESYNC_AFTER_RECONNECT") },
    ladder("dial-timeout", Some(|o, v| o.dial_timeout = time(v)), "KVADM_DIAL_TIMEOUT"),
    ladder("operation-timeout", Some(|o, v| o.op_timeout = time(v)), "KVADM_OP_TIMEOUT"),
    Ladder { in_file: false, ..ladder("connect-wait", Some(|o, v| o.connect_wait = time(v)), "KVADM_CONNECT_WAIT") },
    ladder("reconnect-interval", None, "KVADM_RECONNECT_INTERVAL"),
    ladder("dial-keep-alive-time", None, "KVADM_DIAL_KEEP_ALIVE_TIME"),
    ladder("dial-keep-alive-timeout", None, "KVADM_DIAL_KEEP_ALIVE_TIMEOUT"),
    ladder("session-ttl", None, "KVADM_SESSION_TTL"),
    ladder("lock-ttl", None, "KVADM_LOCK_TTL"),
    ladder("auto-compact", None, "KVADM_AUTO_COMPACT"),
];

impl Ladder {
    /// Whether `bits` gives the rung.
    fn check(&self, bits: u8) {
        let mut setup = Setup::new();
        let mut text = String::new();
        let mut best = None;
        let mut rung = 0..;
        let mut next = || rung.next().unwrap();
        if let Some(set) = self.flag {
            let n = next();
            if bits & 1 << n != 0 {
                set(&mut setup.overrides, &(self.value)(n));
                best.get_or_insert((n, "flag --".to_owned()));
            }
        }
        let n = next();
        if bits & 1 << n != 0 {
            setup = setup.env(self.env, &(self.value)(n));
            best.get_or_insert((n, format!("env {}", self.env)));
        }
        if self.in_file {
            let n = next();
            if bits & 1 << n != 0 {
                text = format!("{}: {}\n", self.key, (self.value)(n));
                best.get_or_insert((n, "file D/etcd.yaml:3".to_owned()));
            }
        }
        for name in self.fallback {
            let n = next();
            if bits & 1 << n != 0 {
                setup = setup.env(name, &(self.value)(n));
                best.get_or_insert((n, format!("env {name}")));
            }
        }
        // A password for the user, and the other half for half a pair, so that nothing is missing.
        let rest = match self.key {
            "username" => "\npassword: p\n",
            "cert-file" => "\nkey-file: /k\n",
            "key-file" => "\ncert-file: /c\n",
            _ => "\n\n",
        };
        let only_half = best.is_none() && self.key.ends_with("-file");
        setup.overrides.config = Some(setup.write("etcd.yaml", if only_half { text } else { format!("{rest}{text}") }));
        let shown = setup.setting(self.key);
        match best {
            Some((n, source)) => {
                assert!(shown.starts_with(&format!("{} ({source}", (self.value)(n))), "{} {bits:b}: {shown}", self.key);
            }
            None => assert!(shown.ends_with("(default)"), "{} {bits:b}: {shown}", self.key),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn the_highest_source_wins(which in 0..LADDERS.len(), bits in 0_u8..64) {
        LADDERS[which].check(bits);
    }
}

#[test]
fn every_rung_of_every_key_wins_when_it_is_the_highest() {
    for ladder in LADDERS {
        for rung in 0..6 {
            ladder.check(0xff << rung);
            ladder.check(1 << rung);
        }
        ladder.check(0);
    }
}

#[test]
fn every_setting_has_its_ladder() {
    let listed: Vec<&str> =
        LADDERS.iter().map(|ladder| ladder.key).chain(["password", "password-file", "proto"]).collect();
    for setting in Setup::new().ok().settings {
        assert!(listed.contains(&setting.key), "{}", setting.key);
    }
    assert_eq!(listed.len(), Setup::new().ok().settings.len());
}

#[test]
fn who_lost_over_endpoints_is_told() {
    let setup = Setup::with("endpoints: [a, b]\n").env("ETCD_ENDPOINTS", " c ,, ").env("ETCDV3_ENDPOINTS", "a,b");
    assert_eq!(endpoints(&setup.ok()), ["http://a:2379", "http://b:2379"]);
    let expected = [
        "configuration: D/etcd.yaml",
        "endpoints: file D/etcd.yaml:1 (a,b) takes precedence over env ETCD_ENDPOINTS (c)",
    ];
    assert_eq!(setup.details(), expected);
    let setup = setup.set(|o| o.endpoints = Some(vec!["x,y".into(), " z".into()]));
    assert_eq!(setup.setting("endpoints"), "x,y,z (flag --endpoints)");
    assert_eq!(setup.details().len(), 4);
    let setup = setup.set(|o| o.endpoints = Some(vec![" ,".into()]));
    assert_eq!(setup.error(), "flag --endpoints: contains no endpoint");
}

#[test]
fn empty_variables_count_as_unset() {
    let setup = Setup::new().env("KVADM_ENDPOINTS", "").env("KVADM_DIAL_TIMEOUT", "").env("ETCDCTL_USER", "");
    assert_eq!(endpoints(&setup.ok()), ["http://127.0.0.1:2379"]);
    let setup = setup.env("KVADM_ENDPOINTS", " , ").env("ETCD_ENDPOINTS", "x");
    assert_eq!(endpoints(&setup.ok()), ["http://x:2379"]);
}

#[test]
fn a_bad_file_value_is_an_error_even_where_it_is_overruled() {
    let setup = Setup::with("dial-timeout: soon\n").set(|o| o.dial_timeout = time("1s"));
    assert!(
        setup
            .error()
            .starts_with("D/etcd.yaml:1: dial-timeout: 'soon' is not a valid duration (use e.g. 300ms, 5s or 1h30m)"),
        "{}",
        setup.error()
    );
    let setup = Setup::new().env("KVADM_DIAL_TIMEOUT", "soon").set(|o| o.dial_timeout = time("1s"));
    assert!(setup.load().is_ok(), "an overruled variable is not looked at");
}
