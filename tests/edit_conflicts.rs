//! `edit` while others change the key, the connection fails, or signals come.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::edit::{Desk, kept, run_named};
use super::support::{Kvadm, Mode, Plan, Proxy, Running, Spoil, Spoiler, eventually, shared};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_change_by_another_client_is_shown_and_the_text_is_edited_again() {
    let desk = Desk::new("blue\n");
    let editor =
        desk.script("test -e once || $KVADM put $KEY other; touch once; echo mine >> \"$1\"; cat \"$1\" >> seen");
    let run = desk.edit(&editor, &[]).run();
    run.ok().out_has("written\t").err_has(&format!("another client has changed {} meanwhile (revision ", desk.key));
    run.err_has("-blue\n+other\n\\ no newline at the end\n");
    // The second text is the first one with the second edit.
    assert_eq!(desk.file("seen"), "blue\nmine\nblue\nmine\nmine\n");
    assert_eq!((desk.value().as_str(), shared().held(&desk.key).unwrap().version), ("blue\nmine\nmine\n", 3));
    assert!(desk.left().is_empty());
}

#[test]
fn a_text_that_is_not_edited_again_is_not_written_over_another_change() {
    let desk = Desk::new("blue");
    let script = "test -e once || $KVADM put $KEY other; touch once; echo green > \"$1\"";
    let run = desk.edit(&desk.script(script), &[]).run();
    run.code(5).out_empty().err_has("another client has changed").err_has("the editor left the text as it was");
    assert_eq!(desk.value(), "other");
    let (path, command) = kept(&desk, &run);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "green");
    run_named(&command).ok();
    assert_eq!(desk.value(), "green");
    // With consent it is.
    let desk = Desk::new("blue");
    desk.edit(&desk.script(script), &["--yes"]).run().ok();
    assert_eq!(desk.value(), "green");
}

#[test]
fn conflicts_end_at_last() {
    let desk = Desk::new("blue");
    let editor = desk.script("echo x >> runs; $KVADM put $KEY \"$(wc -l < runs)\"; echo mine >> \"$1\"");
    let run = desk.edit(&editor, &[]).run();
    run.code(5).out_empty().err_has("condition failed").err_has("was last modified in revision");
    assert_eq!((desk.file("runs").lines().count(), desk.value().as_str()), (6, "6"));
    let (path, _) = kept(&desk, &run);
    assert_eq!(std::fs::read_to_string(path).unwrap().matches("mine").count(), 6);
}

#[test]
fn the_same_value_is_no_conflict() {
    // The other client wrote what was there before.
    let desk = Desk::new("blue");
    let editor = desk.script("echo x >> runs; $KVADM put $KEY blue; echo green > \"$1\"");
    desk.edit(&editor, &[]).run().ok().out_has("written").err_has("another client has written the same value");
    assert_eq!((desk.file("runs").lines().count(), desk.value().as_str()), (1, "green"));
    // The other client wrote what this one wants.
    let desk = Desk::new("blue");
    let editor = desk.script("echo x >> runs; $KVADM put $KEY green; echo green > \"$1\"");
    desk.edit(&editor, &[]).run().ok().out_empty().err_has("unchanged; nothing was written");
    assert_eq!((desk.file("runs").lines().count(), shared().held(&desk.key).unwrap().version), (1, 2));
}

#[test]
fn a_key_that_was_deleted_or_created_meanwhile_is_left_alone() {
    let desk = Desk::new("blue");
    let run = desk.edit(&desk.script("$KVADM delete $KEY; echo green > \"$1\""), &[]).run();
    run.code(5).out_empty().err_has("another client has deleted").err_has("does not exist");
    assert_eq!(shared().held(&desk.key), None);
    run.err_lacks("lease");
    let (_, command) = kept(&desk, &run);
    assert!(command.contains(&"--create".to_owned()), "{command:?}");
    run_named(&command).ok();
    assert_eq!(desk.value(), "green");
    let desk = Desk::missing();
    let run = desk.edit(&desk.script("$KVADM put $KEY other; echo green > \"$1\""), &["--create"]).run();
    run.code(5).out_empty().err_has("another client has created").err_has("+other").err_has("already exists");
    assert_eq!(desk.value(), "other");
    kept(&desk, &run);
}

#[test]
fn the_lease_of_a_deleted_key_is_not_forgotten() {
    let desk = Desk::new("x");
    let lease = shared().grant(300);
    Kvadm::new().endpoint(shared()).args(["put", &desk.key, "blue", "--lease", &lease]).run().ok();
    let run = desk.edit(&desk.script("$KVADM delete $KEY; echo green > \"$1\""), &[]).run();
    run.code(5)
        .err_has(&format!("the deleted key was on lease {lease}, and this command creates the key without a lease"));
    let (_, mut command) = kept(&desk, &run);
    command.extend(["--lease".to_owned(), lease.clone()]);
    run_named(&command).ok();
    assert_eq!(shared().held(&desk.key).unwrap().lease, Some(lease));
}

#[test]
fn quiet_does_not_hide_another_clients_change() {
    let desk = Desk::new("blue");
    let editor = desk.script("test -e once || $KVADM put $KEY other; touch once; echo mine >> \"$1\"");
    let run = desk.edit(&editor, &["-q"]).run();
    run.ok().err_has("warning: another client has changed ").err_has("+other\n").err_lacks("change of ");
    assert_eq!(shared().held(&desk.key).unwrap().version, 3);
}

#[test]
fn a_lost_lock_writes_nothing() {
    let desk = Desk::new("blue");
    let lock = format!("{}lock", desk.key);
    Kvadm::new().endpoint(shared()).args(["put", &lock, ""]).run().ok();
    let guard = format!("--if-locked={}", shared().lock_token(&lock));
    desk.edit("echo green >", &[&guard]).run().ok();
    let run = desk.edit(&desk.script(&format!("$KVADM delete {lock}; echo red > \"$1\"")), &[&guard]).run();
    run.code(5).out_empty().err_has("lock");
    assert_eq!(desk.value(), "green");
    // The named command is guarded as well.
    run_named(&kept(&desk, &run).1).code(5).err_has("lock");
}

#[test]
fn a_write_whose_answer_is_lost_is_unknown_and_the_text_stays() {
    for create in [false, true] {
        let desk = if create { Desk::missing() } else { Desk::new("blue") };
        let plan = Plan { spoil: Spoil::CutBefore, methods: &["Txn"], skip: 0, times: 1, then_gone: true };
        let spoiler = Spoiler::start(&shared().address(), plan);
        let desk = desk.through(&spoiler.endpoint());
        let run = desk.edit("echo green >", if create { &["--create"] } else { &[] }).run();
        run.code(7).out_empty().err_has("unknown whether etcd applied it").err_has("read the keys before you retry");
        assert_eq!(desk.value(), "green");
        // The named command does not write twice.
        run_named(&kept(&desk, &run).1).code(5);
    }
}

#[test]
fn the_text_stays_if_etcd_cannot_be_reached() {
    let desk = Desk::new("blue");
    let mut proxy = Proxy::start(&shared().address());
    let desk = desk.through(&proxy.endpoint());
    let editor = desk.script("echo green > \"$1\"; touch open; until test -e gone; do sleep 0.01; done");
    let running = desk.edit(&editor, &[]).spawn();
    eventually("the editor", SOON, || desk.folder.path().join("open").exists());
    proxy.set(Mode::Refuse);
    proxy.cut();
    std::fs::write(desk.folder.path().join("gone"), "").unwrap();
    let run = running.wait();
    run.code(3).out_empty().err_has("connection refused");
    assert_eq!(desk.value(), "blue");
    run_named(&kept(&desk, &run).1).ok();
    assert_eq!(desk.value(), "green");
}

/// An editor that saves its text when this signal comes.
fn saves_on(desk: &Desk, signal: &str) -> String {
    desk.script(&format!(
        "trap 'echo saved > \"$1\"; exit 0' {signal}; echo half > \"$1\"; touch open; while :; do sleep 0.02; done"
    ))
}

fn opened(desk: &Desk) {
    eventually("the editor", SOON, || desk.folder.path().join("open").exists());
}

#[test]
fn ctrl_c_belongs_to_the_editor() {
    let desk = Desk::new("blue");
    let mut running = desk.edit(&saves_on(&desk, "INT"), &[]).pty().timeout(SOON).spawn();
    opened(&desk);
    running.write([3]);
    running.wait().ok().out_has("+saved");
    assert_eq!((desk.value().as_str(), desk.left().len()), ("saved", 0));
}

#[test]
fn a_signal_ends_the_editor_and_the_text_stays() {
    for (signal, name) in [(Signal::SIGTERM, "TERM"), (Signal::SIGHUP, "HUP")] {
        let desk = Desk::new("blue");
        let running = desk.edit(&saves_on(&desk, name), &[]).timeout(SOON).spawn();
        opened(&desk);
        running.signal(signal);
        let run = running.wait();
        run.signal(signal).out_empty().err_has("interrupted while the editor was running");
        assert_eq!(desk.value(), "blue");
        let (path, _) = kept(&desk, &run);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "saved\n");
    }
}

/// An edit on a terminal, as far as its question.
fn asked(desk: &Desk, editor: &str, args: &[&str], question: &str) -> Running {
    let running = desk.edit(editor, args).env("NO_COLOR", "1").pty().timeout(SOON).spawn();
    running.wait_for_stdout(question, SOON);
    running
}

#[test]
fn a_person_is_asked() {
    let empty = "cp /dev/null";
    let desk = Desk::new("blue");
    let mut running = asked(&desk, empty, &[], "store an empty value in");
    running.write("n\n");
    kept(&desk, running.wait().code(5));
    let desk = Desk::new("blue");
    let mut running = asked(&desk, empty, &[], "store an empty value in");
    running.write("y\n");
    running.wait().ok();
    assert_eq!((desk.value().as_str(), desk.left().len()), ("", 0));
    // Ctrl-C at the question keeps the text as well.
    let desk = Desk::new("blue");
    let mut running = asked(&desk, empty, &[], "store an empty value in");
    running.write([3]);
    let run = running.wait();
    kept(&desk, run.signal(Signal::SIGINT));
    assert_eq!(desk.value(), "blue");
}

#[test]
fn what_is_typed_into_the_editor_answers_no_question() {
    let desk = Desk::new("blue");
    let script = "touch open; until test -e gone; do sleep 0.01; done; : > \"$1\"";
    let mut running = desk.edit(&desk.script(script), &[]).env("NO_COLOR", "1").pty().timeout(SOON).spawn();
    opened(&desk);
    running.write("yes\n");
    running.wait_for_stdout("yes", SOON);
    std::fs::write(desk.folder.path().join("gone"), "").unwrap();
    running.wait_for_stdout("store an empty value in", SOON);
    running.write("n\n");
    let run = running.wait();
    // The difference is shown before the question.
    let text = run.code(5).stdout_text();
    assert!(text.find("-blue").unwrap() < text.find("store an empty value").unwrap(), "{text}");
    assert_eq!(desk.value(), "blue");
}

#[test]
fn a_person_decides_after_another_change() {
    let script = "test -e once || $KVADM put $KEY other; touch once; echo green > \"$1\"";
    let question = "edit your text again, to write it over revision ";
    let desk = Desk::new("blue");
    let mut running = asked(&desk, &desk.script(script), &[], question);
    running.write("n\n");
    let run = running.wait();
    run.code(5).out_has("+other");
    kept(&desk, &run);
    assert_eq!(desk.value(), "other");
    for (answer, code, value) in [("n\n", 5, "other"), ("y\n", 0, "green")] {
        let desk = Desk::new("blue");
        let mut running = asked(&desk, &desk.script(script), &[], question);
        running.write("y\n");
        running.wait_for_stdout("the text is the same as before; write it over the other change", SOON);
        running.write(answer);
        running.wait().code(code);
        assert_eq!(desk.value(), value);
    }
}

#[test]
fn a_person_can_correct_a_message() {
    let desk = Desk::new(super::proto::made(super::proto::SHOP, "id: 7"));
    let shop = super::proto::shop();
    let editor = desk.script("test -e once && echo '{\"id\": 8}' > \"$1\" || echo '{\"id\": x' > \"$1\"; touch once");
    let args = ["--proto", &shop, "--message", super::proto::SHOP];
    let mut running = asked(&desk, &editor, &args, "edit the text again");
    running.write("y\n");
    running.wait().ok().out_has("not valid JSON: ").out_has("+  \"id\": \"8\"");
    assert_eq!(shared().held(&desk.key).unwrap().value, super::proto::made(super::proto::SHOP, "id: 8"));
}

#[test]
fn a_difference_cannot_steer_the_terminal() {
    let desk = Desk::new("a\u{1b}]0;title\u{7}\n");
    let run = desk.edit("sed -i s/a/b/", &[]).pty().run();
    run.ok().out_has("\u{1b}[32m+b\\x1b]0;title\\x07\u{1b}[0m").out_has("\u{1b}[31m-a").out_lacks("\u{1b}]");
}
