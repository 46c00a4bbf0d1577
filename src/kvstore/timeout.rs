//! Timeouts of requests, fixed or extended while the member responds.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::duration::from_now;

/// A responsive member gets at most this many operation timeouts: enough for etcd to count 10^8 keys, yet bounded for a
/// member that answers but makes no progress, e.g. with a hanging disk.
const MAX_EXTENSIONS: u32 = 10;

/// The timeout of one attempt of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// The operation timeout.
    Operation,
    /// This duration.
    Fixed(Duration),
    /// The operation timeout, extended while the member answers health checks: for reads whose cost grows with the store.
    /// In etcd <= 3.6 the first page of a range takes as long as counting the range (seconds for ten million keys), and
    /// a retry would only count again.
    WhileResponsive,
}

/// A timer that fires this part of the limit too late shows that kvadm itself did not run, because it was stopped or the
/// machine was suspended. The answer may have arrived meanwhile without having been read.
const LATE: f64 = 0.25;
/// Stops of kvadm itself that one wait allows for. On a machine that is always late, a wait must end too.
const MAX_STOPS: u32 = 2;

/// Waits for `answer`. After half of `limit`, runs the health check `probe`; if it succeeds before `limit` ends, the
/// limit starts anew. It starts anew too, in addition but not often, if kvadm itself did not run. Returns the time waited if no answer
/// comes.
pub(crate) async fn while_responsive<T, L>(
    limit: Duration,
    answer: impl Future<Output = T>,
    mut probe: impl FnMut() -> L,
) -> Result<T, Duration>
where
    L: Future<Output = bool>,
{
    let mut answer = pin!(answer);
    let longest = limit.saturating_mul(MAX_EXTENSIONS);
    let mut end = from_now(longest);
    let mut stops_left = MAX_STOPS;
    // How much later than at this time the timer has fired, if that is much.
    let mut late = |due: Instant| {
        let late = Instant::now().saturating_duration_since(due);
        let is_stop = late >= limit.mul_f64(LATE) && stops_left > 0;
        stops_left = stops_left.saturating_sub(is_stop.into());
        is_stop.then_some(late)
    };
    loop {
        let (half, due) = (from_now(limit.mul_f64(0.5)), from_now(limit));
        if let Ok(answer) = timeout_at(half, &mut answer).await {
            return Ok(answer);
        }
        if let Some(late) = late(half) {
            end = end.checked_add(late).unwrap_or(end);
            continue;
        }
        let responsive = tokio::select! {
            biased;
            answer = &mut answer => return Ok(answer),
            responsive = timeout_at(due, probe()) => responsive.unwrap_or(false),
        };
        if !responsive {
            if let Ok(answer) = timeout_at(due, &mut answer).await {
                return Ok(answer);
            }
            match late(due) {
                Some(late) => {
                    end = end.checked_add(late).unwrap_or(end);
                    continue;
                }
                None => return Err(limit),
            }
        }
        if Instant::now() >= end {
            return Err(longest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::task::yield_now;
    use tokio::time::{advance, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    async fn answer(after: Duration) -> &'static str {
        sleep(after).await;
        "answer"
    }

    #[tokio::test(start_paused = true)]
    async fn a_responsive_member_gets_more_time() {
        let started = Instant::now();
        let got = while_responsive(LIMIT, answer(Duration::from_secs(20)), || ready(true)).await;
        assert_eq!((got, started.elapsed().as_secs()), (Ok("answer"), 20));
        let slowly = || async {
            sleep(LIMIT / 3).await;
            true
        };
        assert_eq!(while_responsive(LIMIT, answer(Duration::from_secs(20)), slowly).await, Ok("answer"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_member_gets_one_timeout() {
        let started = Instant::now();
        assert_eq!(while_responsive(LIMIT, pending::<()>(), pending).await, Err(LIMIT));
        assert_eq!(started.elapsed(), LIMIT);
        // After a failed health check the answer may still come in time.
        assert_eq!(while_responsive(LIMIT, answer(LIMIT * 9 / 10), || ready(false)).await, Ok("answer"));
        assert_eq!(while_responsive(LIMIT, answer(LIMIT * 2), || ready(false)).await, Err(LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_responsive_member_without_progress_times_out() {
        let started = Instant::now();
        assert_eq!(while_responsive(LIMIT, pending::<()>(), || ready(true)).await, Err(LIMIT * MAX_EXTENSIONS));
        assert!(started.elapsed() < LIMIT * (MAX_EXTENSIONS + 1));
    }

    /// The answer arrives while kvadm is stopped, and is read a little later than the timer fires.
    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_stopped_blames_nobody() {
        let stopped = |before: Duration, stop: Duration| async move {
            sleep(before).await;
            advance(stop).await;
            for _ in 0..10 {
                yield_now().await;
            }
            "answer"
        };
        for (before, stop) in [(LIMIT / 10, LIMIT * 2), (LIMIT * 8 / 10, LIMIT * 2), (LIMIT / 10, LIMIT * 20)] {
            let answer = stopped(before, stop);
            let got = while_responsive(LIMIT, answer, pending).await;
            assert_eq!(got, Ok("answer"), "stopped after {before:?} for {stop:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_although_each_timer_is_late() {
        let always_late = async {
            loop {
                sleep(LIMIT / 10).await;
                advance(LIMIT).await;
            }
        };
        let got: Result<Result<(), Duration>, _> =
            tokio::time::timeout(LIMIT * 50, while_responsive(LIMIT, always_late, pending)).await;
        assert_eq!(got, Ok(Err(LIMIT)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_quick_answer_needs_no_health_check() {
        let probe = || -> std::future::Ready<bool> { unreachable!("health check") };
        assert_eq!(while_responsive(LIMIT, answer(LIMIT / 3), probe).await, Ok("answer"));
    }
}
