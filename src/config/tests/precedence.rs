//! The strongest source wins, for every key by itself, and what loses is told.

use proptest::prelude::*;

use super::*;

/// A key with its sources: option, variable, file, and the variables below.
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
    Ladder { value: |n| format!("d{n}.test"), fallback: &["ETCDCTL_DISCOVERY_SRV"],
        ..ladder("discovery-srv", Some(|o, v| o.discovery_srv = Some(v.into())), "KVADM_DISCOVERY_SRV") },
    Ladder { value: |n| format!("s{n}"), fallback: &["ETCDCTL_DISCOVERY_SRV_NAME"],
        ..ladder("discovery-srv-name", Some(|o, v| o.discovery_srv_name = Some(v.into())), "KVADM_DISCOVERY_SRV_NAME") },
    Ladder { value: |n| (n % 2 == 0).to_string(), fallback: &["ETCDCTL_INSECURE_DISCOVERY"],
        ..ladder("insecure-discovery", Some(|o, v| o.insecure_discovery = v.parse().ok()), "KVADM_INSECURE_DISCOVERY") },
    Ladder { value: path, ..ladder("resolv-conf", None, "KVADM_RESOLV_CONF") },
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
    Ladder { value: |n| (n % 2 == 0).to_string(), fallback: &["ETCDCTL_INSECURE_SKIP_TLS_VERIFY"],
        ..ladder("insecure-skip-tls-verify", Some(|o, v| o.insecure_skip_tls_verify = v.parse().ok()), "KVADM_INSECURE_SKIP_TLS_VERIFY") },
    Ladder { value: |n| (n % 2 == 0).to_string(), ..ladder("allow-delayed-start", None, "KVADM_ALLOW_DELAYED_START") },
    Ladder { value: |n| (n % 2 == 0).to_string(), ..ladder("resync-after-reconnect", None, "KVADM_RESYNC_AFTER_RECONNECT") },
    Ladder { fallback: &["ETCDCTL_DIAL_TIMEOUT"], ..ladder("dial-timeout", Some(|o, v| o.dial_timeout = time(v)), "KVADM_DIAL_TIMEOUT") },
    Ladder { fallback: &["ETCDCTL_COMMAND_TIMEOUT"], ..ladder("operation-timeout", Some(|o, v| o.op_timeout = time(v)), "KVADM_OP_TIMEOUT") },
    Ladder { in_file: false, ..ladder("connect-wait", Some(|o, v| o.connect_wait = time(v)), "KVADM_CONNECT_WAIT") },
    ladder("reconnect-interval", None, "KVADM_RECONNECT_INTERVAL"),
    Ladder { fallback: &["ETCDCTL_KEEPALIVE_TIME"], ..ladder("dial-keep-alive-time", None, "KVADM_DIAL_KEEP_ALIVE_TIME") },
    Ladder { fallback: &["ETCDCTL_KEEPALIVE_TIMEOUT"], ..ladder("dial-keep-alive-timeout", None, "KVADM_DIAL_KEEP_ALIVE_TIMEOUT") },
    ladder("session-ttl", None, "KVADM_SESSION_TTL"),
    ladder("lock-ttl", None, "KVADM_LOCK_TTL"),
    ladder("auto-compact", None, "KVADM_AUTO_COMPACT"),
];

/// The other half of a pair: key, option's setter, variable, and the variable below.
type Partner = (&'static str, fn(&mut Overrides, &str), &'static str, &'static str);

impl Ladder {
    fn partner(&self) -> Option<Partner> {
        match self.key {
            "cert-file" => Some(("key-file", |o, v| o.key_file = Some(v.into()), "KVADM_KEY_FILE", "ETCDCTL_KEY")),
            "key-file" => Some(("cert-file", |o, v| o.cert_file = Some(v.into()), "KVADM_CERT_FILE", "ETCDCTL_CERT")),
            _ => None,
        }
    }

    /// Whether the strongest of the sources in `bits` wins; with `named`, `-c` names the file.
    fn check(&self, bits: u8, named: bool) {
        let mut setup = Setup::new();
        let mut text = String::new();
        let mut given: Vec<(usize, String)> = Vec::new();
        let partner = self.partner();
        let path = if named { "etcd.yaml" } else { "home/.config/kvadm/etcd.yaml" };
        // The order of the sources, the strongest first.
        let middle: &[&str] = if named { &["file", "env"] } else { &["env", "file"] };
        let order = ["flag"].iter().chain(middle).chain(&["fallback"]);
        let mut n = 0;
        for kind in order {
            let names: &[&str] = match *kind {
                "flag" if self.flag.is_some() => &["--"],
                "env" => &[self.env],
                "file" if self.in_file => &[path],
                "fallback" => self.fallback,
                _ => &[],
            };
            for name in names {
                let value = (self.value)(n);
                if bits & 1 << n != 0 {
                    match *kind {
                        "flag" => {
                            self.flag.unwrap()(&mut setup.overrides, &value);
                            if let Some((_, set, _, _)) = partner {
                                set(&mut setup.overrides, "/other");
                            }
                        }
                        "file" => {
                            text = format!("{}: {value}\n", self.key);
                            if let Some((key, _, _, _)) = partner {
                                text += &format!("{key}: /other\n");
                            }
                        }
                        kind => {
                            setup = setup.env(name, &value);
                            if let Some((_, _, env, fallback)) = partner {
                                setup = setup.env(if kind == "env" { env } else { fallback }, "/other");
                            }
                        }
                    }
                    let source = match *kind {
                        "flag" => "flag --".to_owned(),
                        "file" => format!("file D/{path}:3"),
                        _ => format!("env {name}"),
                    };
                    given.push((n, source));
                }
                n += 1;
            }
        }
        if self.key == "username" {
            // A password that belongs to any user.
            setup.overrides.password_file = Some(setup.write("pw", "p"));
        }
        let written = setup.write(path, format!("\n\n{text}"));
        setup.overrides.config = named.then_some(written);
        let shown = setup.setting(self.key);
        let config = setup.ok();
        let setting = config.settings.iter().find(|setting| setting.key == self.key).unwrap();
        match given.split_first() {
            Some(((n, source), losers)) => {
                let value = (self.value)(*n);
                assert!(shown.starts_with(&format!("{value} ({source}")), "{} {bits:b} {named}: {shown}", self.key);
                // What lost is told, unless it has the same value.
                let losers: Vec<String> =
                    losers.iter().map(|(n, _)| (self.value)(*n)).filter(|v| *v != value).collect();
                let told: Vec<String> = setting.overridden.iter().map(|loser| loser.value.clone()).collect();
                assert_eq!(told, losers, "{} {bits:b} {named}", self.key);
            }
            None => {
                assert!(shown.ends_with("(default)"), "{} {bits:b}: {shown}", self.key);
                assert_eq!(setting.overridden, []);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn the_highest_source_wins(which in 0..LADDERS.len(), bits in 0_u8..64, named in any::<bool>()) {
        LADDERS[which].check(bits, named);
    }
}

#[test]
fn every_rung_of_every_key_wins_when_it_is_the_highest() {
    for ladder in LADDERS {
        for named in [false, true] {
            for rung in 0..6 {
                ladder.check(0xff << rung, named);
                ladder.check(1 << rung, named);
            }
            ladder.check(0, named);
        }
    }
}

#[test]
fn every_setting_has_its_ladder() {
    let listed: Vec<&str> = LADDERS
        .iter()
        .map(|ladder| ladder.key)
        .chain(["password", "password-file", "token", "token-file", "proto"])
        .collect();
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
