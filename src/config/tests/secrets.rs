//! Users, passwords, and that nobody sees them.

use super::*;

const PASSWORD: &str = "hunter2-secret";

fn login(setup: &Setup) -> (String, String) {
    let credentials = setup.ok().connect.credentials.expect("a login");
    (credentials.user, credentials.password.expose().to_owned())
}

#[test]
fn where_the_password_may_come_from() {
    let mut setup = Setup::found("username: file\npassword: by-file\n").env("ETCDCTL_PASSWORD", "by-etcdctl");
    assert_eq!(login(&setup), ("file".into(), "by-file".into()));
    setup = setup.env("KVADM_PASSWORD", "by-env");
    assert_eq!(login(&setup), ("file".into(), "by-env".into()));
    let path = setup.write("pw-env", "by-env-file\r\n");
    setup = setup.env("KVADM_PASSWORD_FILE", path.to_str().unwrap());
    assert_eq!(login(&setup), ("file".into(), "by-env-file".into()));
    let path = setup.write("pw-flag", " by flag \n\n");
    setup = setup.set(|o| {
        o.password_file = Some(path);
        o.user = Some("flag".into());
    });
    assert_eq!(login(&setup), ("flag".into(), " by flag \n".into()), "one line's end is cut, nothing else");
    assert_eq!(setup.setting("password"), "(redacted) (flag --password-file)");
    let config = setup.ok();
    let password = config.settings.iter().find(|setting| setting.key == "password").unwrap();
    let sources: Vec<String> = password.overridden.iter().map(|loser| setup.plain(&loser.source.to_string())).collect();
    assert_eq!(
        sources,
        ["env KVADM_PASSWORD_FILE", "env KVADM_PASSWORD", "file D/machine.yaml:2", "env ETCDCTL_PASSWORD"]
    );
    assert!(password.overridden.iter().all(|loser| loser.value == "(redacted)"));
    // A file that the command line names is stronger than the variables.
    let setup = Setup::with("username: file\npassword: by-file\n").env("KVADM_PASSWORD", "by-env");
    assert_eq!(login(&setup), ("file".into(), "by-file".into()));
}

#[test]
fn a_password_belongs_to_the_user_of_its_source() {
    let hint =
        |source: &str| format!("(hint: add --password-file FILE; the password from {source} belongs to another user)");
    let file = "username: file\npassword: by-file\n";
    let setup = Setup::with(file).set(|o| o.user = Some("flag".into()));
    let expected = format!("flag --user: user 'flag' has no password {}", hint("file D/etcd.yaml:2"));
    assert_eq!(setup.error(), expected);
    let setup = Setup::found(file).env("KVADM_USER", "env");
    let expected = format!("env KVADM_USER: user 'env' has no password {}", hint("file D/machine.yaml:2"));
    assert_eq!(setup.error(), expected);
    let setup = Setup::new().env("KVADM_USER", "env").env("KVADM_PASSWORD", "p").set(|o| o.user = Some("flag".into()));
    assert!(setup.error().ends_with(&hint("env KVADM_PASSWORD")), "{}", setup.error());
    // The same user is the same user.
    let setup = Setup::with(file).set(|o| o.user = Some("file".into()));
    assert_eq!(login(&setup), ("file".into(), "by-file".into()));
    // A password without a user belongs to any.
    let setup = Setup::new().env("KVADM_PASSWORD", "p").set(|o| o.user = Some("flag".into()));
    assert_eq!(login(&setup), ("flag".into(), "p".into()));
    let setup = Setup::found("username: file\n").env("KVADM_PASSWORD", "p");
    assert_eq!(login(&setup), ("file".into(), "p".into()));
    // A weaker password of the right user is found behind one of another user.
    let setup = Setup::found(file).env("KVADM_USER", "env").env("KVADM_PASSWORD", "p");
    let setup = setup.set(|o| o.user = Some("file".into()));
    assert_eq!(login(&setup), ("file".into(), "by-file".into()));
}

/// Each case: the settings, and whether the password goes to the endpoints.
#[test]
fn a_password_does_not_go_to_the_endpoints_of_a_stronger_source() {
    let flag = |setup: Setup, endpoint: &str| setup.set(|o| o.endpoints = Some(vec![endpoint.to_owned()]));
    let file = "endpoints: [a, b]\nusername: u\npassword: p\n";
    let env = |setup: Setup| setup.env("KVADM_USER", "u").env("KVADM_PASSWORD", "p");
    let etcdctl = |setup: Setup| setup.env("ETCDCTL_USER", "u:p");
    let cases = [
        ("all from the file", Setup::with(file), true),
        ("all from variables", env(Setup::new().env("KVADM_ENDPOINTS", "x")), true),
        ("no endpoints", env(Setup::new()), true),
        ("endpoints of the same file, typed", flag(Setup::with(file), "b"), true),
        ("other endpoints, typed", flag(Setup::with(file), "x"), false),
        ("another port", flag(Setup::with(file), "a:1"), false),
        ("another scheme", flag(Setup::with(file), "https://a"), false),
        ("typed, over the variables", flag(env(Setup::new()), "x"), false),
        (
            "typed with the user, over the variables",
            flag(env(Setup::new()), "x").set(|o| o.user = Some("u".into())),
            true,
        ),
        ("a named file, over the variables", env(Setup::with("endpoints: [x]\n")), false),
        ("a found file, under the variables", env(Setup::found("endpoints: [x]\n")), true),
        ("variables, over a found file", Setup::found(file).env("KVADM_ENDPOINTS", "x"), false),
        ("variables for the same endpoints", Setup::found(file).env("KVADM_ENDPOINTS", "b,a"), true),
        ("a file, over etcdctl's", etcdctl(Setup::found("endpoints: [x]\n")), false),
        ("etcdctl's", etcdctl(Setup::new().env("ETCDCTL_ENDPOINTS", "x")), true),
        ("the file's endpoints, typed, and variables", flag(env(Setup::found("endpoints: [a]\n")), "a"), true),
    ];
    for (name, setup, sent) in cases {
        let config = setup.ok();
        assert_eq!(config.connect.credentials.is_some(), sent, "{name}");
        assert_eq!(setup.warnings().iter().any(|text| text.contains("are not used")), !sent, "{name}");
        if !sent {
            assert_eq!(setup.setting("username"), "- (default)", "{name}");
            assert_eq!(setup.setting("password"), "- (default)", "{name}");
        }
    }
    let setup = flag(env(Setup::new()), "x");
    let expected = "user 'u' (env KVADM_USER) and the password (env KVADM_PASSWORD) are not used, because the endpoints are \
                    from flag --endpoints; add --user to log in there";
    assert_eq!(setup.warnings(), [expected]);
    // The source of the endpoints wants a login, so that going on without one would be wrong.
    let setup = Setup::with("endpoints: [x]\nusername: u\n").env("KVADM_PASSWORD", "p");
    let expected = "D/etcd.yaml:2: username: user 'u' has no password (hint: add --password-file FILE; the password from \
                    env KVADM_PASSWORD is not sent to the endpoints from file D/etcd.yaml:1)";
    assert_eq!(setup.error(), expected);
}

#[test]
fn a_colon_in_a_user_name() {
    let setup = Setup::with("username: 'a:b'\npassword: p\n");
    assert_eq!(login(&setup), ("a:b".into(), "p".into()));
    let hint =
        " (hint: add --password-file FILE, or set KVADM_PASSWORD; 'username' in a configuration file may have a ':')";
    let expected = format!(": 'NAME:PASSWORD' is not accepted here; give only the name{hint}");
    assert_eq!(Setup::new().env("KVADM_USER", "a:b").error(), format!("env KVADM_USER{expected}"));
    assert_eq!(Setup::new().set(|o| o.user = Some("a:b".into())).error(), format!("flag --user{expected}"));
}

#[test]
fn etcdctls_user_may_carry_its_password() {
    let setup = Setup::new().env("ETCDCTL_USER", "root:a:b");
    assert_eq!(login(&setup), ("root".into(), "a:b".into()));
    let setup = setup.env("ETCDCTL_PASSWORD", "p");
    assert_eq!(login(&setup), ("root".into(), "p".into()));
    let setup = Setup::new().env("ETCDCTL_USER", "root:x").set(|o| o.user = Some("other".into()));
    assert!(setup.error().starts_with("flag --user: user 'other' has no password"), "another user's is not taken");
    assert_eq!(Setup::new().env("ETCDCTL_USER", ":x").error(), "env ETCDCTL_USER: the user name is empty");
}

#[test]
fn half_a_login() {
    let hint = " (hint: add --password-file FILE, set KVADM_PASSWORD, or set 'password' in the configuration file)";
    let setup = Setup::with("\nusername: root\n");
    assert_eq!(setup.error(), format!("D/etcd.yaml:2: username: user 'root' has no password{hint}"));
    let setup = Setup::new().env("KVADM_USER", "root");
    assert_eq!(setup.error(), format!("env KVADM_USER: user 'root' has no password{hint}"));
    let setup = Setup::new().env("KVADM_PASSWORD", PASSWORD);
    assert_eq!(setup.warnings(), ["the password from env KVADM_PASSWORD is ignored, because no user is set"]);
    assert!(setup.ok().connect.credentials.is_none());
}

#[test]
fn password_files_that_are_refused() {
    for (content, expected) in [
        (&b""[..], "the password in D/pw is empty"),
        (b"\n", "the password in D/pw is empty"),
        (b"\xff\n", "the password in D/pw is not UTF-8"),
        (&[b'x'; 70_000], "cannot read D/pw: more than 65536 bytes"),
    ] {
        let setup = Setup::new();
        let path = setup.write("pw", content);
        let setup = setup.set(|o| o.password_file = Some(path));
        assert_eq!(setup.error(), format!("flag --password-file: {expected}"));
    }
    let setup = Setup::new().set(|o| o.password_file = Some("/nowhere".into()));
    assert_eq!(setup.error(), "flag --password-file: cannot read /nowhere: no such file or directory");
}

#[test]
fn files_that_others_may_read_are_warned_of() {
    let warned = |mode, text: &str| {
        let setup = Setup::with(text);
        setup.chmod(&setup.path("etcd.yaml"), mode);
        setup.warnings()
    };
    let expected = "D/etcd.yaml contains a password and is readable by others (mode 640): run 'chmod 600 D/etcd.yaml'";
    assert_eq!(warned(0o640, "username: u\npassword: p\n"), [expected]);
    assert_eq!(warned(0o604, "username: u\npassword: p\n").len(), 1);
    assert_eq!(warned(0o644, "token: t\n").len(), 1);
    assert_eq!(warned(0o600, "username: u\npassword: p\n"), [""; 0]);
    assert_eq!(warned(0o644, "qps: 1\npassword: ''\n"), [""; 0]);
    let setup = Setup::with("username: u\n");
    let path = setup.write("pw", "x");
    setup.chmod(&path, 0o644);
    let setup = setup.set(|o| o.password_file = Some(path));
    assert_eq!(
        setup.warnings(),
        ["D/pw contains a password and is readable by others (mode 644): run 'chmod 600 D/pw'"]
    );
}

/// Whatever is wrong with a file that holds a password: nothing that comes out shows it.
#[test]
fn nothing_shows_a_password() {
    let texts = [
        format!("password: {PASSWORD}\nusername: u\nqps: 1\n"),
        format!("password: {PASSWORD}\n"),
        format!("password: {PASSWORD}\npassword: {PASSWORD}\n"),
        format!("password: !!int {PASSWORD}\n"),
        format!("password: !secret {PASSWORD}\n"),
        format!("password: [{PASSWORD}]\n"),
        format!("password: {{{PASSWORD}: 1}}\n"),
        format!("password: {{{PASSWORD}: 1, {PASSWORD}: 2}}\n"),
        format!("password: {PASSWORD}: x\n"),
        format!("password: '{PASSWORD}\nqps: 1\n"),
        format!("password: @{PASSWORD}\n"),
        format!("password: *{PASSWORD}\n"),
        format!("password: \"\\q{PASSWORD}\"\n"),
        format!("password: >{PASSWORD}\n"),
        format!("token: !!float {PASSWORD}\n"),
        format!("passwrod: {PASSWORD}\n"),
        format!("passwrod: !!int {PASSWORD}\n"),
        format!("passwrod: !!null {PASSWORD}\n"),
        format!("passwrod: {{{PASSWORD}: 1, {PASSWORD}: 2}}\n"),
        format!("endpoints: http://u:{PASSWORD}@h:1\n"),
        format!("endpoints: ['u:{PASSWORD}@h']\n"),
        format!("{PASSWORD}\n"),
        format!("- {PASSWORD}\n"),
        format!("!!int {PASSWORD}\n"),
        format!("username: 'u:{PASSWORD}'\npassword:\n").replace(&format!(":{PASSWORD}"), ""),
    ];
    for text in texts {
        for strict in [false, true] {
            let setup =
                Setup::with(&text).env("ETCD_ENDPOINTS", &format!("u:{PASSWORD}@other")).set(|o| o.strict = strict);
            let (shown, debug) = match setup.load() {
                Ok(config) => (format!("{:?}{:?}", config.warnings, config.details), format!("{config:?}")),
                Err(error) => (format!("{error}{:?}", error.hint), format!("{error:?}")),
            };
            assert!(!shown.contains(PASSWORD), "{text}: {shown}");
            assert!(!debug.contains(PASSWORD), "{text}: {debug}");
        }
    }
    for setup in [
        Setup::new().env("KVADM_USER", &format!("u:{PASSWORD}")),
        Setup::new().set(|o| o.user = Some(format!("u:{PASSWORD}"))),
        Setup::new().set(|o| o.endpoints = Some(vec![format!("http://u:{PASSWORD}@h")])),
    ] {
        assert!(!setup.error().contains(PASSWORD), "{}", setup.error());
        assert!(setup.error().contains("hint"), "{}", setup.error());
    }
}
