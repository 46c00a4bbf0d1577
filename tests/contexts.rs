//! `kvadm config list`, `init`, `use` and `test`, and how questions name the cluster.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::auth::{LIMITED, cheap};
use super::support::{Certs, Etcd, Kvadm, Run, shared, unique_prefix};

/// A home of its own, which several commands share.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("kvadm")).unwrap();
        Self(home)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("kvadm").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        private(&self.file(name), text);
    }

    fn kvadm(&self) -> Kvadm {
        Kvadm::new().env("XDG_CONFIG_HOME", self.0.path())
    }

    fn run<const N: usize>(&self, args: [&str; N]) -> Run {
        self.kvadm().args(args).run()
    }
}

fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn contexts_are_listed_with_what_they_say_and_which_is_in_use() {
    let home = Home::new();
    home.write("prod.yaml", "endpoints: [https://a:1, https://b:1]\nusername: u\npassword: s3cret\n");
    home.write("lab.yaml", "discovery-srv: example.test\n");
    home.write("broken.yaml", "endpoints: [a\n");
    let run = home.run(["config", "list", "-o", "json"]);
    run.ok().err_empty().out_lacks("s3cret");
    let rows = run.json_lines();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!(rows[0]["context"], "broken");
    assert!(rows[0]["error"].as_str().unwrap().contains("broken.yaml"), "{rows:?}");
    assert_eq!((&rows[1]["endpoints"][0], &rows[1]["tls"]), (&"srv://example.test".into(), &true.into()));
    assert_eq!((&rows[2]["user"], &rows[2]["endpoints"][1]), (&"u".into(), &"https://b:1".into()));
    assert!(rows.iter().all(|row| row.get("chosen_by").is_none()), "{rows:?}");
    let used = |kvadm: Kvadm| {
        let rows = kvadm.args(["config", "list", "-o", "json"]).run().ok().json_lines();
        let row = rows.iter().find(|row| row.get("chosen_by").is_some()).expect("a row in use").clone();
        (row["context"].as_str().map(str::to_owned), row["chosen_by"].as_str().unwrap().to_owned())
    };
    let named = |name: &str, by: &str| (Some(name.to_owned()), by.to_owned());
    assert_eq!(used(home.kvadm().env("KVADM_CONTEXT", "lab")), named("lab", "env KVADM_CONTEXT"));
    assert_eq!(used(home.kvadm().args(["--context", "broken"])), named("broken", "flag --context"));
    home.run(["config", "use", "prod"]).ok().out("prod\n");
    assert_eq!(used(home.kvadm()), named("prod", "kvadm config use"));
    let other = home.file("other.conf");
    private(&other, "endpoints: [c:1]\n");
    assert_eq!(used(home.kvadm().env("ETCD_CONFIG", &other)), (None, "env ETCD_CONFIG".to_owned()));
    // The table fits a terminal.
    home.kvadm().args(["config", "list", "-o", "table"]).run().ok().out_has("CONTEXT").out_has("prod");
}

#[test]
fn the_default_context_is_the_weakest_named_file() {
    let home = Home::new();
    let endpoints = |port: u16| format!("endpoints: ['127.0.0.1:{port}']\n");
    home.write("etcd.yaml", &endpoints(1));
    home.write("prod.yaml", &endpoints(2));
    home.write("lab.yaml", &endpoints(3));
    let in_use = |kvadm: Kvadm| kvadm.arg("config").run().ok().stdout_text().lines().next().unwrap().to_owned();
    assert!(in_use(home.kvadm()).contains("127.0.0.1:1"));
    home.run(["config", "use", "prod", "--dry-run"]).ok();
    assert!(in_use(home.kvadm()).contains("127.0.0.1:1"));
    home.run(["config", "use", "prod", "-o", "json"]).ok().out("{\"context\":\"prod\"}\n").err_empty();
    assert_eq!(std::fs::read_to_string(home.file("current-context")).unwrap(), "prod\n");
    assert!(in_use(home.kvadm()).contains("127.0.0.1:2"));
    for stronger in [
        home.kvadm().args(["--context", "lab"]),
        home.kvadm().env("KVADM_CONTEXT", "lab"),
        home.kvadm().env("ETCD_CONFIG", home.file("lab.yaml")),
        home.kvadm().arg("-c").arg(home.file("lab.yaml")),
    ] {
        assert!(in_use(stronger).contains("127.0.0.1:3"));
    }
    assert!(in_use(home.kvadm().env("KVADM_ENDPOINTS", "127.0.0.1:4")).contains("127.0.0.1:4"));
    let warned = home.kvadm().env("KVADM_CONTEXT", "lab").args(["config", "use", "prod"]).run();
    warned.ok().err_has("env KVADM_CONTEXT names another file");
    // What cannot be loaded is not chosen.
    home.write("broken.yaml", "endpoints: [a\n");
    home.run(["config", "use", "broken"]).code(2).out_empty().err_has("broken.yaml").err_has("was not changed");
    home.run(["config", "use", "nowhere"]).code(2).err_has("context 'nowhere' not found");
    home.run(["config", "use", "../etcd"]).code(2).err_has("is not a valid context name");
    home.run(["config", "use"]).code(2);
    assert!(in_use(home.kvadm()).contains("127.0.0.1:2"));
    // A default context that is gone is an error that says what to do; a damaged file too.
    std::fs::remove_file(home.file("prod.yaml")).unwrap();
    home.run(["get", "/a"]).code(2).err_has("context 'prod' not found").err_has("kvadm config use --none");
    home.write("current-context", "\u{1b}[2J/..\n");
    home.run(["get", "/a"]).code(2).err_has("does not contain the name of a context").err_lacks("\u{1b}");
    home.run(["config", "list"]).ok().err_has("does not contain the name of a context");
    home.run(["config", "use", "--none", "-o", "json"]).ok().out("{}\n");
    assert!(in_use(home.kvadm()).contains("127.0.0.1:1"));
    home.run(["config", "use", "--none"]).ok().err_empty();
}

#[test]
fn init_writes_a_context_from_options_and_tests_it_first() {
    let home = Home::new();
    let endpoint = shared().endpoint();
    let run = home.run([
        "config",
        "init",
        "lab",
        "--endpoints",
        &endpoint,
        "--namespace",
        "/ns: \"x\"/",
        "--op-timeout",
        "4s",
    ]);
    run.ok().out_has("lab").err_has("kvadm config use lab");
    let text = std::fs::read_to_string(home.file("lab.yaml")).unwrap();
    assert_eq!(mode(&home.file("lab.yaml")), 0o600);
    for line in [format!("endpoints: [\"{endpoint}\"]"), "operation-timeout: 4s".to_owned()] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    let key = unique_prefix();
    home.run(["--context", "lab", "put", &key, "x"]).ok();
    Kvadm::new().endpoint(shared()).args(["get", &format!("/ns: \"x\"/{key}")]).run().ok().out("x\n");
    home.run(["--context", "lab", "config", "--strict-config"]).ok().err_empty();
    // Never overwritten.
    let again = home.run(["config", "init", "lab", "--endpoints", &endpoint]);
    again.code(5).out_empty().err_has("lab.yaml exists; nothing was written");
    assert_eq!(std::fs::read_to_string(home.file("lab.yaml")).unwrap(), text);
    // A failed test writes nothing.
    let dead = ["config", "init", "dead", "--endpoints", "127.0.0.1:1"];
    home.run(dead)
        .code(3)
        .out_empty()
        .err_has("the test of the context failed; nothing was written")
        .err_has("--no-test");
    assert!(!home.file("dead.yaml").exists());
    home.kvadm().args(dead).args(["--no-test", "--dry-run", "-o", "json"]).run().ok().out_has("\"dry_run\":true");
    assert!(!home.file("dead.yaml").exists());
    home.kvadm().args(dead).arg("--no-test").run().ok();
    assert!(home.file("dead.yaml").exists());
    home.run(["config", "init", "none"]).code(2).err_has("no endpoints are given").err_has("--from-env");
    home.run(["config", "init", "a/b", "--endpoints", "a"]).code(2).err_has("is not a valid context name");
    // A wrong file in use does not keep a context from being created.
    home.write("etcd.yaml", "nonsense");
    home.run(["config", "init", "two", "--endpoints", &endpoint]).ok();
}

#[test]
fn init_takes_variables_of_etcdctl_and_keeps_secrets_in_files_of_their_own() {
    let (home, etcd) = (Home::new(), cheap());
    let variables =
        |kvadm: Kvadm| kvadm.env("ETCDCTL_ENDPOINTS", etcd.address()).env("ETCDCTL_USER", format!("app:{LIMITED}"));
    variables(home.kvadm()).args(["config", "init", "app"]).run().code(2).err_has("no endpoints are given");
    let run = variables(home.kvadm()).args(["config", "init", "app", "--from-env"]).run();
    run.ok().out_lacks(LIMITED).err_lacks(LIMITED);
    let text = std::fs::read_to_string(home.file("app.yaml")).unwrap();
    assert!(!text.contains(LIMITED) && text.contains("password-file: \"app.password\""), "{text}");
    assert_eq!(std::fs::read_to_string(home.file("app.password")).unwrap(), format!("{LIMITED}\n"));
    assert_eq!((mode(&home.file("app.yaml")), mode(&home.file("app.password"))), (0o600, 0o600));
    home.run(["--context", "app", "put", "/app/a", "one"]).ok().err_empty();
    // A wrong password: etcd refuses, and nothing is written.
    let wrong =
        home.kvadm().env("KVADM_ENDPOINTS", etcd.address()).env("KVADM_USER", "app").env("KVADM_PASSWORD", "no");
    wrong.args(["config", "init", "wrong", "--from-env"]).run().code(4).err_has("nothing was written");
    assert!(!home.file("wrong.yaml").exists() && !home.file("wrong.password").exists());
    let tested = home.run(["config", "test", "app"]);
    tested.ok().out_has("configuration: ok").out_has("logged in as 'app'").out_lacks(LIMITED).err_lacks(LIMITED);
    std::fs::set_permissions(home.file("app.password"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let tested = home.run(["config", "test", "app", "-o", "json"]);
    tested.code(6);
    let files = &tested.json_lines()[0];
    assert_eq!((&files["endpoint"], &files["ok"]), (&"configuration".into(), &false.into()), "{files}");
    let step = files["steps"].as_array().unwrap().iter().find(|step| step["step"] == "password").unwrap();
    assert!(step["remedy"].as_str().unwrap().starts_with("run 'chmod 600 "), "{step}");
}

#[test]
fn init_asks_on_a_terminal() {
    let home = Home::new();
    let mut asked = home.kvadm().args(["config", "init", "asked"]).pty().spawn();
    asked.wait_for_stdout("Endpoints, separated by commas", std::time::Duration::from_secs(10));
    asked.write(format!("{}\n", shared().endpoint()));
    asked.wait().ok();
    assert!(std::fs::read_to_string(home.file("asked.yaml")).unwrap().contains(&shared().endpoint()));
}

#[test]
fn test_checks_files_and_the_way_to_the_cluster() {
    let (home, certs) = (Home::new(), Certs::new());
    let etcd = Etcd::options().client_auth(&certs).start();
    std::fs::set_permissions(&certs.client.key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(&certs.expired_client.key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let context = |cert: &super::support::certs::Pair| {
        format!(
            "endpoints: ['{}']\nca-file: {}\ncert-file: {}\nkey-file: {}\n",
            etcd.endpoint(),
            certs.ca.display(),
            cert.cert.display(),
            cert.key.display()
        )
    };
    home.write("good.yaml", &context(&certs.client));
    home.write("expired.yaml", &context(&certs.expired_client));
    home.run(["config", "test", "good"]).ok().out_has("configuration: ok").out_has("more days").err_empty();
    home.run(["--context", "good", "config", "test"]).ok().out_has("configuration: ok");
    let run = home.run(["config", "test", "expired"]);
    run.code(3).out_has("FAIL  cert ").out_has("to 2021-01-01 00:00:00 UTC").out_has("openssl x509 -noout -dates");
    home.write("missing.yaml", &context(&certs.client).replace("ca.pem", "nowhere.pem"));
    home.run(["config", "test", "missing"]).code(2).out_has("nowhere.pem");
    home.write("dead.yaml", "endpoints: ['127.0.0.1:1']\n");
    home.run(["config", "test", "dead"]).code(3).out_has("configuration: ok").out_has("connection refused");
    home.run(["config", "test", "nowhere"]).code(2).out_empty().err_has("context 'nowhere' not found");
    home.run(["config", "test", "good", "--context", "dead"]).code(2).err_has("cannot be used together with --context");
}

#[test]
fn a_question_names_the_context_the_endpoints_and_the_cluster() {
    let (home, prefix) = (Home::new(), unique_prefix());
    let endpoint = shared().endpoint();
    home.write("prod.yaml", &format!("endpoints: ['{endpoint}']\n"));
    let kvadm = || home.kvadm().args(["--context", "prod"]);
    for key in ["a", "b"] {
        kvadm().args(["put", &format!("{prefix}{key}"), "x"]).run().ok();
    }
    let status = kvadm().args(["status", "-o", "json"]).run().json();
    let cluster =
        status["members"][0]["cluster"].as_str().or(status["cluster"].as_str()).expect("a cluster ID").to_owned();
    let mut asked = kvadm().args(["delete", "--prefix", &prefix]).pty_of(200).spawn();
    let question = format!("(context prod; {endpoint}; cluster {cluster})? [y/N]");
    asked.wait_for_stdout(&question, std::time::Duration::from_secs(10));
    asked.write("n\n");
    asked.wait().code(5);
    // A verb that has sent nothing yet asks for the ID.
    let file = home.file("prod.yaml");
    let mut asked = home.kvadm().arg("-c").arg(&file).args(["delete", &format!("{prefix}a"), &format!("{prefix}b")]);
    asked = asked.pty_of(250);
    let mut asked = asked.spawn();
    let question = format!("(file {}; {endpoint}; cluster {cluster})? [y/N]", file.display());
    asked.wait_for_stdout(&question, std::time::Duration::from_secs(10));
    asked.write("n\n");
    asked.wait().code(5);
}

#[test]
fn unknown_variables_are_warned_of() {
    let run = Kvadm::new()
        .env("KVADM_ENDPOINT", "a:1")
        .env("KVADM_LOCK_REV", "3")
        .env("KVADM_EVENT_KEY", "k")
        .arg("config")
        .run();
    run.ok().err_has("warning: env KVADM_ENDPOINT is unknown and has no effect; did you mean KVADM_ENDPOINTS?");
    run.err_lacks("KVADM_LOCK").err_lacks("KVADM_EVENT");
    Kvadm::new().env("KVADM_NONSENSE_\u{1b}[2J", "a:1").arg("config").run().ok().err_lacks("\u{1b}");
    Kvadm::new().env("KVADM_ENDPOINT", "a:1").args(["config", "-q"]).run().ok().err_empty();
}
