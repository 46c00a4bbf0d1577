//! A token in the place of a login: where it comes from, which source wins, and what follows when etcd refuses it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::KeyPair;

use super::auth::{LIMITED, ROOT, cheap};
use super::support::{Etcd, FakeServer, Kvadm, Reply, Run};

/// The token of a login, from etcd's gateway for JSON.
pub(super) fn token_of(etcd: &Etcd, user: &str, password: &str) -> String {
    let body = serde_json::json!({"name": user, "password": password}).to_string();
    let mut stream = TcpStream::connect(etcd.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!(
        "POST /v3/auth/authenticate HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let from = answer.find("\"token\":\"").unwrap_or_else(|| panic!("no token in {answer}")) + 9;
    answer[from..].split('"').next().unwrap().to_owned()
}

fn private(folder: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn with_jwt(folder: &Path) -> Etcd {
    let pem = include_str!("support/rsa-for-tests.pem");
    let (private, public) = (folder.join("jwt.key"), folder.join("jwt.pub"));
    std::fs::write(&private, pem).unwrap();
    std::fs::write(&public, KeyPair::from_pem(pem).unwrap().public_key_pem()).unwrap();
    let (public, private) = (public.display(), private.display());
    let tokens = format!("--auth-token=jwt,pub-key={public},priv-key={private},sign-method=RS256,ttl=10m");
    let etcd = Etcd::options().arg("--bcrypt-cost=4").arg(tokens).start();
    etcd.etcdctl_ok(&["user", "add", &format!("root:{ROOT}")]);
    etcd.etcdctl_ok(&["user", "add", &format!("app:{LIMITED}")]);
    etcd.etcdctl_ok(&["role", "add", "app"]);
    etcd.etcdctl_ok(&["role", "grant-permission", "app", "readwrite", "/app/", "--prefix=true"]);
    etcd.etcdctl_ok(&["user", "grant-role", "app", "app"]);
    etcd.etcdctl_ok(&["user", "grant-role", "root", "root"]);
    etcd.etcdctl_ok(&["auth", "enable"]);
    etcd
}

fn kvadm(etcd: &Etcd) -> Kvadm {
    Kvadm::new().env("KVADM_ENDPOINTS", etcd.address())
}

#[track_caller]
fn refused(run: &Run, token: &str) {
    run.code(4)
        .out_empty()
        .err_has("get a new token: this one has expired")
        .err_lacks(token)
        .within(Duration::from_secs(5));
}

#[test]
fn a_jwt_takes_the_place_of_a_login_until_users_change() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = with_jwt(folder.path());
    let token = token_of(&etcd, "app", LIMITED);
    let file = private(folder.path(), "token", &format!("{token}\n"));
    let logins = etcd.received("Authenticate");
    kvadm(&etcd).env("KVADM_TOKEN", &token).args(["put", "/app/a", "one"]).run().ok().err_empty();
    let get = |kvadm: Kvadm| kvadm.args(["get", "/app/a"]).run();
    get(kvadm(&etcd).arg("--token-file").arg(&file)).ok().out("one\n").err_empty();
    get(kvadm(&etcd).env("KVADM_TOKEN_FILE", &file)).ok().out("one\n").err_empty();
    let etcdctl = Kvadm::new().env("ETCDCTL_ENDPOINTS", etcd.address()).env("ETCDCTL_AUTH_JWT_TOKEN", &token);
    get(etcdctl).ok().out("one\n").err_empty();
    let text = format!("endpoints: [{}]\ntoken-file: {}\n", etcd.address(), file.display());
    get(Kvadm::new().config_file("etcd.yaml", &text)).ok().out("one\n").err_empty();
    let watch = kvadm(&etcd).env("KVADM_TOKEN", &token).args(["watch", "/app/a", "--rev", "1", "--count", "1"]).run();
    watch.ok().err_lacks(&token);
    let denied = kvadm(&etcd).env("KVADM_TOKEN", &token).args(["get", "/secret/a"]).run();
    denied.code(4).out_empty().err_has("permission denied (the user of the token").err_lacks(&token);
    let report = kvadm(&etcd).env("KVADM_TOKEN", &token).args(["status", "--diagnose", "-vv"]).run();
    report.ok().out_has("the token is accepted").out_lacks(&token).err_lacks(&token);
    let config = kvadm(&etcd).env("KVADM_TOKEN", &token).args(["config", "-vv"]).run();
    config.ok().out_has("token\t(redacted)\tenv KVADM_TOKEN").out_lacks(&token).err_lacks(&token);
    assert_eq!(etcd.received("Authenticate"), logins, "a command with a token logs in");
    // A JWT is bound to the state of users and roles.
    let root = token_of(&etcd, "root", ROOT);
    kvadm(&etcd).env("KVADM_TOKEN", &root).args(["put", "/other", "x"]).run().ok();
    etcd.etcdctl_ok(&["--user", &format!("root:{ROOT}"), "user", "add", "other:pw"]);
    refused(&get(kvadm(&etcd).env("KVADM_TOKEN", &token)), &token);
    let put = kvadm(&etcd).env("KVADM_TOKEN", &token).args(["put", "/app/a", "two"]).run();
    refused(&put, &token);
    let watch = kvadm(&etcd).env("KVADM_TOKEN", &token).args(["watch", "/app/a"]).run();
    watch.code(4).err_lacks(&token);
    refused(&get(kvadm(&etcd).env("KVADM_TOKEN", "not.a.token")), "not.a.token");
}

#[test]
fn a_simple_token_works_too() {
    let etcd = cheap();
    let token = token_of(&etcd, "app", LIMITED);
    kvadm(&etcd).env("KVADM_TOKEN", &token).args(["put", "/app/a", "one"]).run().ok().err_empty();
    let run = kvadm(&etcd).env("KVADM_TOKEN", "QWERTYUIOPASDFGH.1").args(["get", "/app/a"]).run();
    run.code(4).out_empty().err_has("get a new token");
}

#[test]
fn a_token_and_a_user_are_one_setting() {
    let folder = tempfile::tempdir().unwrap();
    let config = |kvadm: Kvadm| kvadm.args(["config"]).run();
    let both = Kvadm::new().env("KVADM_TOKEN", "t0k3n").env("KVADM_USER", "app").env("KVADM_PASSWORD", "pw");
    config(both).code(2).err_has("the token (env KVADM_TOKEN) cannot be used together with a user").err_lacks("t0k3n");
    // The stronger source wins, whichever it is.
    let file = "username: app\npassword: pw\n";
    let run = config(Kvadm::new().config_file("etcd.yaml", file).env("KVADM_TOKEN", "t0k3n"));
    run.ok().out_has("token\t(redacted)\tenv KVADM_TOKEN").out_lacks("t0k3n").out_lacks("pw").err_empty();
    let token = private(folder.path(), "token", "t0k3n\n");
    let file = format!("token-file: {}\n", token.display());
    let user = Kvadm::new().env("KVADM_USER", "app").env("KVADM_PASSWORD", "pw");
    config(user.config_file("etcd.yaml", &file)).ok().out_has("username\tapp\tenv KVADM_USER").err_lacks("t0k3n");
    let run = config(Kvadm::new().arg("--token-file").arg(&token).env("KVADM_USER", "app").env("KVADM_PASSWORD", "pw"));
    run.ok().err_lacks("t0k3n");
    // Files that are no tokens.
    for (name, text, why) in [
        ("empty", "", "is empty"),
        ("lines", "a\nb\n", "has a character that no token has"),
        ("blank", "a b", "has a character that no token has"),
    ] {
        let path = private(folder.path(), name, text);
        let run = config(Kvadm::new().arg("--token-file").arg(&path));
        run.code(2).out_empty().err_has(&format!("the token in {} {why}", path.display()));
    }
    let lines = private(folder.path(), "end", "t0k3n\r\n\n");
    config(Kvadm::new().arg("--token-file").arg(&lines)).ok().err_lacks("t0k3n");
    // A file is named; a token in its place is not.
    let missing = config(Kvadm::new().arg("--token-file").arg(folder.path().join("nowhere")));
    missing.code(2).err_has("nowhere: no such file or directory");
    for token in ["eyJhbGciOi.eyJleHAi.c2ln", "QWERTYUIOPASDFGH.17"] {
        let run = config(Kvadm::new().arg(format!("--token-file={token}")));
        run.code(2).out_empty().err_lacks(token).err_has("the value looks like a token");
    }
    let open = private(folder.path(), "open", "t0k3n\n");
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    config(Kvadm::new().arg("--token-file").arg(&open)).ok().err_has("contains a token and is readable by others");
}

#[test]
fn a_token_does_not_follow_to_endpoints_of_a_stronger_source() {
    let server = FakeServer::start(move |_| Reply::Refusal(3, "etcdserver: user name is empty".to_owned()));
    let run = Kvadm::new().endpoint(&server.endpoint()).env("KVADM_TOKEN", "t0k3n").args(["get", "/a"]).run();
    run.code(4).err_has(
        "warning: the token (env KVADM_TOKEN) is not used, because the endpoints are from flag --endpoints; add \
         --token-file to send it there",
    );
    run.err_lacks("t0k3n");
    let run = Kvadm::new().env("KVADM_ENDPOINTS", "10.255.255.1:1").env("KVADM_TOKEN", "t0k3n").arg("config").run();
    run.ok().err_has("warning: the token is sent to http://10.255.255.1:1 without encryption");
}

/// A token that is older than a change of users and roles tells nothing about the quorum.
#[test]
fn a_stale_token_is_not_a_lost_quorum() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = with_jwt(folder.path());
    let token = token_of(&etcd, "root", ROOT);
    let run = kvadm(&etcd).env("KVADM_TOKEN", &token).args(["auth", "status", "-o", "json"]).run();
    let said = run.ok().err_has("the user of the token, which is for user root by its own account").json();
    assert_eq!((&said["login"], said.get("user")), (&"token".into(), None), "{said}");
    etcd.etcdctl_ok(&["--user", &format!("root:{ROOT}"), "role", "add", "later"]);
    for args in [
        &["status"][..],
        &["status", "--quorum"],
        &["status", "--advice"],
        &["status", "--consistency"],
        &["member", "list"],
        &["member", "remove", "m9", "--yes"],
        &["compact", "--defrag", "--yes"],
        &["compact", "--disarm", "--yes"],
        &["downgrade", "status"],
        &["downgrade", "enable", "3.5", "--yes"],
        &["downgrade", "cancel", "--yes"],
    ] {
        let run = kvadm(&etcd).env("KVADM_TOKEN", &token).args(args).run();
        run.code(4).out_empty().err_has("get a new token").err_lacks("no quorum").err_lacks(&token);
    }
    let run = kvadm(&etcd).env("KVADM_TOKEN", &token).arg("check").run();
    run.err_lacks("no quorum").out_lacks("no quorum").err_lacks("force-new-cluster").out_lacks("force-new-cluster");
}
