//! What the command line names is stronger than the environment, and a password stays with its own endpoints.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::auth::{LIMITED, cheap};
use super::support::{FakeServer, Kvadm, Reply, Run, shared, unique_prefix};

const NOBODY: &str = "127.0.0.1:1";

/// A server that refuses every request, and the methods that it was asked for.
fn recorder() -> (FakeServer, Arc<Mutex<Vec<String>>>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let methods = Arc::clone(&asked);
    let server = FakeServer::start(move |asked| {
        methods.lock().unwrap().push(asked.method.clone());
        Reply::Refusal(3, "etcdserver: user name is empty".to_owned())
    });
    (server, asked)
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_file_that_the_command_line_names_wins_over_kvadm_variables() {
    let folder = tempfile::tempdir().unwrap();
    let key = format!("{}a", unique_prefix());
    let text = format!("endpoints: [{}]\n", shared().address());
    let named = file(&folder, "etcd.yaml", &text);
    let put = |kvadm: Kvadm| kvadm.env("KVADM_ENDPOINTS", NOBODY).args(["put", &key, "x"]).run();
    put(Kvadm::new().arg("-c").arg(&named)).ok().err_empty();
    put(Kvadm::new().config_file("prod.yaml", &text).args(["--context", "prod"])).ok().err_empty();
    // What is typed is stronger still.
    let flag = Kvadm::new().arg("-c").arg(file(&folder, "dead.yaml", "endpoints: ['127.0.0.1:1']\n"));
    put(flag.endpoint(shared())).ok().err_empty();
    // A file that the environment names, or that is found, is weaker.
    let weaker = |run: &Run| {
        run.code(3).out_empty().err_has(&format!("http://{NOBODY}: connection refused"));
    };
    weaker(&put(Kvadm::new().env("ETCD_CONFIG", &named)));
    weaker(&put(Kvadm::new().config_file("prod.yaml", &text).env("KVADM_CONTEXT", "prod")));
    weaker(&put(Kvadm::new().config_file("etcd.yaml", &text)));
}

#[test]
fn a_password_does_not_follow_to_endpoints_of_a_stronger_source() {
    let folder = tempfile::tempdir().unwrap();
    let (server, asked) = recorder();
    let named = file(&folder, "etcd.yaml", &format!("endpoints: ['{}']\n", server.endpoint()));
    let secret = |kvadm: Kvadm| kvadm.env("KVADM_USER", "app").env("KVADM_PASSWORD", LIMITED);
    let withheld = [
        (secret(Kvadm::new().arg("-c").arg(&named)), "env KVADM_USER", format!("file {}:1", named.display())),
        (secret(Kvadm::new().endpoint(&server.endpoint())), "env KVADM_USER", "flag --endpoints".to_owned()),
        (
            Kvadm::new().endpoint(&server.endpoint()).env("ETCDCTL_USER", format!("app:{LIMITED}")),
            "env ETCDCTL_USER",
            "flag --endpoints".to_owned(),
        ),
    ];
    for (kvadm, user, endpoints) in withheld {
        let run = kvadm.args(["get", "/a"]).run();
        run.code(4)
            .out_empty()
            .err_lacks(LIMITED)
            .err_has(&format!("warning: user 'app' ({user}) and the password (env "));
        run.err_has(&format!(") are not used, because the endpoints are from {endpoints}; add --user to log in there"));
    }
    let methods = asked.lock().unwrap().clone();
    assert!(!methods.is_empty() && !methods.iter().any(|method| method.contains("Authenticate")), "{methods:?}");
    // With --user it does.
    let run = secret(Kvadm::new().endpoint(&server.endpoint())).args(["--user", "app", "get", "/a"]).run();
    run.code(4).out_empty().err_lacks(LIMITED);
    assert!(asked.lock().unwrap().iter().any(|method| method.contains("Authenticate")));
}

#[test]
fn a_password_is_not_combined_with_another_user() {
    let etcd = cheap();
    let folder = tempfile::tempdir().unwrap();
    let text = format!("endpoints: [{}]\nusername: app\npassword: {LIMITED}\n", etcd.address());
    let named = file(&folder, "etcd.yaml", &text);
    let get = |kvadm: Kvadm| kvadm.args(["get", "/shared/a"]).run();
    get(Kvadm::new().arg("-c").arg(&named)).ok().out("shared\n").err_empty();
    // One of the file's own endpoints, typed, is not another one.
    get(Kvadm::new().arg("-c").arg(&named).endpoint(&etcd)).ok().out("shared\n").err_empty();
    get(Kvadm::new().arg("-c").arg(&named).args(["--user", "app"])).ok().out("shared\n").err_empty();
    let run = get(Kvadm::new().arg("-c").arg(&named).args(["--user", "root"]));
    run.code(2).out_empty().err_lacks(LIMITED).err_has("error: flag --user: user 'root' has no password");
    run.err_has(&format!(
        "hint: add --password-file FILE; the password from file {}:3 belongs to another user",
        named.display()
    ));
}

#[test]
fn a_password_without_encryption_is_warned_of_every_time() {
    let warning = "warning: the password of user 'u' is sent to http://192.0.2.1:2379 without encryption";
    let kvadm = || Kvadm::new().endpoint("192.0.2.1").args(["--user", "u"]).env("KVADM_PASSWORD", "p");
    for _ in 0..2 {
        kvadm().arg("config").run().ok().err_has(warning);
        kvadm().args(["config", "-q"]).run().ok().err_has(warning);
    }
    kvadm().args(["config", "--insecure-skip-tls-verify", "-q"]).run().ok().err_lacks(warning);
    let etcd = cheap();
    let local = super::auth::login(&etcd, "app", LIMITED).args(["get", "/shared/a"]).run();
    local.ok().out("shared\n").err_empty();
}

#[test]
fn etcdctls_variables_are_read_or_warned_of() {
    let get = |name: &str, value: &str| {
        Kvadm::new().env("ETCDCTL_ENDPOINTS", shared().address()).env(name, value).args(["get", "/no/such/key"]).run()
    };
    for (name, value) in [("ETCDCTL_HEX", "true"), ("ETCDCTL_WRITE_OUT", "table")] {
        let run = get(name, value);
        run.code(1).out_empty().err_has(&format!("warning: env {name} has no effect: "));
    }
    // Some versions of etcd check a token although authentication is not enabled.
    get("ETCDCTL_AUTH_JWT_TOKEN", "s3cret").out_empty().err_lacks("s3cret").err_lacks("warning");
    get("ETCDCTL_API", "3").code(1).err_lacks("warning");
    // With false, etcdctl speaks TLS without any file.
    get("ETCDCTL_INSECURE_TRANSPORT", "false").code(3).err_has("https://");
    get("ETCDCTL_COMMAND_TIMEOUT", "soon")
        .code(2)
        .err_has("env ETCDCTL_COMMAND_TIMEOUT: 'soon' is not a valid duration");
}
