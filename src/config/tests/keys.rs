//! Accepted values of each configuration key.

use super::*;

#[test]
fn a_ligato_file_as_it_is() {
    let setup = Setup::with(
        "insecure-transport: true\ndial-timeout: 100000000\noperation-timeout: 300000000\n\
         insecure-skip-tls-verify: true\ncert-file: <file-path>\nkey-file: <file-path>\nca-file: <file-path>\n\
         endpoints:\n  - \"172.17.0.1:2379\"\n  - \"172.17.0.1:22379\"\nauto-compact: 3600000000000\n\
         resync-after-reconnect: Yes\nallow-delayed-start: on\nreconnect-interval: 2_000_000_000\nsession-ttl: 7\n\
         expand-env-variables: true\n",
    );
    let config = setup.ok();
    assert_eq!(endpoints(&config), ["http://172.17.0.1:2379", "http://172.17.0.1:22379"]);
    assert_eq!(config.connect.dial_timeout, Duration::from_millis(100));
    assert_eq!(config.connect.op_timeout, Duration::from_millis(300));
    assert_eq!(config.auto_compact, Some(Duration::from_secs(3600)));
    assert!(config.resync_after_reconnect);
    assert_eq!(config.connect.connect_wait, Some(ConnectWait { limit: None, interval: Duration::from_secs(2) }));
    assert_eq!(config.session_ttl, Duration::from_secs(7));
    assert_eq!(setup.warnings(), ["file D/etcd.yaml:16: expand-env-variables is not supported and has no effect"]);
}

#[test]
fn a_clientv3_file_as_it_is() {
    let setup = Setup::with(
        "endpoints:\n- https://e0:2379\ntrusted-ca-file: /tls/ca\ncert-file: /tls/cert\nkey-file: '/tls/key'\n\
         auto-sync-interval: 0\ndial-timeout: 2000000000\ndial-keep-alive-time: 7000000000\n\
         dial-keep-alive-timeout: 3000000000\nreject-old-cluster: false\npermit-without-stream: true\n\
         username: root\npassword: pw\ntoken: t\nmax-unary-retries: 3\nbackoff-wait-between: 1\n",
    );
    let connect = setup.ok().connect;
    assert_eq!(connect.tls.ca, Some("/tls/ca".into()));
    assert_eq!(connect.tls.cert, Some("/tls/cert".into()));
    assert_eq!(connect.tls.key, Some("/tls/key".into()));
    assert_eq!(connect.keepalive_time, Duration::from_secs(7));
    assert_eq!(connect.keepalive_timeout, Duration::from_secs(3));
    let credentials = connect.credentials.unwrap();
    assert_eq!((credentials.user.as_str(), credentials.password.expose()), ("root", "pw"));
    assert_eq!(setup.warnings(), [""; 0]);
}

#[test]
fn kvadms_own_keys() {
    let setup = Setup::with(
        "namespace: /app/\nqps: 2.5\nmax-txn-ops: 500\noutput: json\nlock-ttl: 40s\n\
         proto:\n- {prefix: /a, file: a.desc, message: p.A}\n- {prefix: '', file: ~/b.desc, message: p.B}\n",
    );
    let config = setup.ok();
    assert_eq!(config.connect.namespace, b"/app/");
    assert_eq!(config.connect.qps, Some(2.5));
    assert_eq!(config.connect.max_txn_ops, 500);
    assert_eq!(config.output.as_deref(), Some("json"));
    assert_eq!(config.lock_ttl, Duration::from_secs(40));
    let parts = |rule: &ProtoRule| match &rule.values {
        ProtoValues::Message { file, message } => (file.clone(), message.clone()),
        other @ ProtoValues::Kubernetes { .. } => panic!("{other:?}"),
    };
    let (files, messages): (Vec<_>, Vec<_>) = config.proto.iter().map(parts).unzip();
    assert_eq!(files, [setup.path("a.desc"), setup.path("home/b.desc")]);
    assert_eq!(messages, ["p.A", "p.B"]);
    assert_eq!(setup.setting("proto"), "/a=p.A,=p.B (file D/etcd.yaml:6)");
    assert_eq!(Setup::with("qps: 0\n").ok().connect.qps, None);
    let setup = Setup::with(
        "proto:\n- {prefix: /r/, envelope: kubernetes}\n- {file: k.desc, envelope: kubernetes, prefix: /s/}\n",
    );
    let values = |file| ProtoValues::Kubernetes { file };
    let rules = setup.ok().proto;
    assert_eq!([&rules[0].values, &rules[1].values], [&values(None), &values(Some(setup.path("k.desc")))]);
    assert_eq!(setup.setting("proto"), "/r/=kubernetes,/s/=kubernetes (file D/etcd.yaml:1)");
}

#[test]
fn endpoints_in_every_form() {
    let cases: [(&str, &[&str]); 8] = [
        ("endpoints: a:1\n", &["http://a:1"]),
        ("endpoints: ' a:1, ,b:2,'\n", &["http://a:1", "http://b:2"]),
        ("endpoints: ['2379']\n", &["http://2379:2379"]),
        ("endpoints: []\n", &["http://127.0.0.1:2379"]),
        ("endpoints: ''\n", &["http://127.0.0.1:2379"]),
        ("endpoints:\n", &["http://127.0.0.1:2379"]),
        ("endpoints: [a:1, 'a:1']\n", &["http://a:1"]),
        ("endpoints: ['unix:///s', '[::1]:5']\n", &["unix:///s", "http://[::1]:5"]),
    ];
    for (text, expected) in cases {
        assert_eq!(endpoints(&Setup::with(text).ok()), expected, "{text}");
    }
}

#[test]
fn values_that_are_refused() {
    let cases = [
        ("dial-timeout: -5", "dial-timeout: -5 is negative"),
        ("dial-timeout: -5s", "dial-timeout: '-5s' is negative"),
        ("operation-timeout: '5'", "operation-timeout: '5' has no unit (hint: write 5s, "),
        ("operation-timeout: 1.5", "operation-timeout: 1.5 is not a whole number of nanoseconds (hint: "),
        ("operation-timeout: 5 sec", "operation-timeout: '5 sec' has an unknown unit"),
        ("operation-timeout: [1]", "operation-timeout: must be a duration such as 5s, not a list"),
        ("operation-timeout: 99999999999999999999", "operation-timeout: "),
        ("auto-compact: -1h", "auto-compact: '-1h' is negative"),
        ("session-ttl: -1", "session-ttl: -1 is negative"),
        ("session-ttl: 500ms", "session-ttl: 500ms is shorter than 1s, the minimum TTL"),
        ("session-ttl: 2.5", "session-ttl: 2.5 is not a whole number of seconds"),
        ("lock-ttl: 0", "lock-ttl: 0s is shorter than 1s, the minimum TTL"),
        ("insecure-transport: 1", "insecure-transport: must be true or false, not a number"),
        ("insecure-transport: maybe", "insecure-transport: must be true or false, not 'maybe'"),
        ("qps: -1", "qps: -1 is not a rate (requests per second; 0 means no limit)"),
        ("qps: .nan", "qps: NaN is not a rate (requests per second; 0 means no limit)"),
        ("max-txn-ops: 2", "max-txn-ops: '2' is not a number from 3 to 65536"),
        ("max-txn-ops: [9]", "max-txn-ops: must be a number, not a list"),
        ("qps: many", "qps: 'many' is not a number"),
        ("output: xml", "output: 'xml' is not an output format; use one of text, table, json, yaml, raw"),
        ("endpoints: ['']", "endpoints: the endpoint is empty"),
        ("endpoints: [a:b]", "endpoints: 'a:b': 'b' is not a valid port (use 1 to 65535)"),
        ("endpoints: 5", "endpoints: must be a list of strings, not a number"),
        ("endpoints: [2379]", "endpoints: every entry must be a string, not a number"),
        ("endpoints: [[a]]", "endpoints: every entry must be a string, not a list"),
        ("endpoints: {a: b}", "endpoints: must be a list of strings, not a mapping"),
        ("proto: x", "proto: must be a list of mappings with 'prefix', 'file' and 'message'"),
        ("proto: [{prefix: a}]", "proto: must be a list of mappings"),
        ("proto: [{envelope: kubernetes}]", "proto: must be a list of mappings"),
        ("proto: [{prefix: a, envelope: kubernetes, kind: Pod}]", "proto: must be a list of mappings"),
        ("proto: [{prefix: a, envelope: 5}]", "proto: must be a list of mappings"),
        ("proto: [{prefix: a, file: b}]", "proto: must be a list of mappings"),
        (
            "proto: [{prefix: a, envelope: \"k8s\\e\"}]",
            "proto: 'k8s\\u{1b}' is not an envelope; the only one is 'kubernetes'",
        ),
        (
            "proto: [{prefix: a, file: b, message: c, envelope: kubernetes}]",
            "proto: 'message' cannot be combined with 'envelope', which names the type of each value",
        ),
        ("proto: [{prefix: a, message: c, envelope: kubernetes}]", "proto: 'message' cannot be combined"),
        ("proto: [{prefix: a, file: ~bob/x, envelope: kubernetes}]", "proto: only '~' and '~/' are supported"),
        ("ca-file: ~bob/x", "ca-file: only '~' and '~/' are supported, not another user's home"),
        (
            "{ca-file: a, trusted-ca-file: b}",
            "ca-file: differs from trusted-ca-file, which is another name of the same setting",
        ),
    ];
    for (text, expected) in cases {
        // Two lines above it, so that the line number says something.
        let error = Setup::with(&format!("# one\n# two\n{text}\n")).error();
        assert!(error.starts_with(&format!("D/etcd.yaml:3: {expected}")), "{text}: {error}");
    }
}

#[test]
fn the_fields_of_an_error() {
    let setup = Setup::with("qps: 1\noutput: xml\n");
    let error = setup.load().map(|_| ()).unwrap_err();
    assert_eq!(error.file(), Some(setup.path("etcd.yaml").as_path()));
    assert_eq!((error.line(), error.key.as_deref()), (Some(2), Some("output")));
}

#[test]
fn numbers_and_booleans_as_gos_yaml_has_them() {
    let duration = |text: &str| Setup::with(&format!("dial-timeout: {text}\n")).ok().connect.dial_timeout;
    for text in ["1_000_000_000", "1000000000.0", "1.0e+9", "0x3b9aca00", "1s", "'1s'", "1000ms"] {
        assert_eq!(duration(text), Duration::from_secs(1), "{text}");
    }
    let insecure = |text: &str| Setup::with(&format!("resync-after-reconnect: {text}\n")).ok().resync_after_reconnect;
    for (yes, no) in [("true", "false"), ("Yes", "NO"), ("on", "Off"), ("TRUE", "False")] {
        assert!(insecure(yes), "{yes}");
        assert!(!insecure(no), "{no}");
    }
}

#[test]
fn texts_are_taken_as_they_are_written() {
    for text in ["12345", "1e5", "0x10", "007", "true", "1_000", "1.50", "no", "' x '"] {
        let setup = Setup::with(&format!("username: u\npassword: {text}\nnamespace: {text}\n"));
        let connect = setup.ok().connect;
        let expected = text.trim_matches('\'');
        assert_eq!(connect.credentials.unwrap().password.expose(), expected);
        assert_eq!(connect.namespace, expected.as_bytes());
    }
}

#[test]
fn small_numbers_are_warned_of() {
    let setup = Setup::with("dial-timeout: 5\n");
    let expected = "file D/etcd.yaml:1: dial-timeout: 5 means nanoseconds; did you mean 5s or 5ms?";
    assert_eq!(setup.warnings(), [expected]);
    assert_eq!(setup.ok().connect.dial_timeout, Duration::from_nanos(5));
    assert_eq!(Setup::with("dial-timeout: 1000000\n").warnings(), [""; 0]);
    assert_eq!(Setup::with("session-ttl: 5000000000\n").warnings().len(), 1);
}

#[test]
fn keep_alive_is_raised_to_what_etcd_bears() {
    let setup = Setup::with("dial-keep-alive-time: 1s\n");
    assert_eq!(setup.ok().connect.keepalive_time, Duration::from_secs(5));
    assert_eq!(setup.setting("dial-keep-alive-time"), "5s (file D/etcd.yaml:1)");
    let expected = "file D/etcd.yaml:1: dial-keep-alive-time: 1s was raised to 5s, because etcd disconnects clients that ping more often";
    assert_eq!(setup.warnings(), [expected]);
    let zero = Setup::with(
        "dial-keep-alive-time: 0\ndial-keep-alive-timeout: 0\nreconnect-interval: 0\nsession-ttl: 0\ndial-timeout: 0\noperation-timeout: 0s\n",
    );
    let config = zero.ok();
    assert_eq!((config.connect.dial_timeout, config.connect.op_timeout), (DIAL_TIMEOUT, OP_TIMEOUT));
    assert_eq!(zero.warnings(), [""; 0]);
    assert_eq!(config.connect.keepalive_time, Duration::from_secs(10));
    assert_eq!(config.connect.keepalive_timeout, Duration::from_secs(5));
    assert_eq!(config.session_ttl, Duration::from_secs(5));
    assert_eq!(zero.setting("reconnect-interval"), "2s (default)");
}

#[test]
fn waiting_for_the_store() {
    let wait = |setup: &Setup| setup.ok().connect.connect_wait;
    let setup = Setup::found("allow-delayed-start: true\nreconnect-interval: 100ms\n");
    let interval = Duration::from_millis(100);
    assert_eq!(wait(&setup), Some(ConnectWait { limit: None, interval }));
    let limit = Duration::from_secs(9);
    let setup = setup.env("KVADM_CONNECT_WAIT", "9s");
    assert_eq!(wait(&setup), Some(ConnectWait { limit: Some(limit), interval }));
    let setup = setup.set(|o| o.connect_wait = Some(Duration::ZERO));
    assert_eq!(wait(&setup), None);
}

#[test]
fn variables_are_read_as_options_are() {
    let cases = [
        ("KVADM_DIAL_TIMEOUT", "5", "'5' has no unit; did you mean 5s?"),
        ("KVADM_OP_TIMEOUT", "0s", "must be greater than 0"),
        ("KVADM_CONNECT_WAIT", "x", "'x' is not a valid duration (use e.g. 300ms, 5s or 1h30m)"),
        ("KVADM_QPS", "fast", "'fast' is not a number"),
        ("KVADM_QPS", "-1", "-1 is not a rate (requests per second; 0 means no limit)"),
        ("KVADM_INSECURE_TRANSPORT", "maybe", "'maybe' must be true or false"),
        ("KVADM_OUTPUT", "xml", "'xml' is not an output format; use one of text, table, json, yaml, raw"),
        ("KVADM_ENDPOINTS", "ftp://h", "'ftp://h': unknown scheme 'ftp://' (use http://, https:// or unix://)"),
        ("ETCDCTL_ENDPOINTS", "h:0", "'h:0': '0' is not a valid port (use 1 to 65535)"),
        ("KVADM_SESSION_TTL", "0", "0s is shorter than 1s, the minimum TTL"),
    ];
    for (name, value, expected) in cases {
        assert_eq!(Setup::new().env(name, value).error(), format!("env {name}: {expected}"));
    }
    let setup = Setup::new().env("KVADM_SESSION_TTL", "8").env("KVADM_AUTO_COMPACT", "1h").env("KVADM_LOCK_TTL", "9s");
    let config = setup.ok();
    assert_eq!((config.session_ttl, config.lock_ttl), (Duration::from_secs(8), Duration::from_secs(9)));
    assert_eq!(config.auto_compact, Some(Duration::from_secs(3600)));
}

#[test]
fn bytes_that_are_no_text() {
    use std::os::unix::ffi::OsStringExt;
    let raw = |name: &str| -> Env {
        [(name.to_owned(), std::ffi::OsString::from_vec(b"/a\xff".to_vec()))].into_iter().collect()
    };
    let load = |env: Env| load_with(&Overrides::default(), &env, Path::new("/nowhere"));
    assert_eq!(load(raw("KVADM_NAMESPACE")).unwrap().connect.namespace, b"/a\xff");
    assert!(load(raw("KVADM_CA_FILE")).unwrap().connect.tls.ca.is_some());
    let error = load(raw("KVADM_ENDPOINTS")).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "env KVADM_ENDPOINTS: the value is not UTF-8");
}
