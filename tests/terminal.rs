//! What a stranger meets on a terminal and in JSON: one text for one key, the place of questions, and words that are true.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use super::get::{kvadm, put};
use super::support::{Etcd, Kvadm, Run, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);

/// The words of a terminal's lines, without colours.
fn words(run: &Run) -> Vec<String> {
    let text = run.stdout_text().replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn one_text_is_one_key_wherever_it_is_shown() {
    let (etcd, at) = (shared(), unique_prefix());
    // A backslash and letters; the byte that these letters would be; one that hides; one that is no text.
    let keys: [&[u8]; 4] = [b"a\\x1bb", b"a\x1bb", "a\u{202e}b".as_bytes(), b"a\xffb"];
    let names = ["a\\\\x1bb", "a\\x1bb", "a\\xe2\\x80\\xaeb", "a\\xffb"];
    for (index, name) in names.iter().enumerate() {
        kvadm(etcd, ["put", "--escape", &format!("{at}{name}"), &format!("v{index}")]).run().ok();
    }
    for (name, bytes) in names.iter().zip(keys) {
        assert!(shared().held([at.as_bytes(), bytes].concat()).is_some(), "{name}");
    }
    let pty = |args: &[&str]| kvadm(etcd, args).args(["--no-progress", "--color", "never"]).pty_of(160).run();
    for args in [
        vec!["list", at.as_str()],
        vec!["list", &at, "--keys-only"],
        vec!["list", &at, "-o", "text"],
        vec!["list", &at, "--tree"],
        vec!["watch", &at, "--list", "--until", "list-done"],
        vec!["delete", "--prefix", &at, "--dry-run"],
        vec!["diff", &at, "--source", "file:/dev/null", "--allow-empty"],
    ] {
        let run = pty(&args);
        let words = words(&run);
        for name in names {
            let whole = format!("{at}{name}");
            let shown = words.iter().any(|word| *word == whole || word == name || word.ends_with(&format!("─{name}")));
            assert!(shown, "{args:?} does not show {name}: {words:?}");
        }
    }
    // What is shown is what --escape reads.
    for (index, name) in names.iter().enumerate() {
        kvadm(etcd, ["get", "--escape", &format!("{at}{name}")]).run().ok().out(&format!("v{index}\n"));
    }
    // A sentence too, also one of a refused condition.
    let missing = kvadm(etcd, ["get", &format!("{at}c\\x1b")]).pty_of(160).run();
    missing.code(1).out_has(&format!("key not found: {at}c\\\\x1b"));
}

#[test]
fn values_in_cells_are_escaped_alike() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "C:\\temp");
    put(etcd, format!("{at}b"), "C:\temp");
    let list = kvadm(etcd, ["list", &at, "--no-progress", "--color", "never"]).pty_of(160).run();
    list.ok().out_has("C:\\\\temp").out_has("C:\\temp");
    // A value alone is shown as it is.
    kvadm(etcd, ["get", &format!("{at}a")]).pty().run().ok().out("C:\\temp\r\n");
}

#[test]
fn no_key_is_cut_inside_an_escape() {
    let (etcd, at) = (shared(), unique_prefix());
    for n in 0..20 {
        let key = format!("{at}{n:02}{}\\x01\\x02\\x03\\x04\\x05\\x06", "k".repeat(n));
        kvadm(etcd, ["put", "--escape", &key, "v"]).run().ok();
    }
    let run = kvadm(etcd, ["list", &at, "--keys-only", "--no-progress", "--color", "never"]).pty_of(40).run();
    let text = run.ok().stdout_text();
    assert!(text.contains('…'), "{text}");
    for line in text.lines().filter(|line| line.contains('…')) {
        for part in line.trim().split('…') {
            let whole = part.replace("\\x01", "").replace("\\x02", "").replace("\\x03", "").replace("\\x04", "");
            let whole = whole.replace("\\x05", "").replace("\\x06", "");
            assert!(!whole.contains('\\') && !whole.starts_with('x'), "{line}");
        }
        assert!(!line.contains("…0") && !line.contains("…x0"), "{line}");
    }
}

#[test]
fn quiet_json_keeps_its_summaries() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "1");
    let run = kvadm(etcd, ["list", &at, "--since-rev", "1", "-q", "-o", "json"]).run();
    assert!(run.ok().err_json()["revision"].as_i64().unwrap() > 1, "{run:?}");
    kvadm(etcd, ["list", &at, "--since-rev", "1", "-q"]).run().ok().err_empty();
    let run = kvadm(etcd, ["list", &at, "--serializable", "-q", "-o", "json"]).run();
    assert!(run.ok().err_json()["endpoint"].is_string(), "{run:?}");
    let record = format!("{{\"key\":\"{at}a\",\"value\":\"1\"}}\n");
    let diff = || kvadm(etcd, ["diff", &at, "--source", "-", "-q"]).stdin(&record);
    assert_eq!(diff().args(["-o", "json"]).run().ok().err_json()["unchanged"], 1);
    diff().run().ok().err_empty();
}

#[test]
fn the_source_of_a_diff_is_named_as_it_was_given() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "1");
    let held = shared().held(format!("{at}a")).unwrap().modified;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.jsonl");
    std::fs::write(&file, format!("{{\"key\":\"{at}a\",\"value\":\"1\"}}\n")).unwrap();
    let file = format!("file:{}", file.display());
    for source in [format!("rev:{held}"), file, "context:old".to_owned(), format!("context:old@{held}")] {
        let run = kvadm(etcd, ["diff", &at, "-o", "json", "--source", &source, "--allow-empty"])
            .config_file("old.yaml", format!("endpoints: [\"{}\"]\nnamespace: /other\n", shared().endpoint()))
            .run();
        let summary = run.stderr_text().lines().last().map(str::to_owned).unwrap_or_default();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap_or_default();
        assert_eq!(summary["source"], json!(source), "{run:?}");
    }
}

#[test]
fn a_one_shot_command_ended_by_a_signal_prints_the_error_object() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "1");
    put(etcd, format!("{at}b"), "1");
    let mut run = kvadm(etcd, ["delete", "--prefix", &at, "-o", "json"]).pty().timeout(SOON).spawn();
    run.wait_for_stdout("[y/N] ", SOON);
    run.write([3]);
    let run = run.wait();
    let text = run.signal(Signal::SIGINT).stdout_text();
    let last = text.lines().last().unwrap_or_default();
    let error: serde_json::Value = serde_json::from_str(last).unwrap_or_default();
    assert_eq!((&error["exit_code"], error["error"].is_string()), (&json!(130), true), "{text}");
    assert!(shared().held(format!("{at}a")).is_some());

    let run = kvadm(etcd, ["status", "--forecast", "60s", "-o", "json"]).timeout(SOON).spawn();
    run.wait_for_stderr("taking the second sample", SOON);
    run.signal(Signal::SIGTERM);
    let run = run.wait();
    let text = run.signal(Signal::SIGTERM).stderr_text();
    let error: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_default();
    assert_eq!(error["exit_code"], 143, "{text}");
}

#[test]
fn the_end_of_the_input_at_a_question_ends_its_line() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "1");
    let mut run = kvadm(etcd, ["delete", "--prefix", &at, "--color", "never"]).pty().timeout(SOON).spawn();
    run.wait_for_stdout("[y/N] ", SOON);
    run.write([4]);
    let text = run.wait().code(5).stdout_text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.iter().any(|line| line.trim().ends_with("error: not confirmed; nothing was changed")), "{text:?}");
    assert!(lines.iter().any(|line| line.contains("[y/N]") && !line.contains("error")), "{text:?}");
}

#[test]
fn a_redrawn_line_leaves_room_for_what_is_typed() {
    let (etcd, at) = (shared(), unique_prefix());
    let name = format!("{at}l");
    let holder = kvadm(etcd, ["lock", &name, "--", "cat"]).spawn();
    let listed = || kvadm(etcd, ["lock", "--list", &name, "-o", "json"]).run().ok().json_lines();
    eventually("the holder", SOON, || listed().len() == 1);
    for columns in [30, 80] {
        let mut run = kvadm(etcd, ["lock", &name, "--", "true"]).pty_of(columns).timeout(SOON).spawn();
        run.wait_for_stdout("waiting 1s for", SOON);
        run.write([3]);
        let run = run.wait();
        let text = run.signal(Signal::SIGINT).stdout_text();
        for frame in text.replace("\u{1b}[2K", "").replace("\u{1b}[K", "").replace("^C", "").split(['\r', '\n']) {
            assert!(frame.chars().count() <= usize::from(columns) - 3, "{frame:?} in {text:?}");
        }
        assert!(text.contains("waiting 1s") && !text.contains("    "), "no padding: {text:?}");
    }
    holder.signal(Signal::SIGTERM);
    holder.wait().code(143);
    let mut run = kvadm(etcd, ["status", "--forecast", "60s", "--color", "never"]).pty().timeout(SOON).spawn();
    run.wait_for_stdout("sampling", SOON);
    run.wait_for_stdout(" 1s", SOON);
    run.write([3]);
    run.wait().signal(Signal::SIGINT).out_lacks(" 0 1s").out_lacks("     ");
}

#[test]
fn an_event_with_its_time_and_the_value_before_fits() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}m");
    put(etcd, &key, "a".repeat(60));
    let revision = shared().held(&key).unwrap().modified.to_string();
    put(etcd, &key, "b".repeat(60));
    let watch = ["watch", &key, "--rev", &revision, "--count", "2", "--prev", "--timestamps", "--color", "never"];
    let text = kvadm(etcd, watch).pty().run().ok().stdout_text();
    assert!(text.contains("(was aa") && text.contains("bb"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn usage_errors_have_no_colours_if_none_are_wanted() {
    for args in [
        &["--color", "never", "list", "--bad"][..],
        &["list", "--bad", "--color=never"],
        &["list", "--bad", "--color", "never"],
        &["nonsense", "--color=never"],
        &["list", "--color=never", "-h"],
    ] {
        Kvadm::new().args(args).pty().run().out_lacks("\u{1b}");
    }
    Kvadm::new().args(["list", "--bad"]).pty().run().code(2).out_has("\u{1b}");
    Kvadm::new().args(["list", "--bad", "--color", "always"]).run().code(2).err_has("\u{1b}");
}

#[test]
fn an_edit_without_a_terminal_needs_an_editor() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}a");
    put(etcd, &key, "1");
    let run = kvadm(etcd, ["edit", &key]).timeout(SOON).run();
    run.code(2).out_empty().err_has("error: vi needs a terminal").err_has("hint: set EDITOR");
    kvadm(etcd, ["edit", &key]).env("EDITOR", "true").run().ok();
}

#[test]
fn a_deletion_that_finds_nothing_says_what_was_meant() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}app/a"), "1");
    for pattern in [format!("{at}app/*"), format!("{at}app/")] {
        for more in [&[][..], &["--dry-run"]] {
            let run = kvadm(etcd, ["delete", &pattern]).args(more).pty_of(160).run();
            run.code(1).out_has(&format!("delete --prefix {at}app/'"));
        }
    }
    let run = Kvadm::new().args(["delete", "--all"]).run();
    run.code(2).err_has("tip: to delete all keys: kvadm delete --all --prefix ''");
}

#[test]
fn limits_are_numbers_from_1_on() {
    for verb in [&["list", "/"][..], &["diff", "/", "--source", "rev:1"]] {
        for limit in ["-5", "0", "many"] {
            let run = Kvadm::new().args(verb).args(["--limit", limit]).run();
            run.code(2).err_has("must be a number from 1 on").err_lacks("-- -5");
        }
    }
    Kvadm::new().args(["list", "/", "--depth", "-5"]).run().code(2).err_lacks("-- -5");
}

#[test]
fn usage_lines_are_those_of_the_verb() {
    let run = Kvadm::new().args(["get", "--regex", "x"]).run();
    let text = run.code(2).stderr_text();
    assert!(!text.contains("Usage:") || text.contains("Usage: kvadm get [OPTIONS] "), "{text}");
    Kvadm::new().args(["delete", "--if-rev", "3"]).run().code(2).err_has("Usage: kvadm delete [OPTIONS] [KEY]...");
    let run = Kvadm::new().args(["delete", "--if-rev", "3", "-o", "json"]).run();
    let error = run.code(2).err_json();
    assert!(!error["hints"].to_string().contains("Usage"), "{error}");
}

#[test]
fn a_tree_of_everything_keeps_its_root() {
    let etcd = Etcd::start();
    put(&etcd, "/app/a", "1");
    put(&etcd, "/b", "1");
    let run = kvadm(&etcd, ["list", "/", "--tree", "--no-progress", "--color", "never"]).pty().run();
    let text = run.ok().stdout_text();
    assert!(text.contains("/app/") && text.contains("─ a") && text.contains("/b"), "{text}");
    kvadm(&etcd, ["list", "/", "--tree"]).run().ok().out("/app/\n  a\n/b\n");
}
