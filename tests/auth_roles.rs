//! `kvadm role`: permissions in every form, beside etcdctl.

use serde_json::json;

use super::support::protobuf::Message;
use super::support::{Asked, Etcd, FakeServer, Kvadm, Run, answers};

fn open_etcd() -> Etcd {
    Etcd::options().arg("--bcrypt-cost=4").start()
}

fn run(etcd: &Etcd, args: &[&str]) -> Run {
    Kvadm::new().endpoint(etcd).args(args).run()
}

/// kvadm's options for a range, etcdctl's arguments for the same one, and the range in JSON.
const FORMS: &[(&[&str], &[&str], &str)] = &[
    (&["/k"], &["/k"], r#"{"range": "key", "key": "/k"}"#),
    (&["--prefix", "/app/"], &["/app/", "--prefix=true"], r#"{"range": "prefix", "key": "/app/"}"#),
    (&["--from", "/m", "--to", "/q"], &["/m", "/q"], r#"{"range": "range", "key": "/m", "range_end": "/q"}"#),
    (&["--from", "/z"], &["/z", "--from-key=true"], r#"{"range": "from", "key": "/z"}"#),
    (&["--all"], &["", "--prefix=true"], r#"{"range": "all"}"#),
];

#[test]
fn every_form_of_a_permission_is_the_same_for_etcdctl() {
    let etcd = open_etcd();
    for (number, (kvadm, etcdctl, shown)) in FORMS.iter().enumerate() {
        let access = ["read", "write", "readwrite"][number % 3];
        let (mine, other) = (format!("mine{number}"), format!("other{number}"));
        for role in [&mine, &other] {
            run(&etcd, &["role", "add", role]).ok();
        }
        run(&etcd, &[&["role", "grant", &mine, access][..], kvadm].concat()).ok();
        etcd.etcdctl_ok(&[&["role", "grant-permission", &other, access][..], etcdctl].concat());
        let mut expected: serde_json::Value = serde_json::from_str(shown).unwrap();
        expected["access"] = json!(access);
        for role in [&mine, &other] {
            let shown = run(&etcd, &["role", "get", role, "-o", "json"]).ok().json();
            assert_eq!(shown, json!({"role": role, "permissions": [expected]}));
        }
        // etcdctl shows no difference, and each revokes what the other has granted.
        let get = |role: &str| etcd.etcdctl_ok(&["role", "get", role]).replace(role, "ROLE");
        assert_eq!(get(&mine), get(&other));
        run(&etcd, &[&["role", "revoke", &other, "--yes"][..], kvadm].concat()).ok();
        etcd.etcdctl_ok(&[&["role", "revoke-permission", &mine][..], etcdctl].concat());
        for role in [&mine, &other] {
            run(&etcd, &["role", "show", role]).ok().out("").err_has("has no permissions");
        }
    }
}

#[test]
fn roles_are_granted_replaced_revoked_and_deleted() {
    let etcd = open_etcd();
    let added = run(&etcd, &["role", "add", "app", "-o", "json"]).ok().json();
    assert_eq!(added, json!({"change": "add-role", "outcome": "applied", "role": "app"}));
    run(&etcd, &["role", "add", "app"]).code(4).err_has("cannot add role app").err_has("role name already exists");
    run(&etcd, &["role", "add", "app", "--dry-run"]).code(4).err_has("role app exists already");
    run(&etcd, &["role", "add", ""]).code(2);
    run(&etcd, &["role", "grant", "app", "read", "--prefix", "/app/", "--dry-run"])
        .ok()
        .err_has("would grant read on keys with the prefix /app/ to role app");
    run(&etcd, &["role", "show", "app"]).ok().err_has("role app has no permissions");
    run(&etcd, &["role", "grant-permission", "app", "read", "--prefix", "/app/"])
        .ok()
        .out("grant-permission\tapplied\t\tapp\tread\tprefix\t/app/\n");
    run(&etcd, &["role", "grant", "app", "read", "--prefix", "/app/"]).ok().out_has("unchanged").err_has("already has");
    run(&etcd, &["role", "grant", "app", "readwrite", "--prefix", "/app/"])
        .ok()
        .err_has("this replaces read on the same");
    run(&etcd, &["role", "grant", "app", "write", "--escape", r"bin\xff\0"]).ok();
    run(&etcd, &["role", "show", "app"]).ok().out("readwrite\tprefix\t/app/\t\nwrite\tkey\tbin\\xff\\0\t\n");
    let shown = run(&etcd, &["role", "show", "app", "-o", "json"]).ok().json();
    assert_eq!(shown["permissions"][1]["key_base64"], "Ymlu/wA=");
    run(&etcd, &["role", "revoke", "app", "/app/x", "--yes"]).code(1).out_empty().err_has(
        "role app has no permission on key /app/x; it has: readwrite on keys with the prefix /app/, write on key bin\\xff\\0",
    );
    run(&etcd, &["role", "revoke-permission", "app", "--escape", r"bin\xff\0"])
        .code(2)
        .err_has("Revoke write on key bin\\xff\\0 from role app on cluster ");
    run(&etcd, &["role", "revoke", "app", "--escape", r"bin\xff\0", "--yes"]).ok();
    for user in ["alice", "bob"] {
        run(&etcd, &["user", "add", user, "--no-password"]).ok();
        run(&etcd, &["user", "grant", user, "app"]).ok();
    }
    run(&etcd, &["role", "delete", "app", "--dry-run"]).ok().err_has("role app, which 2 users have: alice, bob");
    run(&etcd, &["role", "delete", "app"])
        .code(2)
        .err_has("Delete role app, which 2 users have: alice, bob, on cluster ");
    run(&etcd, &["role", "delete", "app", "--yes"]).ok().out("delete-role\tapplied\t\tapp\n");
    assert_eq!(etcd.etcdctl_ok(&["role", "list"]), "");
    run(&etcd, &["user", "show", "alice", "-o", "json"]).ok().out("{\"user\":\"alice\",\"user_roles\":[]}\n");
    etcd.etcdctl_ok(&["role", "add", "reader"]);
    for args in [
        &["role", "show", "redaer"][..],
        &["role", "delete", "redaer", "--yes"],
        &["role", "grant", "redaer", "read", "/x"],
        &["role", "revoke", "redaer", "/x", "--yes"],
    ] {
        run(&etcd, args).code(1).out_empty().err_has("role not found: redaer; did you mean reader?");
    }
}

#[test]
fn keys_that_are_not_clear_are_refused() {
    let etcd = open_etcd();
    run(&etcd, &["role", "add", "app"]).ok();
    for (args, why) in [
        (&[][..], "no keys are named"),
        (&["--prefix", ""], "the prefix is empty"),
        (&[""], "the key is empty"),
        (&["--from", "b", "--to", "a"], "empty range: --from b is not less than --to a"),
        (&["--from", "b", "--to", "b"], "empty range"),
        (&["/k", "--all"], "cannot be used with"),
        (&["--prefix", "/a", "--from", "/b"], "cannot be used with"),
        (&["/k", "--namespace", "/team/"], "the namespace /team/ does not apply to them"),
        (&["--escape", "\\q"], "--escape"),
    ] {
        run(&etcd, &[&["role", "grant", "app", "read"][..], args].concat()).code(2).err_has(why);
        run(&etcd, &[&["role", "revoke", "app", "--yes"][..], args].concat()).code(2).err_has(why);
    }
    run(&etcd, &["role", "grant", "app", "execute", "/k"]).code(2).err_has("readwrite");
    run(&etcd, &["role", "show", "app"]).ok().out("");
    Kvadm::new().endpoint(&etcd).env("KVADM_NAMESPACE", "/team/").args(["role", "show", "app"]).run().ok();
}

#[test]
fn a_permission_of_an_unknown_kind_is_an_error() {
    let server = FakeServer::start(|asked: &Asked| match asked.method.as_str() {
        "Auth/RoleGet" => {
            let permission = Message::new().int(1, 7).bytes(2, "/k");
            Message::new().message(1, &answers::header(9)).message(2, &permission).into()
        }
        _ => answers::valid(asked),
    });
    let run = Kvadm::new().endpoint(&server.endpoint()).args(["role", "show", "app"]).run();
    run.code(4).out_empty().err_has("the role has a permission of type 7");
}

/// From 3.6 on, etcd lists a permission with an empty first key for the role root: it means all keys, for every verb.
#[test]
fn the_role_root_has_all_keys() {
    let etcd = open_etcd();
    run(&etcd, &["role", "add", "root"]).ok();
    run(&etcd, &["user", "add", "root", "--no-password"]).ok();
    run(&etcd, &["user", "grant", "root", "root"]).ok();
    if etcd.version() < (3, 6) {
        run(&etcd, &["role", "show", "root", "-o", "json"]).ok().out("{\"role\":\"root\",\"permissions\":[]}\n");
        // These versions list what was granted.
        run(&etcd, &["role", "grant", "root", "readwrite", "--all"]).ok();
    }
    let all = json!({"access": "readwrite", "range": "all"});
    let shown = run(&etcd, &["role", "show", "root", "-o", "json"]).ok().json();
    assert_eq!(shown, json!({"role": "root", "permissions": [all]}));
    run(&etcd, &["role", "show", "root"]).ok().out("readwrite\tall\t\t\n").err_has("the role root allows everything");
    let detail = run(&etcd, &["user", "show", "root", "--detail", "-o", "json"]).ok().json();
    let of_role = json!({"role": "root", "access": "readwrite", "range": "all"});
    assert_eq!(detail["permissions"], json!([of_role]));
    run(&etcd, &["auth", "export"]).ok().out("roles: {}\nusers:\n  root:\n    roles: [root]\n").err_empty();
    run(&etcd, &["role", "grant", "root", "readwrite", "--all"]).ok().out_has("unchanged");
    run(&etcd, &["role", "revoke", "root", "--all", "--dry-run"]).ok().err_has("the role root allows everything");
}

/// No key is below the smallest one, a zero byte, so that a range from there has all keys, and one from another key does not.
#[test]
fn a_range_from_the_smallest_key_is_all_keys() {
    let etcd = open_etcd();
    run(&etcd, &["role", "add", "r"]).ok();
    let from = |verb: &[&str], key: &str, more: &[&str]| {
        run(&etcd, &[&["role"], verb, &["--escape", "--from", key], more, &["-o", "json"]].concat()).ok().json()
    };
    assert_eq!(from(&["grant", "r", "read"], "\\0", &[])["range"], "all");
    assert_eq!(from(&["grant", "r", "read"], "b", &[])["range"], "from");
    let shown = run(&etcd, &["role", "show", "r", "-o", "json"]).ok().json();
    let expected = json!([{"access": "read", "range": "all"}, {"access": "read", "range": "from", "key": "b"}]);
    assert_eq!(shown["permissions"], expected);
    assert_eq!(from(&["revoke", "r"], "\\0", &["--yes"])["range"], "all");
    run(&etcd, &["role", "show", "r"]).ok().out("read\tfrom\tb\t\n");
}
