//! Users and roles as a file, where etcd is odd: shared first keys, ranges without keys, long names; and stdout that nobody reads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::auth::{ROOT, cheap, login};
use super::support::{Etcd, Kvadm, Run};

fn open_etcd() -> Etcd {
    Etcd::options().arg("--bcrypt-cost=4").start()
}

fn run(etcd: &Etcd, args: &[&str]) -> Run {
    Kvadm::new().endpoint(etcd).args(args).run()
}

struct File(tempfile::TempDir);

impl File {
    fn new(text: &str) -> Self {
        let file = Self(tempfile::tempdir().unwrap());
        file.write(text);
        file
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("roles.yaml")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }
}

fn auth(etcd: &Etcd, verb: &str, file: &Path, args: &[&str]) -> Run {
    Kvadm::new().endpoint(etcd).args(["auth", verb]).arg(file).args(args).run()
}

/// Grants a read permission with fields that neither etcdctl nor kvadm sends. Whether etcd has accepted it.
fn grant_raw(etcd: &Etcd, role: &str, key: &str, range_end: &str) -> bool {
    let perm = serde_json::json!({"permType": "READ", "key": key, "range_end": range_end});
    let body = serde_json::json!({"name": role, "perm": perm}).to_string();
    let mut stream = TcpStream::connect(etcd.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = "POST /v3/auth/role/grant HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: ";
    stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.starts_with("HTTP/1.1 200")
}

/// etcd replaces a permission only if no other one with the same first key comes before it; otherwise it adds the new one, and
/// the former stays in force.
#[test]
fn a_permission_is_replaced_whatever_else_has_its_first_key() {
    let etcd = open_etcd();
    let grant = |access: &str, to: &str| run(&etcd, &["role", "grant", "r", access, "--from", "a", "--to", to]);
    run(&etcd, &["role", "add", "r"]).ok();
    grant("readwrite", "b").ok();
    grant("readwrite", "c").ok();
    grant("read", "c").ok().err_has("this replaces readwrite on the same keys");
    run(&etcd, &["role", "show", "r"]).ok().out("readwrite\tprefix\ta\t\nread\trange\ta\tc\n");
    // etcdctl leaves two permissions for the range behind, also after the other one is gone.
    let etcdctl = |args: &[&str]| etcd.etcdctl_ok(&[&["role"], args].concat());
    etcdctl(&["grant-permission", "r", "readwrite", "a", "c"]);
    run(&etcd, &["role", "show", "r"]).ok().out("readwrite\tprefix\ta\t\nread\trange\ta\tc\nreadwrite\trange\ta\tc\n");
    etcdctl(&["revoke-permission", "r", "a", "b"]);
    let file = File::new("roles: {r: {permissions: [{access: write, from: a, to: c}]}}\nusers: {}\n");
    auth(&etcd, "apply", &file.path(), &["--yes"])
        .ok()
        .out("~ grant write on keys from a to c to role r, instead of readwrite\n");
    run(&etcd, &["role", "show", "r"]).ok().out("write\trange\ta\tc\n");
    // The file adds another permission with the first key, and makes the former one less.
    file.write(
        "roles: {r: {permissions: [{access: read, from: a, to: c}, {access: write, key: a}, {access: write, from: a}]}}\n\
         users: {}\n",
    );
    auth(&etcd, "apply", &file.path(), &["--yes"]).ok();
    run(&etcd, &["role", "show", "r"]).ok().out("write\tfrom\ta\t\nwrite\tkey\ta\t\nread\trange\ta\tc\n");
    auth(&etcd, "diff", &file.path(), &[]).ok().out_empty();
    run(&etcd, &["role", "revoke", "r", "--from", "a", "--to", "c", "--yes"]).ok();
    run(&etcd, &["role", "show", "r"]).ok().out("write\tfrom\ta\t\nwrite\tkey\ta\t\n");
}

/// A range without keys allows nothing. Some versions of etcd accept it.
#[test]
fn ranges_without_keys_are_shown_and_left_alone_or_revoked() {
    let etcd = open_etcd();
    for role in ["mine", "other"] {
        run(&etcd, &["role", "add", role]).ok();
    }
    let odd = [("Yw==", "YQ=="), ("", "AA=="), ("", "Yg==")];
    let granted =
        ["mine", "other"].map(|role| odd.iter().filter(|(key, end)| grant_raw(&etcd, role, key, end)).count());
    if granted == [0, 0] {
        assert!(etcd.version() >= (3, 6), "{:?} refuses ranges without keys", etcd.version());
        return;
    }
    run(&etcd, &["role", "show", "mine"])
        .ok()
        .out_has("read\trange\tc\ta\n")
        .out_lacks("all")
        .out_has("read\trange\t\t\n");
    let export = run(&etcd, &["auth", "export"]);
    export.ok().out("roles:\n  mine:\n    permissions: []\n  other:\n    permissions: []\nusers: {}\n");
    export.err_has("role mine has a permission on keys from c to a, a range without keys, which allows nothing");
    export.err_has("role mine has a permission on no key (the first key is empty), a range without keys");
    // What the file does not name is not touched.
    let file = File::new("roles: {}\nusers: {}\n");
    auth(&etcd, "diff", &file.path(), &["--no-delete"]).ok().out_empty();
    auth(&etcd, "apply", &file.path(), &["--no-delete", "--yes"]).ok().out_empty();
    run(&etcd, &["role", "show", "other"]).ok().out_has("read\trange\tc\ta\n");
    file.write("roles: {mine: {permissions: [{access: read, all: true}]}}\nusers: {}\n");
    auth(&etcd, "apply", &file.path(), &["--no-delete", "--yes"]).ok().out(
        "+ grant read on all keys to role mine\n\
         - revoke the permission on no key (the first key is empty) from role mine\n\
         - revoke the permission on keys from c to a from role mine\n",
    );
    run(&etcd, &["role", "show", "mine"]).ok().out("read\tall\t\t\n");
    auth(&etcd, "diff", &file.path(), &["--no-delete"]).ok().out_empty();
    auth(&etcd, "apply", &file.path(), &["--yes"]).ok().out("- delete role other\n");
}

/// The changes are made although stdout is closed or full.
#[test]
fn changes_do_not_stop_when_nobody_reads_stdout() {
    let etcd = open_etcd();
    let mut text = String::from("users: {}\nroles:\n");
    (0..60).for_each(|n| text += &format!("  role{n:02}: {{}}\n"));
    let file = File::new(&text);
    let nobody = File::new("roles: {}\nusers: {}\n");
    let script = |file: &File, to: &str| {
        let kvadm = format!("{} auth apply {} --yes", env!("CARGO_BIN_EXE_kvadm"), file.path().display());
        let sh = Kvadm::program("bash").args(["-c", &format!("{kvadm} {to}; echo ${{PIPESTATUS[0]}}")]);
        sh.env("KVADM_ENDPOINTS", etcd.endpoint()).run()
    };
    script(&file, "| head -n 1 >/dev/null")
        .ok()
        .out("0\n")
        .err_has("done: 60 additions; the users and roles are those");
    auth(&etcd, "diff", &file.path(), &[]).ok();
    let run = script(&nobody, ">/dev/full");
    run.ok().out("6\n").err_has("cannot write the output").err_has("done: 60 removals; the users and roles are those");
    auth(&etcd, "diff", &nobody.path(), &[]).ok();
}

/// What a file is different from does not depend on who asks.
#[test]
fn a_diff_names_the_caller_who_is_kept_and_what_apply_refuses() {
    let etcd = cheap();
    let root = format!("root:{ROOT}");
    etcd.etcdctl_ok(&["--user", &root, "user", "add", "adm:Adm-hunter4"]);
    etcd.etcdctl_ok(&["--user", &root, "user", "grant-role", "adm", "root"]);
    let adm = |verb: &str, file: &File| {
        let run = login(&etcd, "adm", "Adm-hunter4").args(["auth", verb]).arg(file.path());
        run.args(if verb == "apply" { &["--yes"][..] } else { &[] }).run()
    };
    let app = "app: {permissions: [{access: readwrite, prefix: /app/}, {access: read, prefix: /shared/}]}";
    let file = File::new(&format!("roles: {{{app}}}\nusers: {{app: {{roles: [app]}}}}\n"));
    adm("diff", &file)
        .code(1)
        .out_empty()
        .err_has("user adm stays: this command itself is this user")
        .err_has("different: ")
        .err_has("does not name user adm, who is kept");
    adm("apply", &file).ok().out_empty().err_has("except that user adm is kept");
    login(&etcd, "root", ROOT).args(["auth", "diff"]).arg(file.path()).run().code(1).out("- delete user adm\n");
    file.write(&format!("roles: {{{app}}}\nusers: {{app: {{roles: [app]}}, adm: {{}}}}\n"));
    adm("diff", &file)
        .code(1)
        .out("- revoke role root from user adm\n")
        .err_has("'kvadm auth apply' would refuse these changes: cannot revoke role root from user adm");
    adm("apply", &file).code(5).out_empty().err_has("cannot revoke role root from user adm");
    adm("apply", &File::new(&format!("roles: {{{app}}}\nusers: {{app: {{roles: [app]}}, adm: {{roles: [root]}}}}\n")))
        .ok();
}

#[test]
fn names_that_would_end_etcd_are_refused_and_a_namespace_is_said_not_to_apply() {
    let etcd = open_etcd();
    let long = "n".repeat(33_000);
    for (noun, text) in [
        ("role", format!("roles:\n  ? {long}\n  : {{}}\nusers: {{}}\n")),
        ("user", format!("roles: {{}}\nusers:\n  ? {long}\n  : {{}}\n")),
    ] {
        let file = File::new(&text);
        for verb in ["diff", "apply"] {
            let run = auth(&etcd, verb, &file.path(), &[]);
            run.code(2)
                .out_empty()
                .err_has(&format!("{noun} 'nnnn"))
                .err_has("the name has 33000 bytes, and kvadm sends 1024 at most");
            assert!(run.stderr_text().len() < 1_000, "{}", run.stderr_text());
        }
    }
    run(&etcd, &["role", "add", "r"]).ok();
    let file = File::new("roles: {r: {}}\nusers: {}\n");
    let path = file.path();
    let path = path.to_str().unwrap();
    for args in [&["auth", "export"][..], &["auth", "diff", path], &["auth", "apply", path], &["role", "show", "r"]] {
        let run = run(&etcd, &[&["--namespace", "/team/"], args].concat());
        run.ok().err_has("permissions name keys of the whole store: the namespace /team/ does not apply");
    }
}
