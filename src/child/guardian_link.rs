//! kvadm's side of the guardian: starts it, sends it each deadline, and replaces one that does not answer.
//!
//! Nothing here blocks the caller: a guardian may be stopped at any time, and kvadm must keep the lease alive and
//! terminate the command in time regardless. At most one deadline is unanswered, so the socket never fills.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::guardian::{DONE, ENDING, KillSchedule, OK, READY, until_line, watch_lines};
use super::process::ProcessGroup;
use super::program::{GRACE, GUARDIAN, own_binary};
use crate::boottime::BootTime;
use crate::kvstore::LeaseState;

/// Time limit for the start of a guardian.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause before a start that failed is tried again.
const START_PAUSE: Duration = Duration::from_secs(1);

/// A guardian process. Dropped, it is killed and reaped, unless kvadm panics: then it terminates the group.
pub(super) struct GuardianProcess {
    process: Child,
    /// Does not block.
    socket: UnixStream,
    answers: Lines<BufReader<tokio::net::UnixStream>>,
}

impl GuardianProcess {
    /// Starts the guardian, in a tokio context. For a running group, `watch` takes effect from its start, even if kvadm is
    /// killed meanwhile.
    pub(super) fn start(watch: Option<(ProcessGroup, KillSchedule)>) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let first = watch.map(|(group, deadline)| watch_lines(group, deadline));
        let process = Command::new(own_binary())
            .arg0(GUARDIAN)
            .args(first.into_iter().flatten())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Self::connected(process, socket)
    }

    fn connected(process: Child, socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let answers = BufReader::new(tokio::net::UnixStream::from_std(socket.try_clone()?)?).lines();
        Ok(Self { process, socket, answers })
    }

    /// Waits until signals to kvadm's process group no longer reach the guardian.
    pub(super) async fn ready(&mut self) -> io::Result<()> {
        self.expect(READY, START_TIMEOUT).await
    }

    /// Whether the guardian has exited, so that another one is needed.
    pub(super) fn has_exited(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    fn send(&mut self, line: &str) -> io::Result<()> {
        self.socket.write_all(format!("{line}\n").as_bytes())
    }

    async fn expect(&mut self, wanted: &str, limit: Duration) -> io::Result<()> {
        match timeout(limit, self.answers.next_line()).await {
            Ok(Ok(Some(answer))) if answer == wanted => Ok(()),
            Ok(Ok(_)) => Err(exited()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(silent()),
        }
    }

    /// Tells the guardian to exit.
    fn dismiss(&mut self) {
        let _ = self.send(DONE);
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Kills and reaps the guardian.
    async fn end(self) {
        let _ = spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for GuardianProcess {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // A guardian that is stopped would act when it continues: by an old deadline, and on a group ID that may be
            // another group's by then.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// What the caller must know about the guardian.
#[derive(Debug)]
pub(super) enum GuardianEvent {
    /// It has begun to terminate the group.
    Ending,
    /// It exited or does not respond, and is being replaced.
    Failed(io::Error),
}

/// The guardian of a running group.
pub(super) struct GuardianLink {
    watched: Watched,
    guardian: Option<GuardianProcess>,
    /// The lease's end that the guardian was sent last.
    sent: BootTime,
    /// When the guardian must have acknowledged it, unless it has.
    acknowledge_by: Option<Instant>,
    /// The start of another guardian, and the lease's end that it has acknowledged.
    starting: Option<JoinHandle<io::Result<(GuardianProcess, BootTime)>>>,
    /// Whether a guardian has begun to terminate the group.
    ending: bool,
}

/// What a guardian watches over.
#[derive(Clone)]
struct Watched {
    group: ProcessGroup,
    lease: watch::Receiver<LeaseState>,
    margin: Duration,
    /// Cancelled when no guardian is needed any more.
    done: CancellationToken,
}

impl GuardianLink {
    /// Puts a group under a guardian's watch. If the guardian does not respond, another one is started.
    ///
    /// # Errors
    /// No guardian responds.
    pub(super) async fn watch(
        mut guardian: GuardianProcess,
        group: ProcessGroup,
        lease: watch::Receiver<LeaseState>,
        margin: Duration,
    ) -> io::Result<Self> {
        let mut watched = Watched { group, lease, margin, done: CancellationToken::new() };
        let (until, schedule) = watched.schedule();
        let sent = guardian.send(&watch_lines(group, schedule).join("\n"));
        let watching = match sent {
            Ok(()) => guardian.expect(OK, watched.limit()).await,
            Err(error) => Err(error),
        };
        let (guardian, sent) = match watching {
            Ok(()) => (guardian, until),
            Err(_) => watched.clone().replace(guardian).await?,
        };
        Ok(Self { watched, guardian: Some(guardian), sent, acknowledge_by: None, starting: None, ending: false })
    }

    /// Keeps the group guarded until something happens that the caller must know. Cancellation loses nothing.
    pub(super) async fn next_event(&mut self) -> GuardianEvent {
        loop {
            let step = match &mut self.starting {
                Some(starting) => {
                    let started = starting.await.map_err(io::Error::other).and_then(|started| started);
                    self.starting = None;
                    started.map(|(guardian, sent)| (self.guardian, self.sent) = (Some(guardian), sent))
                }
                None => self.exchange().await,
            };
            if self.ending {
                return GuardianEvent::Ending;
            }
            if let Err(error) = step {
                self.acknowledge_by = None;
                let (watched, former) = (self.watched.clone(), self.guardian.take());
                self.starting = Some(tokio::spawn(async move {
                    match former {
                        Some(former) => watched.replace(former).await,
                        None => watched.start_after_pause().await,
                    }
                }));
                return GuardianEvent::Failed(error);
            }
        }
    }

    /// Sends the deadline if it has moved, and handles one answer.
    async fn exchange(&mut self) -> io::Result<()> {
        let Some(guardian) = self.guardian.as_mut().filter(|_| !self.ending) else {
            return std::future::pending().await;
        };
        let (until, schedule) = self.watched.schedule();
        if self.acknowledge_by.is_none() && until != self.sent {
            guardian.send(&until_line(schedule))?;
            self.sent = until;
            self.acknowledge_by = Some(Instant::now() + self.watched.limit());
        }
        let limit = self.acknowledge_by.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            answer = guardian.answers.next_line() => match answer?.as_deref() {
                Some(OK) => self.acknowledge_by = None,
                Some(ENDING) => self.ending = true,
                _ => return Err(exited()),
            },
            () = sleep_until(limit), if self.acknowledge_by.is_some() => return Err(silent()),
            Ok(()) = self.watched.lease.changed() => {}
        }
        Ok(())
    }

    /// Tells the guardian to exit.
    pub(super) fn dismiss(&mut self) {
        self.watched.done.cancel();
        if let Some(guardian) = &mut self.guardian {
            guardian.dismiss();
        }
    }

    /// Ends the guardian, after which the group ID may be reused. `true` if it has begun to terminate the group.
    pub(super) async fn done(mut self) -> bool {
        self.dismiss();
        if let Some(starting) = self.starting.take() {
            // It ends soon, because no guardian is needed any more.
            self.guardian = starting.await.ok().and_then(Result::ok).map(|(guardian, _)| guardian);
        }
        let Some(mut guardian) = self.guardian.take() else { return self.ending };
        // It closes its socket when it exits.
        let _ = timeout(GRACE, async {
            while let Ok(Some(answer)) = guardian.answers.next_line().await {
                self.ending |= answer == ENDING;
            }
        })
        .await;
        guardian.end().await;
        self.ending
    }
}

impl Watched {
    /// The lease's end, and the guardian's schedule for it.
    fn schedule(&mut self) -> (BootTime, KillSchedule) {
        // The value is copied: while it is borrowed, the keep-alive cannot move it.
        let until = self.lease.borrow_and_update().until;
        (until, KillSchedule::before(until, self.margin))
    }

    /// Time limit for the acknowledgement of a deadline.
    fn limit(&self) -> Duration {
        self.margin / 4
    }

    /// Kills and reaps the guardian, and then starts another one.
    async fn replace(mut self, former: GuardianProcess) -> io::Result<(GuardianProcess, BootTime)> {
        former.end().await;
        self.start().await
    }

    async fn start_after_pause(mut self) -> io::Result<(GuardianProcess, BootTime)> {
        tokio::select! {
            () = sleep(START_PAUSE) => self.start().await,
            () = self.done.clone().cancelled_owned() => Err(exited()),
        }
    }

    async fn start(&mut self) -> io::Result<(GuardianProcess, BootTime)> {
        let (until, schedule) = self.schedule();
        let watch = Some((self.group, schedule));
        let mut guardian = spawn_blocking(move || GuardianProcess::start(watch)).await.map_err(io::Error::other)??;
        let started = async {
            guardian.ready().await?;
            guardian.expect(OK, START_TIMEOUT).await
        };
        let started = tokio::select! {
            started = started => started,
            // It may have begun to terminate the group already, so its answers are still read.
            () = self.done.cancelled() => Ok(()),
        };
        match started {
            Ok(()) => Ok((guardian, until)),
            Err(error) => {
                guardian.end().await;
                Err(error)
            }
        }
    }
}

fn exited() -> io::Error {
    io::Error::other("the guardian process exited")
}

fn silent() -> io::Error {
    io::Error::other("the guardian process does not respond")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use nix::unistd::Pid;

    use super::*;

    /// A process that never answers, with a socket that has no room.
    fn deaf_guardian() -> (GuardianProcess, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        while (&ours).write(&[b'\n'; 4096]).is_ok() {}
        let process = Command::new("sleep").arg("60").spawn().unwrap();
        (GuardianProcess::connected(process, ours).unwrap(), theirs)
    }

    fn lease() -> watch::Sender<LeaseState> {
        watch::Sender::new(LeaseState { until: BootTime::now(), lost: None, last_error: None })
    }

    fn link(guardian: Option<GuardianProcess>, lease: &watch::Sender<LeaseState>) -> GuardianLink {
        let (group, margin) = (ProcessGroup(Pid::from_raw(i32::MAX)), Duration::from_secs(60));
        let watched = Watched { group, lease: lease.subscribe(), margin, done: CancellationToken::new() };
        let sent = lease.borrow().until;
        GuardianLink { watched, guardian, sent, acknowledge_by: None, starting: None, ending: false }
    }

    #[tokio::test]
    async fn a_full_socket_is_a_failure_at_once_and_the_lease_can_still_be_renewed() {
        let (guardian, _theirs) = deaf_guardian();
        let id = guardian.process.id();
        let lease = lease();
        let mut link = link(Some(guardian), &lease);
        for _ in 0..2 {
            lease.send_modify(|state| state.until = state.until + Duration::from_secs(60));
            // The second failure is that of the test program, which takes the place of the guardian.
            let event = timeout(Duration::from_secs(5), link.next_event()).await;
            assert!(matches!(event, Ok(GuardianEvent::Failed(_))), "{event:?}");
        }
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists(), "killed and reaped before another one starts");
        assert!(!timeout(Duration::from_secs(5), link.done()).await.unwrap());
    }

    /// kvadm was stopped while another guardian started, and that one has acted.
    #[tokio::test]
    async fn a_guardian_that_acted_during_its_start_is_heard() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let process = Command::new("sleep").arg("60").spawn().unwrap();
        let guardian = GuardianProcess::connected(process, ours).unwrap();
        theirs.write_all(format!("{READY}\n{OK}\n{ENDING}\n").as_bytes()).unwrap();
        drop(theirs);
        let mut link = link(None, &lease());
        link.starting = Some(tokio::spawn(async move { Ok((guardian, BootTime::now())) }));
        assert!(timeout(Duration::from_secs(5), link.done()).await.unwrap());
    }

    #[tokio::test]
    async fn a_guardian_that_takes_no_deadline_is_given_up_in_time() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let process = Command::new("sleep").arg("60").spawn().unwrap();
        let mut guardian = GuardianProcess::connected(process, ours).unwrap();
        let waited = Instant::now();
        assert!(guardian.expect(OK, Duration::from_millis(50)).await.is_err());
        assert!(waited.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_guardian_that_runs_is_not_taken_for_one_that_has_exited() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let process = Command::new("sleep").arg("60").spawn().unwrap();
        let mut guardian = GuardianProcess::connected(process, ours).unwrap();
        assert!(!guardian.has_exited());
        guardian.process.kill().unwrap();
        guardian.process.wait().unwrap();
        assert!(guardian.has_exited());
    }
}
