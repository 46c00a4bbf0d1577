//! Users and roles as a file: shown, compared and applied to a real etcd.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::auth::{LIMITED, ROOT, anonymous, cheap, login};
use super::support::{Etcd, Kvadm, Plan, Run, Spoil, Spoiler};

const SOON: Duration = Duration::from_secs(10);

/// What [`cheap`] has.
const PRESENT: &str = "roles:
  app:
    permissions:
      - {access: readwrite, prefix: /app/}
      - {access: read, prefix: /shared/}
users:
  app:
    roles: [app]
  root:
    roles: [root]
";

fn root(etcd: &Etcd) -> Kvadm {
    login(etcd, "root", ROOT)
}

/// Files of one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn roles(&self, text: &str) -> PathBuf {
        self.write("roles.yaml", text, 0o644)
    }
}

fn verb(kvadm: Kvadm, verb: &str, file: &Path) -> Kvadm {
    kvadm.args(["auth", verb]).arg(file)
}

fn apply(kvadm: Kvadm, file: &Path, args: &[&str]) -> Run {
    verb(kvadm, "apply", file).args(args).run()
}

fn exported(kvadm: Kvadm) -> String {
    kvadm.args(["auth", "export"]).run().ok().stdout_text()
}

#[test]
fn what_is_exported_is_no_difference() {
    let (etcd, files) = (cheap(), Files::new());
    etcd.etcdctl_ok(&["--user", &format!("root:{ROOT}"), "user", "add", "with space", "--no-password"]);
    etcd.etcdctl_ok(&["--user", &format!("root:{ROOT}"), "role", "add", "quoted \"role\": #1"]);
    for args in
        [&["read", "k"][..], &["write", "k1", "k9"], &["readwrite", "k", "--from-key"], &["read", "", "--prefix"]]
    {
        let user = format!("root:{ROOT}");
        let grant = ["--user", &user, "role", "grant-permission", "quoted \"role\": #1"];
        etcd.etcdctl_ok(&[&grant[..], args].concat());
    }
    let text = exported(root(&etcd));
    let file = files.roles(&text);
    assert!(
        text.contains("  \"quoted \\\"role\\\": #1\":\n    permissions:\n      - {access: read, all: true}\n"),
        "{text}"
    );
    assert!(text.contains("- {access: read, key: k}\n") && text.contains("- {access: readwrite, from: k}\n"), "{text}");
    assert!(text.contains("- {access: write, from: k1, to: k9}\n"), "{text}");
    verb(root(&etcd), "diff", &file).run().ok().out_empty().err_has("no difference: the users and roles are those of ");
    apply(root(&etcd), &file, &["--yes"]).ok().out_empty().err_has("nothing to do");
    let json = root(&etcd).args(["auth", "export", "-o", "json"]).run();
    let file = files.roles(&json.ok().stdout_text());
    verb(root(&etcd), "diff", &file).run().ok().out_empty();
    assert_eq!(exported(root(&etcd)), text);
}

#[test]
fn changes_are_shown_and_made_once() {
    let (etcd, files) = (cheap(), Files::new());
    let file = files.roles(
        "roles:
  reader: {permissions: [{access: read, prefix: /app/}]}
  app: {permissions: [{access: read, prefix: /app/}, {access: readwrite, prefix: /shared/}]}
users:
  app: {roles: [app]}
  alice: {roles: [reader, app]}
",
    );
    let diff = || verb(root(&etcd), "diff", &file);
    let run = diff().run();
    let text = "\
+ grant readwrite on keys with the prefix /shared/ to role app, instead of read
+ add role reader
+ grant read on keys with the prefix /app/ to role reader
+ add user alice
+ grant role app to user alice
+ grant role reader to user alice
~ grant read on keys with the prefix /app/ to role app, instead of readwrite
";
    run.code(1).out(text).err_has("user root stays: kvadm never deletes it");
    run.err_has("different: 6 additions, 1 replacement would make the users and roles those of ");
    let records = diff().args(["-o", "json"]).run();
    let kinds: Vec<String> =
        records.code(1).json_lines().iter().map(|record| record["change"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        kinds,
        [
            "grant-permission",
            "add-role",
            "grant-permission",
            "add-user",
            "grant-role",
            "grant-role",
            "grant-permission"
        ]
    );
    assert_eq!(
        records.json_lines()[6],
        serde_json::json!({"change": "grant-permission", "outcome": "would-apply", "role": "app", "access": "read",
            "range": "prefix", "key": "/app/", "dry_run": true})
    );
    assert_eq!(records.stderr_text().lines().last().map(|line| line.contains("\"additions\":6")), Some(true));
    diff().args(["-o", "yaml"]).run().code(1).out_has("change: \"add-role\"");
    // A dry run changes nothing, and needs no password.
    apply(root(&etcd), &file, &["--dry-run"])
        .ok()
        .err_has("dry run: would make 6 additions, 1 replacement")
        .err_has("alice");
    assert_eq!(exported(root(&etcd)), PRESENT);
    apply(root(&etcd), &file, &["--yes"])
        .code(5)
        .out_empty()
        .err_has("1 new user without a password: alice; nothing was changed")
        .err_has("--passwords-file FILE");
    apply(root(&etcd), &file, &["--no-password"])
        .code(2)
        .out_empty()
        .err_has("cannot ask for confirmation")
        .err_has("Change the users and roles on cluster ");
    assert_eq!(exported(root(&etcd)), PRESENT);
    let passwords = files.write("passwords.yaml", "alice: Alice-hunter4\napp: other-hunter5\n", 0o600);
    let passwords = passwords.to_str().unwrap();
    let run = apply(root(&etcd), &file, &["--yes", "--passwords-file", passwords, "-vv"]);
    run.ok().err_lacks("hunter").out_lacks("hunter").err_has("done: 6 additions, 1 replacement");
    run.out(text);
    diff().run().ok().out_empty();
    apply(root(&etcd), &file, &["--yes"]).ok().out_empty();
    login(&etcd, "alice", "Alice-hunter4").args(["get", "/shared/a"]).run().ok();
    // The password of a user that existed is what it was.
    login(&etcd, "app", LIMITED).args(["put", "/shared/a", "x"]).run().ok();
    login(&etcd, "app", LIMITED).args(["put", "/app/a", "x"]).run().code(4);
    // Back to what was there.
    let file = files.roles(PRESENT);
    let run = apply(root(&etcd), &file, &["--yes", "-o", "json"]);
    let removals: Vec<String> =
        run.ok().json_lines().iter().map(|record| record["change"].as_str().unwrap().to_owned()).collect();
    assert_eq!(removals, ["grant-permission", "grant-permission", "delete-user", "delete-role"]);
    assert_eq!(exported(root(&etcd)), PRESENT);
}

#[test]
fn files_that_are_not_valid_are_refused_before_kvadm_connects() {
    let files = Files::new();
    let nowhere = || Kvadm::new().args(["--endpoints", "127.0.0.1:1"]);
    for (text, message) in [
        (
            "roles: {a: {permisions: []}}\nusers: {}\n",
            "roles.yaml:1: role 'a': unknown key 'permisions'; did you mean 'permissions'?",
        ),
        ("roles: {}\nusers:\n  a: {roles: [b]}\n", "roles.yaml:3: user 'a': unknown role 'b'"),
        (
            "roles: {}\nusers:\n  a: {password: hunter2}\n",
            "roles.yaml:3: user 'a': 'password': passwords do not belong in this file",
        ),
        ("roles: {}\nusers: {a: {}, a: {}}\n", "roles.yaml:2: the key 'a' is given twice"),
        ("roles: {}\n", "the file has no key 'users'"),
        ("roles: [", "roles.yaml:1: invalid YAML"),
    ] {
        let file = files.roles(text);
        for command in ["diff", "apply"] {
            verb(nowhere(), command, &file).run().code(2).out_empty().err_has(message).err_lacks("hunter");
        }
    }
    verb(nowhere(), "diff", Path::new("/nowhere/roles.yaml")).run().code(2).err_has("cannot read /nowhere/roles.yaml");
    nowhere()
        .args(["auth", "diff", "-"])
        .stdin("roles: 1\nusers: {}\n")
        .run()
        .code(2)
        .err_has("stdin:1: roles: must be");
    let file = files.roles(PRESENT);
    let refused = |name: &str, text: &str, mode| {
        let passwords = files.write(name, text, mode);
        let run = verb(nowhere(), "apply", &file).arg("--passwords-file").arg(passwords).run();
        run.code(2).out_empty().err_lacks("hunter");
        run
    };
    refused("p1", "alice: hunter2\n", 0o644).err_has("others can read or write it (mode 0644)").err_has("chmod 600 ");
    refused("p2", "alice: hunter2: [\n", 0o600).err_has("p2:1: is not valid YAML");
    refused("p3", "alice: ''\n", 0o600).err_has("p3:1: user 'alice': must not be empty");
    refused("p4", "alice: 7\n", 0o600).err_has("p4:1: user 'alice': must be a text, not a number");
    refused("p5", "- hunter2\n", 0o600).err_has("must be a mapping of names of users to passwords, not a list");
    verb(Kvadm::new().args(["--db", "/nowhere.db"]), "diff", &file).run().code(2).err_has("cannot be used with --db");
    Kvadm::new()
        .args(["auth", "export", "--schema"])
        .run()
        .ok()
        .out_has("\"kvadm file of users and roles\"")
        .err_empty();
}

#[test]
fn root_and_the_caller_are_not_removed() {
    let (etcd, files) = (cheap(), Files::new());
    let admin = || login(&etcd, "admin", "Admin-hunter6");
    let file = files.roles("roles: {ops: {}, app: {}}\nusers: {admin: {roles: [root, ops]}, app: {roles: [app]}}\n");
    let passwords = files.write("passwords.yaml", "admin: Admin-hunter6\nnobody: x\n", 0o600);
    apply(root(&etcd), &file, &["--yes", "--passwords-file", passwords.to_str().unwrap()])
        .ok()
        .err_has("the file of passwords has users that ");
    let nobody = files.roles("roles: {}\nusers: {}\n");
    apply(admin(), &nobody, &["--yes", "--no-delete"]).ok().out_empty().err_has("nothing to do");
    let run = apply(admin(), &nobody, &["--yes"]);
    run.ok().err_has("user admin stays: this command itself is this user").err_has("user root stays");
    run.err_has("role ops stays: user admin has it");
    assert_eq!(run.stdout_text().lines().count(), 2, "{}", run.stdout_text());
    assert_eq!(
        exported(admin()),
        "roles:\n  ops:\n    permissions: []\nusers:\n  admin:\n    roles: [ops, root]\n  root:\n    roles: [root]\n"
    );
    // The file names the caller, but takes from it what it needs.
    let file = files.roles("roles: {}\nusers: {admin: {roles: []}}\n");
    apply(admin(), &file, &["--yes"]).code(5).out_empty().err_has("cannot revoke role root from user admin");
    let file = files.roles("roles: {}\nusers: {root: {roles: []}}\n");
    apply(admin(), &file, &["--yes"])
        .code(2)
        .err_has("user 'root' has no role 'root', which kvadm never takes from it");
    login(&etcd, "admin", "Admin-hunter6").args(["auth", "export"]).run().ok();
    // Who may not read users and roles is told so.
    anonymous(&etcd).args(["auth", "export"]).run().code(4).err_has("cannot read the users and roles");
}

/// Another client changes a user while the question waits: what only adds is made, and the first removal is not.
#[test]
fn a_change_of_another_client_stops_the_removals() {
    let (etcd, files) = (cheap(), Files::new());
    let credentials = format!("root:{ROOT}");
    etcd.etcdctl_ok(&["--user", &credentials, "role", "add", "old"]);
    etcd.etcdctl_ok(&["--user", &credentials, "user", "add", "old", "--no-password"]);
    let file = files.roles(
        "roles: {app: {permissions: [{access: readwrite, prefix: /app/}, {access: read, prefix: /shared/}]}, new: {}}\n\
         users: {app: {roles: [app]}}\n",
    );
    let start = || {
        let asked = verb(root(&etcd), "apply", &file).pty().timeout(SOON).spawn();
        asked.wait_for_stdout("[y/N]", SOON);
        asked
    };
    let mut asked = start();
    etcd.etcdctl_ok(&["--user", &credentials, "user", "grant-role", "old", "old"]);
    asked.write("y\n");
    let run = asked.wait();
    run.code(6).out_has("users or roles were changed by another client meanwhile").out_has("1 of 3 changes made");
    assert!(exported(root(&etcd)).contains("  old:\n    roles: [old]\n"));
    // A password is no such change.
    let mut asked = start();
    root(&etcd).args(["user", "password", "app", "--new-password-file", "-"]).stdin("other\n").run().ok();
    asked.write("y\n");
    asked.wait().ok();
    verb(root(&etcd), "diff", &file).run().ok();
}

/// On a terminal, the password of each new user is asked for, twice, and shown nowhere.
#[test]
fn passwords_are_asked_for_on_a_terminal() {
    let (etcd, files) = (cheap(), Files::new());
    let file = files.roles(&format!("{PRESENT}  zoe: {{roles: [app]}}\n"));
    let mut asked = verb(root(&etcd), "apply", &file).pty().timeout(SOON).spawn();
    asked.wait_for_stdout("[y/N]", SOON);
    asked.write("y\n");
    asked.wait_for_stdout("Password of the new user zoe:", SOON);
    asked.write("Zoe-hunter7\n");
    asked.wait_for_stdout("again", SOON);
    asked.write("Zoe-hunter7\n");
    let run = asked.wait();
    run.ok().out_has("add user zoe").out_lacks("hunter");
    login(&etcd, "zoe", "Zoe-hunter7").args(["get", "/shared/a"]).run().ok();
    // Whoever says no changes nothing, and is not asked for a password.
    let mut asked =
        verb(root(&etcd), "apply", &files.write("present.yaml", PRESENT, 0o644)).pty().timeout(SOON).spawn();
    asked.wait_for_stdout("Change the users and roles on cluster ", SOON);
    asked.write("n\n");
    asked.wait().code(5).out_has("- delete user zoe").out_has("not confirmed; nothing was changed");
    verb(root(&etcd), "diff", &file).run().ok();
}

#[test]
fn an_interrupted_apply_is_continued() {
    let (etcd, files) = (cheap(), Files::new());
    let mut text = String::from("roles: {}\nusers:\n  root: {roles: [root]}\n");
    (0..40).for_each(|n| text += &format!("  user{n:02}: {{}}\n"));
    let file = files.roles(&text);
    let running =
        verb(root(&etcd).args(["--qps", "20"]), "apply", &file).args(["--yes", "--no-password"]).timeout(SOON).spawn();
    running.wait_for_stdout("user00", SOON);
    running.signal(Signal::SIGINT);
    let run = running.wait();
    run.signal(Signal::SIGINT).within(Duration::from_secs(5)).err_has("changes made");
    let diff = verb(root(&etcd), "diff", &file).run();
    let left = diff.code(1).stdout_text().lines().count();
    assert!((1..42).contains(&left), "{left}");
    let run = apply(root(&etcd), &file, &["--yes", "--no-password"]);
    assert_eq!(run.ok().stdout_text(), diff.stdout_text());
    verb(root(&etcd), "diff", &file).run().ok();
    apply(root(&etcd), &files.roles(PRESENT), &["--yes", "--deadline", "1ms"]).code(3);
}

#[test]
fn three_hundred_users() {
    let (etcd, files) = (cheap(), Files::new());
    let mut text = String::from("roles:\n");
    (0..20).for_each(|n| text += &format!("  r{n}: {{permissions: [{{access: read, prefix: /app/{n}/}}]}}\n"));
    text += "users:\n  root: {roles: [root]}\n";
    (0..300).for_each(|n| {
        text += &match n % 10 {
            0 => format!("  u{n}: {{roles: [r{}]}}\n", n % 20),
            _ => format!("  u{n}: {{}}\n"),
        };
    });
    let file = files.roles(&text);
    let run = apply(root(&etcd), &file, &["--yes", "--no-password", "-q"]);
    assert_eq!(run.ok().stdout_text().lines().count(), 20 + 20 + 300 + 30 + 2);
    run.err_empty();
    verb(root(&etcd), "diff", &file).run().ok().within(SOON);
    let nobody = files.roles("roles: {}\nusers: {}\n");
    apply(root(&etcd), &nobody, &["--yes", "-q"]).ok();
    assert_eq!(exported(root(&etcd)), "roles: {}\nusers:\n  root:\n    roles: [root]\n");
}

/// Names of users and roles come from others: they cannot steer a terminal, and a file brings them back.
#[test]
fn hostile_names_are_shown_escaped() {
    let (etcd, files) = (cheap(), Files::new());
    let credentials = format!("root:{ROOT}");
    let etcdctl = |args: &[&str], name: &str, more: &[&str]| {
        etcd.etcdctl_ok(&[&["--user", &credentials][..], args, &["--", name], more].concat());
    };
    for name in ["\u{1b}[2J\u{202e}evil", "- a: b", "<<", "no", "a\nb"] {
        etcdctl(&["user", "add", "--no-password"], name, &[]);
        etcdctl(&["role", "add"], name, &[]);
        etcdctl(&["role", "grant-permission"], name, &["read", name]);
        etcdctl(&["user", "grant-role"], name, &[name]);
    }
    // Invisible characters stay in a pipe, as those of keys do.
    let harmless = |run: &Run, terminal: bool| {
        let text = run.stdout_text() + &run.stderr_text();
        let text =
            text.replace("\u{1b}[31m", "").replace("\u{1b}[0m", "").replace("\u{1b}[36m", "").replace("\u{1b}[1m", "");
        let bad = text.chars().find(|c| (c.is_control() && !matches!(c, '\n' | '\r')) || terminal && *c == '\u{202e}');
        assert_eq!(bad, None, "{text:?}");
    };
    let run = root(&etcd).args(["auth", "export"]).run();
    harmless(run.ok(), true);
    let file = files.roles(&run.stdout_text());
    verb(root(&etcd), "diff", &file).run().ok().out_empty();
    let nobody = files.roles("roles: {}\nusers: {}\n");
    harmless(verb(root(&etcd), "diff", &nobody).run().code(1), false);
    harmless(verb(root(&etcd), "diff", &nobody).pty().run().code(1), true);
    harmless(root(&etcd).args(["auth", "who-can", "no"]).pty().run().ok(), true);
    verb(root(&etcd), "diff", &nobody).args(["-o", "json"]).run().code(1);
    apply(root(&etcd), &nobody, &["--yes"]).ok();
    assert_eq!(exported(root(&etcd)), "roles: {}\nusers:\n  root:\n    roles: [root]\n");
}

/// The answer of a change is lost: it is read back, and the change is not sent again.
#[test]
fn lost_answers_are_read_back() {
    let (etcd, files) = (cheap(), Files::new());
    let with = files.write(
        "with.yaml",
        &format!("{PRESENT}x-: 1\n").replace("roles:\n  app:\n", "roles:\n  new: {}\n  app:\n"),
        0o644,
    );
    let present = files.write("present.yaml", PRESENT, 0o644);
    for (method, file) in [(&["RoleAdd"][..], &with), (&["RoleDelete"], &present)] {
        for spoil in [Spoil::CutBefore, Spoil::Http(502), Spoil::Etcd(14, "etcdserver: request timed out")] {
            let other = if file == &with { &present } else { &with };
            apply(root(&etcd), other, &["--yes"]).ok();
            let plan = Plan { spoil, methods: method, skip: 0, times: 1, then_gone: false };
            let spoiler = Spoiler::start(&etcd.address(), plan);
            let through =
                Kvadm::new().endpoint(&spoiler.endpoint()).args(["--user", "root"]).env("KVADM_PASSWORD", ROOT);
            let run = apply(through, file, &["--yes"]);
            assert_eq!(run.ok().stdout_text().lines().count(), 1, "{}", run.stdout_text());
            assert_eq!(etcd.received(method[0]), etcd.answered(method[0]));
            verb(root(&etcd), "diff", file).run().ok();
        }
    }
    assert_eq!((etcd.received("RoleAdd"), etcd.received("RoleDelete")), (6, 5));
}
