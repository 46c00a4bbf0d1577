//! `kvadm user`: users, passwords and roles of users, beside etcdctl.

use std::time::Duration;

use super::support::protobuf::Message;
use super::support::{Asked, Etcd, FakeServer, Kvadm, Plan, Reply, Run, Spoil, Spoiler, answers};

const SOON: Duration = Duration::from_secs(10);
const PASSWORD: &str = "Tr0ub4dor&3";

fn open_etcd() -> Etcd {
    Etcd::options().arg("--bcrypt-cost=4").start()
}

fn kvadm(etcd: &Etcd, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(etcd).args(args)
}

fn run(etcd: &Etcd, args: &[&str]) -> Run {
    kvadm(etcd, args).run()
}

/// Adds a user with [`PASSWORD`].
fn add(etcd: &Etcd, name: &str) {
    kvadm(etcd, &["user", "add", name, "--new-password-file", "-"]).stdin(format!("{PASSWORD}\n")).run().ok();
}

/// Enables authentication with `root`, whose password is `root-pw`.
fn enable(etcd: &Etcd) {
    as_root(etcd, &["auth", "enable", "--yes"]).ok();
}

fn as_root(etcd: &Etcd, args: &[&str]) -> Run {
    kvadm(etcd, args).args(["--user", "root"]).env("KVADM_PASSWORD", "root-pw").run()
}

#[test]
fn users_come_and_go_and_etcdctl_sees_them() {
    let etcd = open_etcd();
    run(&etcd, &["user", "list"]).ok().out("");
    add(&etcd, "alice");
    let added = run(&etcd, &["user", "add", "host1", "--no-password", "-o", "json"]);
    assert_eq!(added.ok().json(), serde_json::json!({"change": "add-user", "outcome": "applied", "user": "host1"}));
    etcd.etcdctl_ok(&["user", "add", "bob", "--no-password"]);
    etcd.etcdctl_ok(&["role", "add", "reader"]);
    run(&etcd, &["role", "add", "writer"]).ok();
    run(&etcd, &["user", "list"]).ok().out("alice\nbob\nhost1\n");
    assert_eq!(etcd.etcdctl_ok(&["user", "list"]), "alice\nbob\nhost1\n");

    // Nothing is done in a dry run, and what is done already is left.
    run(&etcd, &["user", "grant", "alice", "reader", "--dry-run"])
        .ok()
        .out("grant-role\twould-apply\talice\treader\n")
        .err_has("dry run: would grant role reader to user alice");
    run(&etcd, &["user", "show", "alice"]).ok().err_has("user alice has no role");
    run(&etcd, &["user", "grant-role", "alice", "reader", "writer", "reader"])
        .ok()
        .out("grant-role\tapplied\talice\treader\ngrant-role\tapplied\talice\twriter\n");
    run(&etcd, &["user", "grant", "alice", "writer"]).ok().err_has("user alice already has the role writer");
    run(&etcd, &["user", "get", "alice"]).ok().out("alice\treader\nalice\twriter\n");
    assert_eq!(etcd.etcdctl_ok(&["user", "get", "alice"]), "User: alice\nRoles: reader writer\n");

    etcd.etcdctl_ok(&["role", "grant-permission", "reader", "read", "/app/", "--prefix=true"]);
    let shown = run(&etcd, &["user", "show", "alice", "--detail", "-o", "json"]).ok().json();
    assert_eq!(
        shown,
        serde_json::json!({"user": "alice", "user_roles": ["reader", "writer"],
            "permissions": [{"role": "reader", "access": "read", "range": "prefix", "key": "/app/"}]})
    );
    run(&etcd, &["user", "show", "alice", "--detail"]).ok().out("reader\tread\tprefix\t/app/\t\n");

    run(&etcd, &["user", "revoke-role", "alice", "writer"]).code(2).err_has("--yes").err_has("on cluster ");
    run(&etcd, &["user", "revoke", "alice", "writer", "--yes"]).ok();
    run(&etcd, &["user", "revoke", "alice", "writer", "--yes"])
        .code(1)
        .err_has("user alice does not have the role writer; it has: reader; nothing was changed");
    run(&etcd, &["user", "delete", "alice", "--dry-run"]).ok().err_has("user alice, who has the role reader");
    run(&etcd, &["user", "delete", "alice"]).code(2).err_has("Delete user alice, who has the role reader, on cluster ");
    run(&etcd, &["user", "delete", "alice", "--yes"]).ok().out("delete-user\tapplied\talice\n");
    assert_eq!(etcd.etcdctl_ok(&["user", "list"]), "bob\nhost1\n");

    for args in [
        &["user", "show", "bobb"][..],
        &["user", "delete", "bobb", "--yes"],
        &["user", "passwd", "bobb", "--new-password-file", "-"],
        &["user", "grant", "bobb", "reader"],
        &["user", "revoke", "bobb", "reader", "--yes"],
    ] {
        run(&etcd, args).code(1).out_empty().err_has("user not found: bobb; did you mean bob?");
    }
    run(&etcd, &["user", "grant", "bob", "raeder"]).code(1).err_has("role not found: raeder; did you mean reader?");
    run(&etcd, &["user", "add", "bob", "--no-password"]).code(4).err_has("user bob exists already");
    run(&etcd, &["user", "add", "", "--no-password"]).code(2);
    let file = kvadm(&etcd, &["user", "list", "--db", "x.db"]).run();
    file.code(2).err_has("'kvadm user list' cannot be used with --db");
}

#[test]
fn a_password_comes_from_a_file_or_stdin_and_is_shown_nowhere() {
    use std::os::unix::fs::PermissionsExt;
    let etcd = open_etcd();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8], mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good", format!("{PASSWORD}\n").as_bytes(), 0o600);
    let open = file("open", format!("{PASSWORD}\r\n").as_bytes(), 0o644);
    let hidden = |run: &Run| {
        run.out_lacks(PASSWORD).err_lacks(PASSWORD);
    };
    hidden(run(&etcd, &["user", "add", "alice", "--new-password-file", &good, "-vv"]).ok().err_lacks("readable"));
    hidden(
        run(&etcd, &["user", "password", "alice", "--new-password-file", &open, "-vv", "-o", "json"])
            .ok()
            .err_has("contains a password and is readable by others (mode 644): run 'chmod 600 "),
    );
    hidden(run(&etcd, &["user", "add", "carol", "--new-password-file", &good, "--dry-run", "-vv"]).ok());
    hidden(run(&etcd, &["user", "add", "alice", "--new-password-file", &good, "-vv"]).code(4));
    for (text, why) in [
        (&b""[..], "is empty"),
        (b"\n", "is empty"),
        (b"one\ntwo\n", "has more than one line"),
        (b"\xff\xfe", "is not UTF-8"),
        (&[b'x'; 73], "is longer than 72 bytes"),
    ] {
        let bad = file("bad", text, 0o600);
        run(&etcd, &["user", "add", "dave", "--new-password-file", &bad]).code(2).err_has(why).err_lacks("xxxx");
        run(&etcd, &["user", "password", "alice", "--new-password-file", &bad]).code(2).err_has(why);
    }
    kvadm(&etcd, &["user", "add", "dave", "--new-password-file", "-"]).stdin("\n").run().code(2).err_has("is empty");
    run(&etcd, &["user", "add", "dave", "--new-password-file", "/none"]).code(2).err_has("cannot read /none");
    run(&etcd, &["user", "add", "dave"]).code(2).err_has("without a terminal").err_has("--new-password-file FILE");
    run(&etcd, &["user", "password", "alice"]).code(2).err_has("without a terminal");
    let typed = format!("dave:{PASSWORD}");
    hidden(run(&etcd, &["user", "add", &typed, "-vv"]).code(2).err_has("'NAME:PASSWORD' is not accepted"));
    hidden(run(&etcd, &["user", "add", "dave", "--no-password", "--new-password-file", &good]).code(2));
    assert_eq!(etcd.etcdctl_ok(&["user", "list"]), "alice\n");
    let on_stdin =
        |text: &str| kvadm(&etcd, &["user", "password", "alice", "--new-password-file", "-"]).stdin(text).run();
    on_stdin(&format!("{PASSWORD}\ntwo\n")).code(2).err_has("the password on stdin has more than one line");
    on_stdin("nul\0").code(2).err_has("has a NUL character");
    on_stdin(&format!(" {PASSWORD}\n")).ok().err_has("warning: the password on stdin begins or ends with a blank");
    hidden(on_stdin(&format!("\u{feff}{PASSWORD}\r\n")).ok().err_has("byte order mark, which is left out"));

    enable(&etcd);
    kvadm(&etcd, &["get", "/x", "--user", "alice", "--password-file", &good])
        .run()
        .code(4)
        .err_has("permission denied");
    kvadm(&etcd, &["get", "/x", "--user", "alice"])
        .env("KVADM_PASSWORD", "root-pw")
        .run()
        .code(4)
        .err_has("authentication");
}

/// etcd keeps that a user was added without a password, and answers to a new one as to any other.
#[test]
fn a_password_without_effect_is_no_success() {
    let etcd = open_etcd();
    run(&etcd, &["user", "add", "bob", "--no-password"]).ok();
    run(&etcd, &["role", "add", "reader"]).ok();
    run(&etcd, &["user", "grant", "bob", "reader"]).ok();
    let password = ["user", "password", "bob", "--new-password-file", "-"];
    let off = kvadm(&etcd, &password).stdin(PASSWORD).run();
    off.ok().err_has("no login can prove the password").err_has("delete the user and add it again");
    enable(&etcd);
    let set = |name: &str| {
        let kvadm = kvadm(&etcd, &["user", "password", name, "--new-password-file", "-", "--user", "root"]);
        kvadm.env("KVADM_PASSWORD", "root-pw").stdin(PASSWORD).run()
    };
    set("bob")
        .code(4)
        .out_empty()
        .err_has("user bob cannot log in")
        .err_has("it keeps that a user was added without a password")
        .err_has("user delete bob --yes', 'kvadm ")
        .err_has("user grant bob reader'");
    let add = kvadm(&etcd, &["user", "add", "carol", "--new-password-file", "-", "--user", "root"]);
    add.env("KVADM_PASSWORD", "root-pw").stdin("old").run().ok();
    set("carol").ok().out("set-password\tapplied\tcarol\n").err_lacks("prove");
    kvadm(&etcd, &["user", "show", "carol", "--user", "carol"]).env("KVADM_PASSWORD", PASSWORD).run().ok();
}

/// A name over 32,768 bytes ends the members of etcd for good.
#[test]
fn long_names_are_refused_before_anything_is_sent() {
    let etcd = open_etcd();
    let long = "n".repeat(40_000);
    for name in [&long, &"n".repeat(1025)] {
        for args in
            [&["user", "add", name, "--no-password"][..], &["role", "add", name], &["role", "add", name, "--dry-run"]]
        {
            let run = run(&etcd, args);
            run.code(2).err_has("bytes, and kvadm sends 1024 at most").err_has(&format!("{}… (", "n".repeat(64)));
            assert!(run.stderr_text().len() < 1000, "{run:?}");
        }
        for text in [
            format!("roles: {{}}\nusers:\n  ? {name}\n  : {{}}\n"),
            format!("roles:\n  ? {name}\n  : {{}}\nusers: {{}}\n"),
        ] {
            for verb in [&["auth", "diff", "-"][..], &["auth", "apply", "-", "--no-password", "--yes"]] {
                let run = kvadm(&etcd, verb).stdin(&text).run();
                run.code(2).err_has("bytes, and kvadm sends 1024 at most").err_has(&format!("'{}…'", "n".repeat(64)));
                assert!(run.stderr_text().len() < 1000, "{run:?}");
            }
        }
    }
    for kind in ["user", "role"] {
        let run = run(&etcd, &[kind, "show", &long]);
        run.code(1).err_has(&format!("{kind} not found: {}… (40000 bytes)", "n".repeat(64)));
    }
    assert_eq!(etcd.received("UserAdd") + etcd.received("RoleAdd"), 0);
    let most = "m".repeat(1024);
    run(&etcd, &["user", "add", &most, "--no-password"]).ok();
    run(&etcd, &["user", "list"]).ok().out(&format!("{most}\n"));
}

#[test]
fn an_argument_that_may_be_a_password_is_not_repeated() {
    for line in [
        "user add root hunter2",
        "user password bob hunter2",
        "user passwd bob -- hunter2",
        "user add root --no-password=hunter2",
        "user add root --yes=hunter2",
        "--yes=hunter2 user add root",
        "--endpoints http://localhost:1 user delete root hunter2",
        "auth enable hunter2",
        "auth enable --keep-password=hunter2",
    ] {
        for format in ["text", "json"] {
            let run = Kvadm::new().args(line.split(' ')).run();
            run.code(2).out_empty().err_lacks("hunter2").err_has("(not shown)").err_has("--new-password-file");
            let words: Vec<&str> = ["-o", format].into_iter().chain(line.split(' ')).collect();
            let run = Kvadm::new().args(words).run();
            run.code(2).out_empty().err_lacks("hunter2").err_has("(not shown)");
        }
    }
    // Elsewhere, what is wrong is named.
    Kvadm::new().args(["version", "user"]).run().code(2).err_has("'user'");
    Kvadm::new().args(["user", "add", "bob", "--no-pasword"]).run().code(2).err_has("'--no-pasword'");
}

#[test]
fn a_certificates_name_may_have_colons() {
    let etcd = open_etcd();
    run(&etcd, &["user", "add", "system:node:x", "--no-password"]).ok();
    run(&etcd, &["user", "add", "system:node:y"]).code(2).err_has("add --no-password").err_lacks("node:y");
    run(&etcd, &["user", "list"]).ok().out("system:node:x\n");
}

#[test]
fn reading_the_roles_of_all_users_is_announced() {
    let server = FakeServer::start(|asked: &Asked| {
        let head = Message::new().message(1, &answers::header(9));
        match asked.method.as_str() {
            "Auth/UserList" => head.bytes(2, "alice").into(),
            "Auth/RoleList" => head.bytes(2, "reader").into(),
            "Auth/UserGet" => {
                std::thread::sleep(Duration::from_millis(2300));
                head.bytes(2, "reader").into()
            }
            "Auth/AuthStatus" => head.int(2, 0).into(),
            _ => answers::valid(asked),
        }
    });
    let run = Kvadm::new().endpoint(&server.endpoint()).args(["role", "delete", "reader", "--dry-run"]).run();
    run.ok().err_has("reading the roles of 1 user").err_has("which user alice has");
}

#[test]
fn a_silent_stdin_is_announced_and_ctrl_c_ends_the_wait() {
    let etcd = open_etcd();
    let running = kvadm(&etcd, &["user", "add", "alice", "--new-password-file", "-"]).spawn();
    running.wait_for_stderr("waiting for the password on stdin", SOON);
    running.signal(nix::sys::signal::Signal::SIGINT);
    running.wait().signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(etcd.etcdctl_ok(&["user", "list"]), "");
}

#[test]
fn a_prompt_asks_twice_and_shows_nothing() {
    let etcd = open_etcd();
    let asked = |args: &[&str], answers: &[&str]| {
        let mut running = kvadm(&etcd, args).env("NO_COLOR", "1").pty().timeout(SOON).spawn();
        for (number, answer) in answers.iter().enumerate() {
            let prompt = if number == 0 { "assword of" } else { "The same password again:" };
            running.wait_for_stdout(prompt, SOON);
            let arguments = std::fs::read(format!("/proc/{}/cmdline", running.pid())).unwrap();
            assert!(!String::from_utf8_lossy(&arguments).contains(PASSWORD));
            running.write(answer);
        }
        let run = running.wait();
        run.out_lacks(PASSWORD);
        run
    };
    let line = &format!("{PASSWORD}\n");
    let add = &["user", "add", "alice"][..];
    asked(add, &["\n"]).code(2).out_has("the password is empty; nothing was changed");
    asked(add, &[line, "another\n"])
        .code(2)
        .out_has("the two passwords differ; nothing was changed")
        .out_lacks("another\n");
    asked(add, &["\u{4}"]).code(2).out_has("no password was given");
    asked(add, &[line, line]).ok().out_has("Password of the new user alice:").out_has("The same password again:");
    asked(&["user", "passwd", "alice", "--new-password-file", "-"], &[line, line])
        .ok()
        .out_has("New password of user alice");
    run(&etcd, &["user", "list"]).ok().out("alice\n");
    // Ctrl-C, and the terminal shows again what is typed.
    let script = format!(
        "trap : INT; {} --endpoints {} user password alice; echo \"code=$?\"; stty -a",
        env!("CARGO_BIN_EXE_kvadm"),
        etcd.endpoint()
    );
    let mut shell = Kvadm::program("sh").args(["-c", &script]).pty().timeout(SOON).spawn();
    shell.wait_for_stdout("New password of user alice", SOON);
    shell.write("half\u{3}");
    let text = shell.wait().out_lacks("half").out_has("code=130").stdout_text();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(words.contains(&"echo") && !words.contains(&"-echo"), "{text}");
    assert!(text.contains("quit = ^\\") && text.contains("susp = ^Z"), "{text}");
}

#[test]
fn no_change_takes_from_the_caller_what_it_needs_to_undo_it() {
    let etcd = open_etcd();
    add(&etcd, "alice");
    add(&etcd, "bob");
    run(&etcd, &["user", "grant", "alice", "root"]).ok().err_has("the role root allows everything");
    // While authentication is off, nobody can be locked out.
    run(&etcd, &["user", "revoke", "alice", "root", "--yes"]).ok();
    run(&etcd, &["user", "grant", "alice", "root"]).ok();
    enable(&etcd);
    let alice = |args: &[&str]| kvadm(&etcd, args).args(["--user", "alice"]).env("KVADM_PASSWORD", PASSWORD).run();
    for args in [&["user", "delete", "root"][..], &["user", "revoke", "root", "root"], &["role", "delete", "root"]] {
        alice(&[args, &["--yes"]].concat())
            .code(5)
            .out_empty()
            .err_has("authentication is enabled and needs the user root with the role root");
        as_root(&etcd, &[args, &["--yes"]].concat()).code(5);
        as_root(&etcd, &[args, &["--dry-run"]].concat()).code(5);
    }
    alice(&["user", "delete", "alice", "--yes"])
        .code(5)
        .err_has("this command itself is user alice, who could not undo it");
    alice(&["user", "revoke", "alice", "root", "--yes"])
        .code(5)
        .err_has("who could not change users and roles any more");
    assert!(as_root(&etcd, &["user", "list"]).ok().stdout_text() == "alice\nbob\nroot\n");
    alice(&["user", "delete", "bob", "--yes"]).ok();
    // The new password is in effect, and the old one is not.
    let own = kvadm(&etcd, &["user", "password", "alice", "--new-password-file", "-", "--user", "alice"]);
    own.env("KVADM_PASSWORD", PASSWORD).stdin("new-pw").run().ok().err_has("own user has another password now");
    alice(&["user", "list"]).code(4);
    as_root(&etcd, &["user", "revoke", "alice", "root", "--yes"]).ok();
    let bob = kvadm(&etcd, &["user", "list", "--user", "alice"]).env("KVADM_PASSWORD", "new-pw").run();
    bob.code(4).err_has("permission denied").err_has("kvadm user show NAME --detail");
    let own = kvadm(&etcd, &["user", "show", "alice", "--user", "alice"]).env("KVADM_PASSWORD", "new-pw").run();
    own.ok().err_has("user alice has no role");
}

#[test]
fn a_lost_answer_is_read_back_and_nothing_is_sent_twice() {
    let etcd = open_etcd();
    etcd.etcdctl_ok(&["role", "add", "reader"]);
    add(&etcd, "alice");
    let lost = |method: &'static [&'static str], etcd: &Etcd, args: &[&str], user: &str| {
        let plan = Plan { spoil: Spoil::CutBefore, methods: method, skip: 0, times: 1, then_gone: false };
        let spoiler = Spoiler::start(&etcd.address(), plan);
        let mut kvadm = Kvadm::new().endpoint(&spoiler.endpoint()).args(args).stdin("new-pw\n");
        if !user.is_empty() {
            kvadm = kvadm.args(["--user", user]).env("KVADM_PASSWORD", "root-pw");
        }
        let run = kvadm.run();
        assert_eq!(spoiler.seen(), 1, "{run:?}");
        run
    };
    lost(&["UserGrantRole"], &etcd, &["user", "grant", "alice", "reader"], "")
        .ok()
        .out("grant-role\tfound-applied\talice\treader\n")
        .err_has("the answer to 'grant role reader to user alice' was lost");
    let password = ["user", "password", "alice", "--new-password-file", "-"];
    lost(&["UserChangePassword"], &etcd, &password, "")
        .code(7)
        .out_empty()
        .err_has("cannot set the password of user alice")
        .err_has("set the password again, which does no harm: 'kvadm --endpoints ");
    let added = ["user", "add", "dave", "--new-password-file", "-"];
    lost(&["UserAdd"], &etcd, &added, "")
        .code(7)
        .out_empty()
        .err_has("user dave exists now; whether this command added it");
    enable(&etcd);
    // A login proves the password.
    lost(&["UserChangePassword"], &etcd, &password, "root").ok().out_has("found-applied");
    let added = ["user", "add", "carol", "--new-password-file", "-"];
    lost(&["UserAdd"], &etcd, &added, "root").ok().out_has("found-applied");
    lost(&["UserDelete"], &etcd, &["user", "delete", "carol", "--yes"], "root").ok().out_has("found-applied");
}

#[test]
fn names_of_a_server_cannot_steer_the_terminal() {
    const NAME: &str = "\u{1b}[2Jevil\u{202e}";
    let head = || Message::new().message(1, &answers::header(9));
    let server = FakeServer::start(move |asked: &Asked| match asked.method.as_str() {
        "Auth/UserList" | "Auth/RoleList" => head().bytes(2, NAME).bytes(2, "alice").into(),
        "Auth/UserGet" if asked.message.text(1) == b"none" => {
            Reply::Refusal(9, "etcdserver: user name not found".to_owned())
        }
        "Auth/UserGet" => head().bytes(2, NAME).into(),
        "Auth/RoleGet" => head().message(2, &Message::new().bytes(2, NAME)).into(),
        "Auth/AuthStatus" => head().int(2, 0).into(),
        _ => answers::valid(asked),
    });
    for (args, code) in [
        (&["user", "list"][..], 0),
        (&["user", "show", "alice"], 0),
        (&["user", "show", "alice", "--detail"], 0),
        (&["user", "delete", "alice", "--dry-run"], 0),
        (&["user", "revoke", "alice", "x", "--yes"], 1),
        (&["role", "list"], 0),
        (&["role", "show", "alice"], 0),
        (&["role", "show", NAME], 0),
        (&["role", "delete", "alice", "--dry-run"], 0),
        (&["role", "revoke", "alice", "x", "--yes"], 1),
        (&["user", "grant", "alice", NAME, "--dry-run"], 0),
        (&["user", "show", "none"], 1),
    ] {
        for format in ["table", "text", "json", "yaml"] {
            let run = Kvadm::new()
                .endpoint(&server.endpoint())
                .args(args)
                .args(["-o", format])
                .env("NO_COLOR", "1")
                .pty()
                .run();
            let text = run.code(code).stdout_text();
            let bold = text.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
            let bad = bold.chars().find(|c| c.is_control() && !"\r\n\t".contains(*c) || *c == '\u{202e}');
            assert_eq!(bad, None, "{args:?} {format}: {text:?}");
        }
    }
}
