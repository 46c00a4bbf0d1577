//! How the benchmark runs programs: one that does not do what is measured fails its case.

use std::time::{Duration, Instant};

#[allow(dead_code)]
#[path = "../benches/measure.rs"]
mod measure;

use measure::{Cmd, Running, Until};

fn sh(script: &str, until: Until, codes: &[i32]) -> Cmd {
    Cmd { argv: ["sh", "-c", script].map(str::to_owned).to_vec(), until, codes: codes.to_vec() }
}

fn fault(cmd: &Cmd) -> String {
    let work = tempfile::tempdir().unwrap();
    match measure::run(cmd, work.path()) {
        Ok(_) => String::new(),
        Err(why) => why,
    }
}

#[test]
fn an_exit_code_other_than_the_expected_ones_fails_a_case() {
    assert_eq!(fault(&sh("exit 0", Until::End, &[0])), "");
    assert_eq!(fault(&sh("exit 1", Until::End, &[1])), "");
    let why = fault(&sh("echo no key >&2; exit 1", Until::End, &[0]));
    assert!(why.ends_with(": exit code 1, expected 0: no key"), "{why}");
    let why = fault(&sh("exit 0", Until::End, &[1, 6]));
    assert!(why.contains("exit code 0, expected 1 or 6"), "{why}");
    let why = fault(&sh("kill -9 $$", Until::End, &[0]));
    assert!(why.contains("ended by signal 9, expected 0"), "{why}");
}

#[test]
fn a_program_that_is_stopped_after_its_work_has_done_it() {
    assert_eq!(fault(&sh("echo a; echo b; exec sleep 60", Until::Lines(2), &[0])), "");
    let why = fault(&sh("echo a; exit 3", Until::Lines(2), &[0]));
    assert!(why.contains("exit code 3, expected 0"), "{why}");
}

#[test]
fn a_program_that_must_run_until_another_one_has_ended_must_not_end_before() {
    let other = |script: &str| Until::Ended(["sh", "-c", script].map(str::to_owned).to_vec());
    assert_eq!(fault(&sh("exec sleep 60", other("exit 0"), &[])), "");
    let why = fault(&sh("exit 0", other("sleep 0.2"), &[]));
    assert!(why.contains("exit code 0, did not run until it was stopped"), "{why}");
    let why = fault(&sh("exec sleep 60", other("exit 2"), &[]));
    assert!(why.contains("exit code 2, expected 0"), "{why}");
}

#[test]
fn a_program_is_ended_together_with_what_it_has_started() {
    let work = tempfile::tempdir().unwrap();
    let argv = ["sh", "-c", "sleep 60 & echo $!; wait"].map(str::to_owned);
    let mut running = Running::start(&argv, std::process::Stdio::piped(), work.path()).unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(running.child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    running.stop();
    running.end(Some(Instant::now())).unwrap();
    let stat = format!("/proc/{}/stat", line.trim());
    let deadline = Instant::now() + Duration::from_secs(10);
    let gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    while !gone() {
        assert!(Instant::now() < deadline, "process {} still runs", line.trim());
        std::thread::yield_now();
    }
}
