//! Runs attempts that start one after another until one succeeds.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep_until;

use crate::duration::from_now;

/// Starts the next attempt after `stagger`, or at once if one fails. The first success drops all others. Returns it and
/// the failures before it.
pub(crate) async fn race<F, T, E>(attempts: Vec<Pin<Box<F>>>, stagger: Duration) -> (Option<T>, Vec<E>)
where
    F: Future<Output = Result<T, E>> + ?Sized,
{
    let mut waiting = attempts.into_iter();
    let mut running: Vec<_> = waiting.next().into_iter().collect();
    let mut failures = Vec::new();
    let mut next = Box::pin(sleep_until(from_now(stagger)));
    poll_fn(move |cx| {
        loop {
            let before = failures.len();
            let mut index = 0;
            while let Some(attempt) = running.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(established)) => {
                        return Poll::Ready((Some(established), std::mem::take(&mut failures)));
                    }
                    Poll::Ready(Err(failed)) => {
                        failures.push(failed);
                        drop(running.remove(index));
                    }
                    Poll::Pending => index = index.saturating_add(1),
                }
            }
            let due = failures.len() > before || next.as_mut().poll(cx).is_ready();
            if due && let Some(attempt) = waiting.next() {
                running.push(attempt);
                next.as_mut().reset(from_now(stagger));
                continue;
            }
            if running.is_empty() {
                return Poll::Ready((None, std::mem::take(&mut failures)));
            }
            return Poll::Pending;
        }
    })
    .await
}
