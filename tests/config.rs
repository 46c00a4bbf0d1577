//! Loading the configuration as the shell sees it, and `kvadm config`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::support::{Kvadm, Run, shared, unique_prefix};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

fn config() -> Kvadm {
    Kvadm::new().arg("config")
}

fn with(file: &Path) -> Kvadm {
    config().arg("-c").arg(file)
}

/// The value of a key and where it came from.
#[track_caller]
fn setting(run: &Run, key: &str) -> (String, String) {
    let text = run.ok().stdout_text();
    let mut found = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('\t'));
    let line = found.next().unwrap_or_else(|| panic!("no {key} in\n{text}"));
    assert_eq!(found.next(), None, "{key} is there twice in\n{text}");
    let mut columns = line.split('\t').map(str::to_owned);
    (columns.next().unwrap(), columns.next().unwrap())
}

#[track_caller]
fn says(run: &Run, key: &str, value: &str, source: &str) {
    assert_eq!(setting(run, key), (value.to_owned(), source.to_owned()), "{key}\n{}", run.stderr_text());
}

#[test]
fn without_anything_the_defaults_hold() {
    let run = config().run();
    run.ok().err_empty();
    says(&run, "endpoints", "127.0.0.1:2379", "default");
    says(&run, "dial-timeout", "1s", "default");
    says(&run, "operation-timeout", "3s", "default");
    says(&run, "reconnect-interval", "2s", "default");
    says(&run, "dial-keep-alive-time", "10s", "default");
    assert_eq!(setting(&run, "ca-file").1, "default");
    config().arg("-v").run().ok().err_has("configuration: no file");
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let folder = Folder::new();
    let missing = folder.path("nowhere.yaml");
    let name = missing.to_str().unwrap();
    for verb in [&["config"][..], &["get", "/a"], &["status"]] {
        let run = Kvadm::new().arg("-c").arg(&missing).args(verb).run();
        run.code(2).out_empty().err_has(name).err_has("no such file or directory");
        let run = Kvadm::new().env("ETCD_CONFIG", &missing).args(verb).run();
        run.code(2).out_empty().err_has("env ETCD_CONFIG").err_has(name);
    }
    let run = with(folder.path("").as_path()).run();
    run.code(2).out_empty().err_has("directory");
    let run = config().args(["--context", "nowhere"]).config_file("here.yaml", "").run();
    run.code(2).out_empty().err_has("context 'nowhere' not found").err_has("existing contexts: here");
    let run = config().env("KVADM_CONTEXT", "../etcd").run();
    run.code(2).err_has("env KVADM_CONTEXT").err_has("is not a valid context name");
    // Even the file that nobody named: what is there and cannot be read is not passed over.
    config().config_file("etcd.yaml", "endpoints: [a\n").run().code(2).out_empty().err_has("etcd.yaml:");
}

#[test]
fn a_bad_file_is_named_by_line_and_key() {
    let folder = Folder::new();
    let cases = [
        ("endpoints: [a:1]\ndial-timeout: soon\n", ":2: dial-timeout: "),
        ("# one\n# two\nqps: many\n", ":3: qps: "),
        ("a: 1\n\tb: 2\n", ":2: a: invalid YAML: "),
        ("endpoints: [a\nqps: 2\n", ":2: endpoints: invalid YAML: "),
        ("endpoints: ['ftp://h']\n", ":1: endpoints: "),
        ("endpoints: ['h:99999']\n", ":1: endpoints: "),
        ("operation-timeout: '5'\n", ":1: operation-timeout: '5' has no unit"),
        ("output: xml\n", ":1: output: 'xml' is not an output format; use one of text, table, json, yaml, raw"),
        ("insecure-transport: perhaps\n", ":1: insecure-transport: must be true or false"),
        ("- a\n- b\n", ":1: the top level must be a mapping"),
    ];
    for (text, expected) in cases {
        let file = folder.write("etcd.yaml", text);
        let run = with(&file).run();
        run.code(2).out_empty().err_has(&format!("error: {}{expected}", file.display()));
        let json = with(&file).args(["-o", "json"]).run();
        let error = json.code(2).out_empty().err_json();
        assert_eq!(error["exit_code"], 2, "{error}");
        assert!(error["error"].as_str().unwrap().contains(expected), "{error}");
    }
    let file = folder.path("bytes.yaml");
    std::fs::write(&file, b"qps: 1\nnamespace: \xff\n").unwrap();
    with(&file).run().code(2).err_has(&format!("{}:2: the file is not UTF-8", file.display()));
}

#[test]
fn unknown_keys_are_warned_of_or_refused() {
    let folder = Folder::new();
    let file = folder.write("etcd.yaml", "endpoints: [a:1]\ndial_timeout: 5s\nshoe-size: 44\n");
    let run = with(&file).run();
    run.ok().err_has(&format!(
        "warning: file {}:2: unknown key 'dial_timeout'; did you mean 'dial-timeout'?",
        file.display()
    ));
    run.err_has("unknown key 'shoe-size'");
    says(&run, "dial-timeout", "1s", "default");
    with(&file).arg("-q").run().ok().err_empty();
    // Another error does not hide them: they may name its cause.
    let broken = folder.write("broken.yaml", "endpoints: [a:1]\ndial_timeout: 5s\nqps: many\n");
    let run = with(&broken).run();
    run.code(2).out_empty().err_has("unknown key 'dial_timeout'").err_has(":3: qps: 'many' is not a number");
    let strict = with(&file).arg("--strict-config").run();
    strict.code(2).out_empty().err_has(&format!("{}:2: dial_timeout: unknown key", file.display()));
    strict.err_has("hint: did you mean 'dial-timeout'?");
}

#[test]
fn the_first_file_that_is_there_counts() {
    let home = |kvadm: Kvadm| {
        kvadm.config_file("etcd.yaml", "endpoints: [default:1]\n").config_file("prod.yaml", "endpoints: [prod:1]\n")
    };
    let folder = Folder::new();
    let (one, two) =
        (folder.write("one.yaml", "endpoints: [one:1]\n"), folder.write("two.yaml", "endpoints: [two:1]\n"));
    let endpoints = |kvadm: Kvadm| setting(&home(kvadm).run(), "endpoints").0;
    assert_eq!(endpoints(config()), "default:1");
    assert_eq!(endpoints(config().env("KVADM_CONTEXT", "prod")), "prod:1");
    assert_eq!(endpoints(config().args(["--context", "prod"])), "prod:1");
    assert_eq!(endpoints(config().env("ETCD_CONFIG", &one)), "one:1");
    assert_eq!(endpoints(config().env("ETCD_CONFIG", &one).args(["--context", "prod"])), "prod:1");
    assert_eq!(endpoints(with(&two).env("ETCD_CONFIG", &one)), "two:1");
    assert_eq!(endpoints(config().arg("--etcd-config").arg(&two)), "two:1");
    assert_eq!(endpoints(config().arg(format!("--config={}", two.display()))), "two:1");
    home(with(&two).args(["--context", "prod"])).run().code(2).err_has("cannot be used together with --context");
    // XDG_CONFIG_HOME is where the contexts are; without it, below HOME.
    std::fs::create_dir(folder.path("kvadm")).unwrap();
    folder.write("kvadm/etcd.yaml", "endpoints: [xdg:1]\n");
    assert_eq!(endpoints(config().env("XDG_CONFIG_HOME", folder.path(""))), "xdg:1");
    assert_eq!(endpoints(config().env("XDG_CONFIG_HOME", "")), "default:1");
    // As Ligato does: a name that is not there as given is looked for in CONFIG_DIR.
    let ligato = config().env("ETCD_CONFIG", "one.yaml").env("CONFIG_DIR", folder.path(""));
    assert_eq!(endpoints(ligato), "one:1");
    let from_stdin = config().args(["-c", "/dev/stdin"]).stdin("endpoints: [stdin:1]\n");
    assert_eq!(endpoints(from_stdin), "stdin:1");
}

#[test]
fn the_strongest_source_wins_key_by_key() {
    let folder = Folder::new();
    let file = folder.write("etcd.yaml", "dial-timeout: 7s\nqps: 5\nendpoints: [file:1]\nnamespace: /file/\n");
    let all = || {
        with(&file)
            .env("KVADM_ENDPOINTS", "kvadm:1")
            .env("ETCD_ENDPOINTS", "etcd:1")
            .env("ETCDV3_ENDPOINTS", "etcdv3:1")
            .env("ETCDCTL_ENDPOINTS", "etcdctl:1")
            .env("KVADM_QPS", "6")
    };
    let run = all().args(["--endpoints", "flag:1", "--namespace", "/flag/"]).run();
    says(&run, "endpoints", "flag:1", "flag --endpoints");
    says(&run, "namespace", "/flag/", "flag --namespace");
    says(&run, "qps", "5", &format!("file {}:2", file.display()));
    says(&run, "dial-timeout", "7s", &format!("file {}:1", file.display()));
    let run = all().arg("-v").run();
    let at = format!("file {}:3", file.display());
    says(&run, "endpoints", "file:1", &at);
    run.err_has(&format!("info: endpoints: {at} (file:1) takes precedence over env KVADM_ENDPOINTS (kvadm:1)"));
    run.err_has(&format!("info: endpoints: {at} (file:1) takes precedence over env ETCD_ENDPOINTS (etcd:1)"));
    run.out_has("kvadm:1 (env KVADM_ENDPOINTS),etcd:1 (env ETCD_ENDPOINTS),etcdv3:1 (env ETCDV3_ENDPOINTS),etcdctl:1");
    all().run().ok().err_empty();
    let environment = || config().env("ETCDV3_ENDPOINTS", "etcdv3:1").env("ETCDCTL_ENDPOINTS", "etcdctl:1");
    says(&environment().env("ETCD_ENDPOINTS", "etcd:1").run(), "endpoints", "etcd:1", "env ETCD_ENDPOINTS");
    says(&environment().run(), "endpoints", "etcdv3:1", "env ETCDV3_ENDPOINTS");
    let last = config().env("ETCDCTL_ENDPOINTS", "etcdctl:1").env("ETCDCTL_CACERT", "/ca").run();
    says(&last, "endpoints", "etcdctl:1", "env ETCDCTL_ENDPOINTS");
    says(&last, "ca-file", "/ca", "env ETCDCTL_CACERT");
}

#[test]
fn durations_are_gos() {
    let folder = Folder::new();
    let file = folder.write("etcd.yaml", "dial-timeout: 5\noperation-timeout: 2500000000\nreconnect-interval: 1m30s\n");
    let run = with(&file).run();
    run.ok()
        .err_has(&format!("warning: file {}:1: dial-timeout: 5 means nanoseconds; did you mean 5s", file.display()));
    says(&run, "operation-timeout", "2.5s", &format!("file {}:2", file.display()));
    says(&run, "reconnect-interval", "1m30s", &format!("file {}:3", file.display()));
    for (value, words) in [
        ("5", "did you mean 5s?"),
        ("0s", "must be greater than zero"),
        ("-1s", "negative"),
        ("soon", "'soon' is not a valid duration (use e.g. 300ms, 5s or 1h30m)"),
    ] {
        let run = config().arg(format!("--op-timeout={value}")).run();
        run.code(2).out_empty().err_has("--op-timeout").err_has(words);
    }
    config().env("KVADM_DIAL_TIMEOUT", "5").run().code(2).err_has("env KVADM_DIAL_TIMEOUT").err_has("did you mean 5s?");
}

/// The file that cn-infra ships, but for the endpoints, which are this server's.
#[test]
fn ligatos_sample_works_as_it_is() {
    let (folder, prefix) = (Folder::new(), unique_prefix());
    let text = format!(
        "insecure-transport: true\ndial-timeout: 100000000\noperation-timeout: 300000000\n\
         insecure-skip-tls-verify: false\ncert-file: <file-path>\nkey-file: <file-path>\nca-file: <file-path>\n\
         auto-compact: 3600000000000\nresync-after-reconnect: false\nallow-delayed-start: false\n\
         reconnect-interval: 2000000000\nsession-ttl: 5\nendpoints:\n  - \"{}\"\n",
        shared().address()
    );
    let file = folder.write("etcd.conf", &text);
    let key = format!("{prefix}a");
    // As Ligato is started: by the environment.
    let kvadm = || Kvadm::new().env("ETCD_CONFIG", &file);
    kvadm().args(["put", &key, "one"]).run().ok().err_empty();
    kvadm().args(["get", &key]).run().ok().out("one\n").err_empty();
    let run = kvadm().arg("config").run();
    says(&run, "operation-timeout", "300ms", &format!("file {}:3", file.display()));
    says(&run, "auto-compact", "1h0m0s", &format!("file {}:8", file.display()));
    kvadm().args(["config", "--strict-config"]).run().ok();
}

/// What Cilium mounts as /var/lib/etcd-config/etcd.config, with the keys clientv3 knows.
#[test]
fn ciliums_etcd_config_works_as_it_is() {
    let (folder, key) = (Folder::new(), format!("{}a", unique_prefix()));
    let text = format!(
        "---\nendpoints:\n- http://{}\n#\n# trusted-ca-file: '/var/lib/etcd-secrets/etcd-client-ca.crt'\n\
         auto-sync-interval: 0\ndial-timeout: 2000000000\ndial-keep-alive-time: 15000000000\n\
         dial-keep-alive-timeout: 3000000000\nreject-old-cluster: false\npermit-without-stream: true\n",
        shared().address()
    );
    let file = folder.write("etcd.config", &text);
    Kvadm::new().arg("-c").arg(&file).args(["put", &key, "one"]).run().ok().err_empty();
    Kvadm::new().arg("-c").arg(&file).args(["get", &key]).run().ok().out("one\n").err_empty();
    let run = with(&file).arg("--strict-config").run();
    run.ok().err_empty();
    says(&run, "dial-keep-alive-time", "15s", &format!("file {}:8", file.display()));
}

#[test]
fn the_files_own_keys_take_effect() {
    let prefix = unique_prefix();
    let text = format!("endpoints: {}\nnamespace: {prefix}\noutput: json\n", shared().address());
    let kvadm = || Kvadm::new().config_file("etcd.yaml", &text);
    kvadm().args(["put", "a", "one"]).run().ok();
    let answer = kvadm().args(["get", "a"]).run().json();
    assert_eq!((&answer["key"], &answer["value"]), (&"a".into(), &"one".into()));
    shared().etcdctl_ok(&["get", &format!("{prefix}a")]);
    assert_eq!(shared().etcdctl_ok(&["get", "--print-value-only", &format!("{prefix}a")]), "one\n");
    // A flag beats the file, also for what is not JSON.
    kvadm().args(["get", "a", "-o", "raw"]).run().ok().out("one");
    kvadm().args(["get", "b"]).run().code(1).out_empty();
    let refused = kvadm().args(["get", "a", "--rev", "999999999"]).run();
    assert_eq!(refused.code(4).err_json()["exit_code"], 4);
    kvadm().env("KVADM_OUTPUT", "xml").args(["get", "a"]).run().code(2).err_has("env KVADM_OUTPUT").err_has("xml");
}

#[test]
fn paths_are_relative_to_the_file_and_else_to_the_shell() {
    let folder = Folder::new();
    let file = folder.write("etcd.yaml", "ca-file: tls/ca.pem\ncert-file: ~/cert.pem\nkey-file: /abs/key.pem\n");
    let kvadm = with(&file).folder("/");
    let home = kvadm.home().join("cert.pem");
    let run = kvadm.run();
    let at = |line| format!("file {}:{line}", file.display());
    says(&run, "ca-file", folder.path("tls/ca.pem").to_str().unwrap(), &at(1));
    says(&run, "cert-file", home.to_str().unwrap(), &at(2));
    says(&run, "key-file", "/abs/key.pem", &at(3));
    let pair = config().env("KVADM_CERT_FILE", "env/cert.pem").env("KVADM_KEY_FILE", "env/key.pem").run();
    says(&pair, "key-file", "env/key.pem", "env KVADM_KEY_FILE");
    // A file named relative to the working directory.
    let run = config().folder(folder.path("")).args(["-c", "etcd.yaml"]).run();
    run.ok().err_lacks("error");
    assert!(setting(&run, "ca-file").0.ends_with("tls/ca.pem"));
}

#[test]
fn every_output_format_says_the_same() {
    let folder = Folder::new();
    let file = folder.write("etcd.yaml", "username: root\npassword: hunter2\nendpoints: [a:1, b:2]\n");
    let lines = with(&file).args(["-o", "json"]).run();
    let lines = lines.ok().err_has("the password of user 'root' is sent to http://a:1 without encryption").json_lines();
    let find = |key: &str| lines.iter().find(|line| line["key"] == key).unwrap_or_else(|| panic!("no {key}"));
    assert_eq!(find("endpoints")["value"], "a:1,b:2");
    assert_eq!(find("endpoints")["source"], format!("file {}:3", file.display()));
    assert_eq!(find("password")["value"], "(redacted)");
    assert_eq!(find("operation-timeout")["source"], "default");
    assert!(find("ca-file").get("value").is_none_or(serde_json::Value::is_null));
    let text = with(&file).run();
    assert_eq!(text.ok().stdout_text().lines().count(), lines.len());
    let table = with(&file).args(["-o", "table"]).run();
    table.ok().out_has("KEY").out_has("a:1,b:2").out_has("(redacted)").out_lacks("hunter2");
    let yaml = with(&file).args(["-o", "yaml"]).run();
    yaml.ok().out_has("key: \"endpoints\"").out_lacks("hunter2");
    let terminal = with(&file).pty().run();
    terminal.ok().out_has("KEY").out_has("(redacted)").out_lacks("hunter2");
    // Nothing is dialled for it.
    config().args(["--endpoints", "127.0.0.1:1"]).run().ok();
}
