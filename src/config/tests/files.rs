//! Which file is read, and what is wrong with it.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    /// Any file gives settings or an error, and each setting records its line.
    #[test]
    fn any_text_gets_an_answer(
        pieces in proptest::collection::vec(
            prop::sample::select(vec![
                "endpoints", "qps", "password", "<<", "proto", "x", ":", ": ", " ", "  ", "\n", "\n", "- ", "[", "]", "{", "}",
                ",", "&a ", "*a", "!t ", "!!int ", "'", "\"", "|", ">", "#", "1", "1.5", "-", "---\n", "...\n", "?", "@", "\t", "~",
                "\u{feff}", "é", "\\",
            ]),
            0..24,
        )
    ) {
        let text = pieces.concat();
        if let Ok(document) = file::parse(text.as_bytes()) {
            for entry in &document.entries {
                let line = document.line(entry);
                prop_assert!(line.is_some_and(|line| line >= 1 && line <= text.lines().count()), "{:?}: {:?}", text, line);
            }
        }
        let _ = Setup::with(&text).load();
    }
}

#[test]
fn an_empty_file_is_all_defaults() {
    for text in ["", "\n", "# nothing\n", "null\n", "~", "---\n", "{}", "\u{feff}", "---\n# x\n...\n"] {
        let setup = Setup::with(text);
        let config = setup.ok();
        assert_eq!(endpoints(&config), ["http://127.0.0.1:2379"], "{text:?}");
        assert_eq!(config.connect.dial_timeout, Duration::from_secs(1));
        assert_eq!(config.warnings, [""; 0], "{text:?}");
    }
}

#[test]
fn without_any_file_the_defaults_hold() {
    let setup = Setup::new();
    let config = setup.ok();
    assert_eq!(config.file, None);
    assert_eq!(config.details, ["configuration: no file"]);
    assert_eq!(config.connect.op_timeout, Duration::from_secs(3));
    assert_eq!(config.connect.keepalive_time, Duration::from_secs(10));
    assert_eq!(config.connect.keepalive_timeout, Duration::from_secs(5));
    assert_eq!(config.connect.connect_wait, None);
    assert_eq!(config.session_ttl, Duration::from_secs(5));
    assert_eq!(config.lock_ttl, Duration::from_secs(25));
    assert_eq!(config.auto_compact, None);
    assert!(config.connect.credentials.is_none());
    assert_eq!(setup.setting("endpoints"), "127.0.0.1:2379 (default)");
    assert_eq!(setup.setting("reconnect-interval"), "2s (default)");
    assert_eq!(setup.setting("ca-file"), "- (default)");
}

#[test]
fn bom_crlf_and_json_are_fine() {
    for text in [
        "\u{feff}endpoints: [h:1]\r\ndial-timeout: 7s\r\n",
        "{\"endpoints\": [\"h:1\"], \"dial-timeout\": 7000000000}",
        "base: &b {dial-timeout: 7s}\n<<: *b\nendpoints: &e\n  - h:1\n",
        "%YAML 1.1\n---\nendpoints: [h:1]\ndial-timeout: 7s\n",
    ] {
        let config = Setup::with(text).ok();
        assert_eq!(endpoints(&config), ["http://h:1"], "{text:?}");
        assert_eq!(config.connect.dial_timeout, Duration::from_secs(7), "{text:?}");
    }
}

#[test]
fn only_the_first_document_is_read() {
    let setup = Setup::with("endpoints: h:1\n---\nendpoints: h:2\n");
    assert_eq!(endpoints(&setup.ok()), ["http://h:1"]);
    assert_eq!(setup.warnings(), ["D/etcd.yaml: only the first YAML document is used"]);
}

#[test]
fn a_bad_file_is_refused_by_line() {
    let cases = [
        ("just text\n", "D/etcd.yaml: the top level must be a mapping of keys to values"),
        ("- a\n- b\n", "D/etcd.yaml: the top level must be a mapping of keys to values"),
        ("a: 1\nendpoints: [a\nb: 2\n", "D/etcd.yaml:3: endpoints: invalid YAML: did not find expected ',' or ']'"),
        ("a: 1\n\tb: 2\n", "D/etcd.yaml:2: a: invalid YAML: found a tab character"),
        ("qps: 1\n\nqps: 2\n", "D/etcd.yaml:3: qps: the key occurs twice"),
        ("{\"qps\": 1,\n\"qps\": 2}", "D/etcd.yaml:2: qps: the key occurs twice"),
        ("proto:\n- {prefix: a, prefix: b}\n", "D/etcd.yaml:2: proto: a key occurs twice"),
        ("cert-file:\n- a\n", "D/etcd.yaml:2: cert-file: must be a string, not a list"),
        ("cert-file: {a: b}\n", "D/etcd.yaml:1: cert-file: must be a string, not a mapping"),
        ("qps: !!int x\n", "D/etcd.yaml:1: qps: the value does not match its YAML tag"),
        ("a: *nowhere\n", "D/etcd.yaml:1: a: invalid YAML: unknown anchor"),
        ("qps: !big 3\n", "D/etcd.yaml:1: qps: YAML tags are not supported"),
    ];
    for (text, expected) in cases {
        let error = Setup::with(text).error();
        assert!(error.replace("yaml:1: the top", "yaml: the top").starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn bytes_that_are_no_text_and_files_too_large() {
    let mut setup = Setup::new();
    setup.overrides.config = Some(setup.write("etcd.yaml", b"a: 1\nb: \xff\n"));
    assert_eq!(setup.error(), "D/etcd.yaml:2: the file is not UTF-8");
    let large = format!("# {}\n", "x".repeat(1 << 20));
    setup.overrides.config = Some(setup.write("etcd.yaml", large));
    assert_eq!(setup.error(), "flag --config: cannot read D/etcd.yaml: more than 1048576 bytes");
}

#[test]
fn a_named_file_must_be_there() {
    let setup = Setup::new().set(|o| o.config = Some("/nowhere/etcd.yaml".into()));
    assert_eq!(setup.error(), "flag --config: cannot read /nowhere/etcd.yaml: no such file or directory");
    let setup = Setup::new().env("ETCD_CONFIG", "/nowhere/etcd.yaml");
    assert_eq!(setup.error(), "env ETCD_CONFIG: cannot read /nowhere/etcd.yaml: no such file or directory");
    let setup = Setup::new();
    let dir = setup.dir.path().to_owned();
    let setup = setup.set(|o| o.config = Some(dir));
    assert_eq!(setup.error(), "flag --config: cannot read D: is a directory");
}

#[test]
fn etcd_config_is_looked_for_in_config_dir_too() {
    let setup = Setup::new();
    setup.write("conf/there.conf", "endpoints: h:7\n");
    let dir = setup.path("conf").to_str().unwrap().to_owned();
    let setup = setup.env("CONFIG_DIR", &dir).env("ETCD_CONFIG", "there.conf");
    assert_eq!(endpoints(&setup.ok()), ["http://h:7"]);
    let setup = setup.env("ETCD_CONFIG", "missing.conf");
    let expected = "env ETCD_CONFIG: cannot read missing.conf: no such file or directory \
                    (hint: D/conf/missing.conf does not exist either)";
    assert_eq!(setup.error(), expected);
}

/// Each way to name a file takes its turn when the better ones are taken away.
#[test]
fn the_order_of_the_ways_to_name_a_file() {
    let mut setup = Setup::new();
    for (name, host) in [
        ("flag.yaml", "flag"),
        ("env.yaml", "env"),
        ("home/.config/kvadm/one.yaml", "one"),
        ("home/.config/kvadm/two.yaml", "two"),
        ("home/.config/kvadm/etcd.yaml", "user"),
        ("machine.yaml", "machine"),
    ] {
        setup.write(name, format!("endpoints: {host}\n"));
    }
    let host = |setup: &Setup| setup.ok().connect.endpoints[0].host.clone();
    let etcd_config = setup.path("env.yaml").to_str().unwrap().to_owned();
    setup = setup.env("ETCD_CONFIG", &etcd_config).env("KVADM_CONTEXT", "two");
    setup.overrides.config = Some(setup.path("flag.yaml"));
    assert_eq!(host(&setup), "flag");
    setup.overrides.context = Some("one".to_owned());
    assert_eq!(setup.error(), "flag --config: cannot be used together with --context");
    setup.overrides.config = None;
    assert_eq!(host(&setup), "one");
    setup.overrides.context = None;
    assert_eq!(host(&setup), "env");
    assert_eq!(setup.warnings(), ["env KVADM_CONTEXT is ignored, because ETCD_CONFIG names a file"]);
    setup = setup.env("ETCD_CONFIG", "");
    assert_eq!(host(&setup), "two");
    setup = setup.env("KVADM_CONTEXT", "");
    assert_eq!(host(&setup), "user");
    fs::remove_file(setup.path("home/.config/kvadm/etcd.yaml")).unwrap();
    assert_eq!(host(&setup), "machine");
    assert_eq!(setup.details(), ["configuration: D/machine.yaml"]);
    setup.write("home/.config/kvadm/etcd.yaml", "endpoints: {");
    assert!(setup.error().starts_with("D/home/.config/kvadm/etcd.yaml:"), "a bad file is never passed over");
}

#[test]
fn contexts_are_names_in_the_users_folder() {
    let setup = Setup::new();
    setup.write("xdg/kvadm/prod.yaml", "endpoints: p\n");
    setup.write("xdg/kvadm/dev.yaml", "endpoints: d\n");
    setup.write("xdg/kvadm/notes.txt", "");
    let xdg = setup.path("xdg").to_str().unwrap().to_owned();
    let setup = setup.env("XDG_CONFIG_HOME", &xdg).set(|o| o.context = Some("prod".to_owned()));
    assert_eq!(endpoints(&setup.ok()), ["http://p:2379"]);
    let setup = setup.set(|o| o.context = Some("pord".to_owned()));
    let expected =
        "flag --context: context 'pord' not found: D/xdg/kvadm/pord.yaml (hint: existing contexts: dev, prod)";
    assert_eq!(setup.error(), expected);
    for name in ["../x", "a/b", "", ".", ".."] {
        let setup = Setup::new().set(|o| o.context = Some(name.to_owned()));
        assert!(setup.error().starts_with(&format!("flag --context: '{name}' is not a valid context name")), "{name}");
    }
    let setup = Setup::new().env("XDG_CONFIG_HOME", "relative").env("KVADM_CONTEXT", "x");
    assert!(setup.error().contains("D/home/.config/kvadm contains no contexts"), "{}", setup.error());
    let setup = Setup::new().env("HOME", "").env("KVADM_CONTEXT", "x");
    assert!(setup.error().contains("HOME and XDG_CONFIG_HOME are not set"), "{}", setup.error());
}

#[test]
fn unknown_keys_are_told_and_can_be_refused() {
    let setup = Setup::with("qps: 1\ndial_timeout: 5s\nsomething: else\n12: x\n");
    let expected = [
        "file D/etcd.yaml:2: unknown key 'dial_timeout'; did you mean 'dial-timeout'?",
        "file D/etcd.yaml:3: unknown key 'something'",
        "file D/etcd.yaml:4: unknown key '12'",
    ];
    assert_eq!(setup.warnings(), expected);
    let setup = setup.set(|o| o.strict = true);
    assert_eq!(setup.error(), "D/etcd.yaml:2: dial_timeout: unknown key (hint: did you mean 'dial-timeout'?)");
    let many: String = (0..25).map(|n| format!("k{n}: 1\n")).collect();
    let warnings = Setup::with(&many).warnings();
    assert_eq!(warnings.len(), 21);
    assert_eq!(warnings[20], "D/etcd.yaml: 5 more unknown keys");
}

#[test]
fn case_does_not_matter_and_the_exact_one_wins() {
    let setup = Setup::with("QPS: 1\nDial-Timeout: 9s\nqps: 2\nQps: 3\n");
    assert_eq!(setup.setting("qps"), "2 (file D/etcd.yaml:3)");
    assert_eq!(setup.setting("dial-timeout"), "9s (file D/etcd.yaml:2)");
    let expected = [
        "file D/etcd.yaml:1: 'QPS' is ignored, because 'qps' is present",
        "file D/etcd.yaml:4: 'Qps' is ignored, because 'qps' is present",
    ];
    assert_eq!(setup.warnings(), expected);
    let setup = Setup::with("QPS: 1\nQps: 3\n");
    assert_eq!(setup.setting("qps"), "3 (file D/etcd.yaml:2)");
}
