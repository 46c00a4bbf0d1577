//! Cases that are more than one process: watchers of live writes, and locks that go from hand to hand.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::cases::Place;
use crate::measure::{self, Cmd, Cost, Running};

/// How many processes queue for a lock; in the back-to-back case so many workers take it [`TURNS`] times each.
const QUEUE: i64 = 20;
const WORKERS: usize = 4;
const TURNS: usize = 8;
const LIMIT: Duration = Duration::from_secs(60);

/// A watcher while `events` keys are put; with the cost, how long after the end of the writing the last one was told, ms.
/// The wall time is that from the first put on.
pub fn live(watcher: &Cmd, place: &Place<'_>, events: u64) -> Result<(Cost, f64), String> {
    let mut running = Running::start(&watcher.argv, Stdio::piped(), place.work)?;
    let output = running.child.stdout.take().ok_or("no output")?;
    let (sender, receiver) = std::sync::mpsc::channel();
    // The pipe stays open until the watcher has been stopped: what it prints after the last event must not end it.
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::with_capacity(1 << 16, output).split(b'\n');
        let mut seen = 0;
        for line in lines.by_ref() {
            let Ok(line) = line else { break };
            let has = |what: &[u8]| line.windows(what.len().min(line.len()).max(1)).take(64).any(|part| part == what);
            match () {
                () if has(b"/live/probe") => drop(sender.send(Instant::now())),
                () if has(b"/live/~end") => {
                    let _ = sender.send(Instant::now());
                    break;
                }
                () => seen += u64::from(has(b"/live/e")),
            }
        }
        (seen, lines)
    });
    // It watches once it tells of a put; until then it may not have got so far.
    let start = Instant::now();
    loop {
        measure::run(&place.client("put", &["/live/probe"]), place.work)?;
        if receiver.recv_timeout(Duration::from_millis(50)).is_ok() {
            break;
        }
        if start.elapsed() > LIMIT {
            running.stop();
            return running.end(None).map(|cost| (cost, 0.0));
        }
    }
    let writing = Instant::now();
    let done = measure::run(&place.client("puts", &["/live/e/", &events.to_string()]), place.work).and_then(|_| {
        measure::run(&place.client("put", &["/live/~end"]), place.work)?;
        let written = Instant::now();
        // Probes that were told late come first.
        let mut last = written;
        while !reader.is_finished() && written.elapsed() < LIMIT {
            last = receiver.recv_timeout(Duration::from_millis(20)).unwrap_or(last);
        }
        let last = receiver.try_iter().last().unwrap_or(last);
        Ok((last, last.saturating_duration_since(written)))
    });
    running.stop();
    let (seen, _open) = reader.join().map_err(|_| "the reader of the events panicked")?;
    let mut cost = running.end(done.as_ref().ok().map(|(last, _)| *last))?;
    let (last, behind) = done?;
    if seen != events {
        return Err(format!("{}: told {seen} of {events} events", watcher.argv.join(" ")));
    }
    cost.wall = (last - writing).as_secs_f64();
    Ok((cost, behind.as_secs_f64() * 1e3))
}

/// The gaps between one holder's command and the next one's, ms, sorted.
pub fn handoff(lock: &Cmd, place: &Place<'_>, queued: bool) -> Result<Vec<f64>, String> {
    let (stamps, gate) = (place.work.join("stamps"), place.work.join("gate"));
    for file in [&stamps, &gate] {
        let _ = std::fs::remove_file(file);
    }
    let name = lock.argv.iter().find(|word| word.starts_with("/bench/")).ok_or("no lock is named")?;
    let word = |path: &PathBuf| path.to_string_lossy().into_owned();
    let hold = if queued { "0" } else { "20" };
    let job = [place.own.clone(), "client".into(), "stamp".into(), word(&stamps), word(&gate), hold.into()];
    let argv = [lock.argv.as_slice(), &job].concat();
    if queued {
        let holders: Result<Vec<_>, _> = (0..QUEUE).map(|_| Running::start(&argv, Stdio::null(), place.work)).collect();
        let holders = holders?;
        let queue = place.client("await", &[&format!("{name}/"), &QUEUE.to_string()]);
        let all = measure::run(&queue, place.work).is_ok();
        measure::touch(&gate)?;
        let ended: Result<Vec<_>, _> = holders.into_iter().map(|holder| holder.end(None)).collect();
        ended?;
        if !all {
            return Err("the queue was never full".to_owned());
        }
    } else {
        measure::touch(&gate)?;
        let worker =
            || (0..TURNS).try_for_each(|_| Running::start(&argv, Stdio::null(), place.work)?.end(None).map(drop));
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Err("a worker died".to_owned())))
        })?;
    }
    gaps(&std::fs::read_to_string(&stamps).map_err(|e| e.to_string())?)
}

/// The gaps that the floor prints, ms.
pub fn printed_gaps(floor: &Cmd) -> Result<Vec<f64>, String> {
    let output =
        std::process::Command::new(&floor.argv[0]).args(&floor.argv[1..]).output().map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(format!("{}: {}", floor.argv.join(" "), String::from_utf8_lossy(&output.stderr).trim()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| line.parse().map_err(|_| format!("{line}: not a time"))).collect()
}

fn gaps(stamps: &str) -> Result<Vec<f64>, String> {
    let parse = |line: &str| {
        let (start, end) = line.split_once(' ')?;
        Some((start.parse::<u64>().ok()?, end.parse::<u64>().ok()?))
    };
    let mut held: Vec<(u64, u64)> =
        stamps.lines().map(|line| parse(line).ok_or("a broken stamp")).collect::<Result<_, _>>()?;
    held.sort_unstable();
    let gap = |pair: &[(u64, u64)]| match pair {
        [(_, end), (start, _)] if start < end => Err("two held the lock at once".to_owned()),
        [(_, end), (start, _)] => Ok((start - end) as f64 / 1e6),
        _ => Err("no pair".to_owned()),
    };
    let mut gaps: Vec<f64> = held.windows(2).map(gap).collect::<Result<_, _>>()?;
    gaps.sort_by(f64::total_cmp);
    Ok(gaps)
}
