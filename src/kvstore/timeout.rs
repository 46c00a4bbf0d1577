//! How long an answer is waited for.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

/// So many operation timeouts are waited at most, however probe the member is: enough for etcd to count a hundred million
/// keys, and an end where a member answers and does not get on, as with a disk that hangs.
const MAX_EXTENSIONS: u32 = 10;

/// The due on one sending of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// The operation timeout.
    Operation,
    /// One of its own.
    Fixed(Duration),
    /// The operation timeout for each sign of responsive: for reads whose work grows with the store. Up to etcd 3.6 the first
    /// page of a range takes as long as counting all of it, some seconds with ten million keys; giving up and asking
    /// again would only have etcd count twice.
    WhileResponsive,
}

/// An answer; or, where `limit` passes without it and without a sign of responsive from the member, the time waited. Halfway
/// through, the member is asked for such a sign; if it comes in time, as much time is given once more.
pub(crate) async fn while_responsive<T, L>(
    limit: Duration,
    answer: impl Future<Output = T>,
    mut probe: impl FnMut() -> L,
) -> Result<T, Duration>
where
    L: Future<Output = bool>,
{
    let mut answer = pin!(answer);
    let end = Instant::now() + limit * MAX_EXTENSIONS;
    loop {
        let due = Instant::now() + limit;
        if let Ok(answer) = timeout(limit / 2, &mut answer).await {
            return Ok(answer);
        }
        let responsive = tokio::select! {
            biased;
            answer = &mut answer => return Ok(answer),
            responsive = timeout_at(due, probe()) => responsive.unwrap_or(false),
        };
        if !responsive {
            return timeout_at(due, &mut answer).await.map_err(|_| limit);
        }
        if Instant::now() >= end {
            return Err(limit * MAX_EXTENSIONS);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    async fn answer(after: Duration) -> &'static str {
        sleep(after).await;
        "answer"
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_shows_life_is_waited_for() {
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
    async fn a_silent_one_is_not() {
        let started = Instant::now();
        assert_eq!(while_responsive(LIMIT, pending::<()>(), pending).await, Err(LIMIT));
        assert_eq!(started.elapsed(), LIMIT);
        // What is refused says nothing of the answer, which may come until then.
        assert_eq!(while_responsive(LIMIT, answer(LIMIT * 9 / 10), || ready(false)).await, Ok("answer"));
        assert_eq!(while_responsive(LIMIT, answer(LIMIT * 2), || ready(false)).await, Err(LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_without_end() {
        let started = Instant::now();
        assert_eq!(while_responsive(LIMIT, pending::<()>(), || ready(true)).await, Err(LIMIT * MAX_EXTENSIONS));
        assert!(started.elapsed() < LIMIT * (MAX_EXTENSIONS + 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_at_once_is_not_asked_for_life() {
        let asked = || -> std::future::Ready<bool> { unreachable!("asked for responsive") };
        assert_eq!(while_responsive(LIMIT, answer(LIMIT / 3), asked).await, Ok("answer"));
    }
}
