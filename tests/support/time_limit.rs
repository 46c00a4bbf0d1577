//! No test runs for ever: one that takes longer than its limit ends the whole run, which then says its name and seed.
//!
//! A test is known from its first use of [`Kvadm`](super::Kvadm) or [`Etcd`](super::Etcd) until its thread ends. Each program
//! that it starts has a limit of its own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::process::{children, pid};

/// Several times what the slowest test takes on two busy cores; in seconds, `KVADM_TEST_TIME_LIMIT` sets another one.
const LIMIT: Duration = Duration::from_secs(300);

struct RunningTest {
    name: String,
    end: Instant,
    seed: Option<String>,
}

static TESTS: LazyLock<Mutex<HashMap<ThreadId, RunningTest>>> = LazyLock::new(|| {
    std::thread::spawn(watch);
    Mutex::default()
});

/// Forgets the test when its thread ends.
struct Registration(ThreadId);

impl Drop for Registration {
    fn drop(&mut self) {
        TESTS.lock().unwrap().remove(&self.0);
    }
}

thread_local! {
    static REGISTERED: RefCell<Option<Registration>> = const { RefCell::new(None) };
}

fn limit() -> Duration {
    std::env::var("KVADM_TEST_TIME_LIMIT").map_or(LIMIT, |text| Duration::from_secs(text.parse().expect("seconds")))
}

/// Changes what is known of the test that runs on this thread. The threads of libtest have the test's name; on other
/// threads, and on the main thread with `--test-threads=1`, nothing happens.
fn with_test(change: impl FnOnce(&mut RunningTest)) {
    let thread = std::thread::current();
    let Some(name) = thread.name().filter(|name| name.contains("::")) else { return };
    let mut tests = TESTS.lock().unwrap();
    let new = || RunningTest { name: name.to_owned(), end: Instant::now() + limit(), seed: None };
    change(tests.entry(thread.id()).or_insert_with(new));
    REGISTERED.with(|registered| {
        registered.borrow_mut().get_or_insert_with(|| Registration(thread.id()));
    });
}

/// Starts the time of this test, if it has not started yet.
pub fn start() {
    with_test(|_| {});
}

/// Gives this test so much time from now on.
pub fn extend(time: Duration) {
    with_test(|test| test.end = Instant::now() + time);
}

/// A seed from the environment, or another one each time. It is printed, and named if the test takes too long.
pub fn seed(variable: &str) -> u64 {
    let given = std::env::var(variable).ok().map(|text| text.parse().expect("a number"));
    let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    let seed = given.unwrap_or_else(|| u64::try_from(clock()).unwrap());
    eprintln!("{variable}={seed}");
    with_test(|test| test.seed = Some(format!("{variable}={seed}")));
    seed
}

fn watch() {
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let tests = TESTS.lock().unwrap();
        let now = Instant::now();
        let Some(late) = tests.values().find(|test| now > test.end) else { continue };
        let seed = late.seed.as_ref().map_or(String::new(), |seed| format!("; to run it again: {seed}"));
        let text = format!("\ntest {} took too long, and the run was ended{seed}\n", late.name);
        // Not `eprintln!`, which libtest may capture.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        for child in children(std::process::id()) {
            let _ = kill(pid(child), Signal::SIGKILL);
        }
        #[expect(clippy::exit, reason = "the test does not end by itself")]
        std::process::exit(101);
    }
}
