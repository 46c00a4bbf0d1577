//! On a terminal.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::get::{kvadm, put};
use super::support::{Etcd, Kvadm, Run, Running, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);

/// What would set the clipboard, clear the screen, set the title, overwrite the line, ring, and turn a name around.
const HOSTILE: &str = "\u{1b}]52;c;cm0gLXJm\u{7}\u{1b}[2J\u{9b}2J\u{1b}]0;title\u{1b}\\ok\rno\u{8}\u{202e}gpj.exe";

/// No control character but the ends of lines, unless it is a colour of kvadm's own.
#[track_caller]
fn harmless(run: &Run) {
    let text = run.stdout_text().replace("\r\n", "\n");
    let plain =
        text.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "").replace("\u{1b}[36m", "").replace("\u{1b}[1;31m", "");
    let bad = plain.chars().find(|c| (c.is_control() && *c != '\n' && *c != '\t') || *c == '\u{202e}');
    assert_eq!(bad, None, "`{}`: {text:?}", run.shown);
}

#[test]
fn many_records_are_a_table_and_one_is_its_value() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "one");
    put(etcd, format!("{at}b"), "x".repeat(300));
    let list = |args: &[&str]| kvadm(etcd, ["list", &at, "--no-progress"]).args(args).pty().run();
    let run = list(&[]);
    let text = run.ok().stdout_text();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("\u{1b}[1mKEY") && lines[0].contains("MOD REVISION"), "{text}");
    assert!(lines[1].contains(&format!("{at}a")) && lines[1].contains("one") && lines[2].contains("xx…"), "{text}");
    assert!(lines[1..].iter().all(|line| line.chars().count() <= 80), "{text}");
    kvadm(etcd, ["get", &format!("{at}a")]).pty().run().ok().out("one\r\n");
    list(&["-o", "text", "--limit", "1"]).ok().out(&format!("{at}a\tone\r\n"));
    list(&["-o", "json", "--limit", "1"]).ok().out_has("{\"key\":");
}

#[test]
fn no_color_and_a_dumb_terminal_get_none() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "one");
    let list = || kvadm(etcd, ["list", &at, "--no-progress"]).pty();
    list().env("NO_COLOR", "1").run().ok().out_lacks("\x1b").out_has("KEY");
    list().env("NO_COLOR", "").run().ok().out_has("\x1b[1m");
    list().env("TERM", "dumb").run().ok().out_lacks("\x1b");
    list().args(["--color", "never"]).run().ok().out_lacks("\x1b");
    let missing = || kvadm(etcd, ["get", &format!("{at}b")]).pty();
    missing().run().code(1).out_has("\x1b[36mnote:\x1b[0m key not found: ");
    missing().env("NO_COLOR", "1").run().code(1).out_has("note: key not found: ").out_lacks("\x1b");
}

#[test]
fn keys_and_values_cannot_steer_the_terminal() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}value"), HOSTILE);
    put(etcd, format!("{at}{HOSTILE}"), "key");
    put(etcd, format!("{at}binary"), b"\x1b[2J\xff\x9b");
    for format in ["table", "text", "json", "yaml"] {
        let run = kvadm(etcd, ["list", &at, "-o", format, "--no-progress"]).pty().run();
        harmless(run.ok());
    }
    let run = kvadm(etcd, ["get", &format!("{at}value")]).pty().run();
    harmless(run.ok().out_has("\\x1b]52;c;cm0gLXJm\\x07").out_has("ok\\rno\\x08\\xe2\\x80\\xaegpj"));
    let run = kvadm(etcd, ["get", &format!("{at}value"), &format!("{at}{HOSTILE}")]).pty().run();
    harmless(run.ok());
    // In notes, errors and questions too.
    let none = format!("{at}none{HOSTILE}");
    harmless(kvadm(etcd, ["get", &none]).pty().run().code(1).out_has("\\x1b]52"));
    harmless(kvadm(etcd, ["list", "--from", &none, "--to", &at]).pty().run().code(2));
    let mut asked = kvadm(etcd, ["delete", "--prefix", &format!("{at}{HOSTILE}")]).pty().timeout(SOON).spawn();
    asked.wait_for_stdout("[y/N]", SOON);
    asked.write("n\n");
    harmless(asked.wait().code(5));
    // Who asks for the exact bytes gets them.
    kvadm(etcd, ["get", &format!("{at}binary"), "-o", "raw"]).pty().run().ok().out_bytes(b"\x1b[2J\xff\x9b");
}

/// Text is escaped in full on a terminal only: elsewhere the bytes of a key stay what they are. Both decode back.
#[test]
fn invisible_characters_are_escaped_on_a_terminal_and_kept_in_a_pipe() {
    let (etcd, at) = (shared(), unique_prefix());
    for (hidden, escaped) in [
        ("\u{202e}", "\\xe2\\x80\\xae"),
        ("\u{2066}", "\\xe2\\x81\\xa6"),
        ("\u{200b}", "\\xe2\\x80\\x8b"),
        ("\u{2028}", "\\xe2\\x80\\xa8"),
        ("\u{2029}", "\\xe2\\x80\\xa9"),
        ("\u{9b}", "\\xc2\\x9b"),
        ("\u{feff}", "\\xef\\xbb\\xbf"),
    ] {
        let key = format!("{at}{hidden}k");
        put(etcd, &key, format!("v{hidden}"));
        let list = || kvadm(etcd, ["list", &key, "-o", "text", "--no-progress"]);
        let shown = list().pty().run().ok().stdout_text();
        assert_eq!(shown, format!("{at}{escaped}k\tv{escaped}\r\n"));
        kvadm(etcd, ["get", "--escape", &format!("{at}{escaped}k")]).run().ok().out(&format!("v{hidden}\n"));
        let watched = ["watch", &at, "--list", "--until", "list-done", "-o", "text"];
        harmless(kvadm(etcd, watched).pty().run().ok());
    }
    let bidi = format!("{at}\u{202e}k");
    kvadm(etcd, ["list", &bidi, "-o", "text"]).run().ok().out(&format!("{bidi}\tv\u{202e}\n"));
}

#[test]
fn arguments_cannot_steer_the_terminal() {
    let dead = || Kvadm::new().env("KVADM_ENDPOINTS", "127.0.0.1:1");
    for args in [
        &[HOSTILE][..],
        &["get", "/a", &format!("--{HOSTILE}")],
        &["get", "/a", "--op-timeout", HOSTILE],
        &["get", "/a", "--output", HOSTILE],
        &["put", "/a", &format!("--{HOSTILE}")],
        &["del", HOSTILE],
        &["lease", HOSTILE],
        &["get", HOSTILE, "--prefix"],
        &["completions", HOSTILE],
        &["get", "/a", "-c", HOSTILE],
        &["get", "/a", "--context", HOSTILE],
        &["get", "/a", "--endpoints", HOSTILE],
    ] {
        let run = dead().args(args).pty().env("NO_COLOR", "1").run();
        harmless(run.code(2));
        let run = dead().args(args).run();
        let text = run.code(2).out_empty().stderr_text();
        let bad = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(bad, None, "{args:?}: {text:?}");
    }
}

#[test]
fn a_watched_status_redraws_in_place_and_tells_the_time() {
    let etcd = shared();
    let watching = || kvadm(etcd, ["status", "--watch=100ms", "--no-progress"]).timeout(SOON);
    let mut run = watching().pty().spawn();
    let home = "\u{1b}[H";
    eventually("three rounds", SOON, || String::from_utf8_lossy(&run.stdout()).matches(home).count() >= 3);
    run.write([3]);
    let run = run.wait();
    let text = run.signal(Signal::SIGINT).stdout_text();
    let rounds: Vec<&str> = text.split(home).skip(1).collect();
    for round in &rounds[..2] {
        let title = round.lines().next().unwrap();
        // Each line is cleared behind its end, and at last all lines below.
        let (time, health) = title.split_once("  ").unwrap();
        let health = health.strip_suffix("\u{1b}[K").unwrap();
        assert!(round.ends_with("\u{1b}[J"), "{round:?}");
        assert!(time.len() == 20 && time.starts_with("20") && time.ends_with('Z'), "{title}");
        assert_eq!((health, round.matches("ENDPOINT").count()), ("healthy", 1), "{round}");
    }
    assert!(!text.contains("interrupted") && !text.contains("error"), "{text}");
    // A terminal that cannot do so, and a pipe, get one round after the other.
    let dumb = watching().env("TERM", "dumb").pty().spawn();
    eventually("two rounds", SOON, || String::from_utf8_lossy(&dumb.stdout()).matches("ENDPOINT").count() >= 2);
    dumb.signal(Signal::SIGINT);
    dumb.wait().signal(Signal::SIGINT).out_lacks("\u{1b}");
    let mut piped = watching().spawn();
    let (first, second) = (piped.next_line().unwrap(), piped.next_line().unwrap());
    assert!(first.contains("\thealthy\t") && second.contains("\thealthy\t"), "{first} {second}");
    piped.signal(Signal::SIGINT);
    piped.wait().signal(Signal::SIGINT).err_empty();
    let mut json = watching().args(["-o", "json"]).spawn();
    let round: serde_json::Value = serde_json::from_str(&json.next_line().unwrap()).unwrap();
    assert!(round["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{round}");
    json.signal(Signal::SIGTERM);
    json.wait().signal(Signal::SIGTERM).err_empty();
}

#[test]
fn the_end_of_a_watch_by_a_signal_is_no_error() {
    let (etcd, at) = (shared(), unique_prefix());
    for args in [&["watch", &at, "--list"][..], &["watch", &at, "--list", "-o", "json"]] {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let mut run = kvadm(etcd, args).timeout(SOON).spawn();
            assert!(run.next_line().unwrap().contains("list-done"));
            run.signal(signal);
            run.wait().signal(signal).err_empty();
        }
    }
    let mut run = kvadm(etcd, ["watch", &at, "--list"]).pty().timeout(SOON).spawn();
    run.wait_for_stdout("list-done", SOON);
    run.write([3]);
    let text = run.wait().signal(Signal::SIGINT).stdout_text();
    assert!(!text.contains("interrupted") && !text.contains("error"), "{text}");
    // A wait that was to end differently is still told.
    let mut run = kvadm(etcd, ["put", &at, "-"]).timeout(SOON).spawn();
    run.write("half");
    listens(&run);
    run.signal(Signal::SIGINT);
    run.wait().signal(Signal::SIGINT).err_has("interrupted");
}

#[test]
fn a_value_of_several_lines_stays_readable() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "a: 1\n\tb\n");
    kvadm(etcd, ["get", &format!("{at}a")]).pty().run().ok().out("a: 1\r\n\tb\r\n\r\n");
}

/// What a screen of 80 columns shows of it, a line each: carriage returns overwrite, lines are cleared.
fn screen(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let (mut done, mut line, mut column, mut rest) = (Vec::new(), Vec::<char>::new(), 0, text.as_str());
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => {
                done.push(line.drain(..).collect::<String>().trim_end().to_owned());
                column = 0;
            }
            '\r' => column = 0,
            '\u{1b}' => {
                let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                if &rest[..=end] == "[2K" {
                    line.clear();
                }
                rest = &rest[end + 1..];
            }
            c => {
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    done.push(line.into_iter().collect());
    done
}

#[test]
fn a_bar_shows_the_progress_and_never_tears_the_listing() {
    let etcd = Etcd::start();
    let lines: String = (0..9000).map(|n| format!("{{\"key\":\"/p/{n:05}\",\"value\":\"v\"}}\n")).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records");
    std::fs::write(&file, &lines).unwrap();
    let file = file.to_str().unwrap();
    let some = format!("{file}.some");
    std::fs::write(&some, lines.split_inclusive('\n').take(3000).collect::<String>()).unwrap();
    let slowly = || kvadm(&etcd, ["put", "--from", &some, "--qps", "40"]).pty();
    let run = slowly().run();
    // Counts are grouped here, like everywhere on a terminal.
    run.ok().out_has("eta").out_has("\u{1b}[2K").out_has("/3,000 ").out_lacks("3000");
    assert!(!screen(&run.stdout).iter().any(|line| line.contains("eta")), "the bar goes away");
    slowly().args(["--no-progress"]).run().ok().out_lacks("eta");
    slowly().env("TERM", "dumb").run().ok().out_lacks("eta").out_lacks("\u{1b}");
    kvadm(&etcd, ["put", "--from", file]).run().ok();

    let run = kvadm(&etcd, ["list", "/p/", "-o", "text", "--qps", "6"]).pty().run();
    let shown = screen(&run.ok().stdout);
    let expected: Vec<String> = (0..9000).map(|n| format!("/p/{n:05}       v")).collect();
    let shown: Vec<String> =
        shown.into_iter().map(|line| line.replace('\t', "       ")).filter(|line| !line.is_empty()).collect();
    let wrong = shown.iter().zip(&expected).find(|(shown, expected)| shown != expected);
    assert!(wrong.is_none() && shown.len() == 9000, "{wrong:?}, {} lines", shown.len());
}

/// Five keys, and the deletion of their prefix, as far as the question.
fn asked(etcd: &Etcd, at: &str) -> Running {
    for n in 0..5 {
        put(etcd, format!("{at}{n}"), "v");
    }
    let run = kvadm(etcd, ["delete", "--prefix", at]).pty().timeout(SOON).spawn();
    run.wait_for_stdout("[y/N] ", SOON);
    run
}

fn count(etcd: &Etcd, at: &str) -> u64 {
    kvadm(etcd, ["list", at, "--count", "-o", "json"]).run().ok().json()["count"].as_u64().unwrap()
}

#[test]
fn a_deletion_asks_and_takes_no_for_an_answer() {
    let (etcd, at) = (shared(), unique_prefix());
    for answer in ["n\n", "\n", "no\n", "yess\n", "\u{4}"] {
        let mut run = asked(etcd, &at);
        run.write(answer);
        run.wait().code(5).out_has("5 keys").out_has("nothing was changed");
        assert_eq!(count(etcd, &at), 5, "{answer:?}");
    }
    for answer in ["y\n", "YES\n"] {
        let mut run = asked(etcd, &at);
        run.write(answer);
        run.wait().ok();
        assert_eq!(count(etcd, &at), 0, "{answer:?}");
    }
}

#[test]
fn ctrl_c_at_the_question_leaves_everything() {
    let (etcd, at) = (shared(), unique_prefix());
    let mut run = asked(etcd, &at);
    run.write([3]);
    run.wait().signal(Signal::SIGINT).within(Duration::from_secs(5));
    assert_eq!(count(etcd, &at), 5);
}

#[test]
fn several_keys_ask_too_and_one_does_not() {
    let (etcd, at) = (shared(), unique_prefix());
    for n in 0..3 {
        put(etcd, format!("{at}{n}"), "v");
    }
    kvadm(etcd, ["delete", &format!("{at}0")]).pty().timeout(SOON).run().ok().out_lacks("[y/N]");
    let mut run = kvadm(etcd, ["delete", &format!("{at}1"), &format!("{at}2")]).pty().timeout(SOON).spawn();
    run.wait_for_stdout("[y/N]", SOON);
    run.write([3]);
    run.wait().signal(Signal::SIGINT);
    assert_eq!(count(etcd, &at), 2);
    kvadm(etcd, ["delete", &format!("{at}1"), &format!("{at}2"), "--yes"]).pty().run().ok().out_lacks("[y/N]");
    assert_eq!(count(etcd, &at), 0);
}

#[test]
fn where_nobody_can_be_asked_nothing_is_deleted() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "v");
    kvadm(etcd, ["delete", "--prefix", &at])
        .stdin("y\n")
        .run()
        .code(2)
        .out_empty()
        .err_has("--yes")
        .err_has("--dry-run");
    assert_eq!(count(etcd, &at), 1);
}

/// Waits until it is kvadm that runs and it has its handlers: what is typed before goes to nobody.
fn listens(run: &Running) {
    let caught = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim().to_owned();
        Some(status.starts_with("Name:\tkvadm") && u64::from_str_radix(&mask, 16).ok()? & 0b10 != 0)
    };
    eventually("kvadm to listen for signals", SOON, || caught() == Some(true));
}

#[test]
fn ctrl_c_ends_a_wait_for_a_silent_server_at_once() {
    let etcd = Etcd::start();
    put(&etcd, "/a", "v");
    etcd.pause();
    let silent = ["get", "/a", "--dial-timeout", "20s", "--op-timeout", "20s", "-v"];
    let mut run = kvadm(&etcd, silent).pty().timeout(SOON).spawn();
    listens(&run);
    run.write([3]);
    run.wait().signal(Signal::SIGINT).within(Duration::from_secs(3));
    etcd.resume();
}

#[test]
fn ctrl_c_ends_a_wait_for_typed_input() {
    let (etcd, at) = (shared(), unique_prefix());
    for args in [["put", &format!("{at}a"), "-"], ["put", "--from", "-"]] {
        let mut run = kvadm(etcd, args).pty().timeout(SOON).spawn();
        listens(&run);
        run.write([3]);
        run.wait().signal(Signal::SIGINT).within(Duration::from_secs(5));
    }
    assert_eq!(count(etcd, &at), 0);
}

#[test]
fn help_is_coloured_only_where_wanted() {
    Kvadm::new().args(["--help"]).env("NO_COLOR", "1").pty().run().ok().out_lacks("\x1b").out_has("Usage:");
    Kvadm::new().args(["--help"]).run().ok().out_lacks("\x1b").out_has("Usage:");
}
