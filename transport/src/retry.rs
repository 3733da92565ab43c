//! Trying again.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::error::Error;
use crate::response::ResponseStream;

/// How often a call is tried, and how long is waited between.
///
/// Only what [`Error::is_retryable`] allows is tried again, and streams that end before their first event in a way that may
/// pass; never after something of an answer was handed out. The waits grow twofold, with jitter; the service's
/// `Retry-After` takes their place where it is longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// Tries in all. Default: 3. With 1 there is one only.
    pub attempts: usize,
    /// The first wait, about. Default: 200 milliseconds.
    pub first_wait: Duration,
    /// The longest wait. Default: 20 seconds. A `Retry-After` beyond it ends the tries.
    pub longest_wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, first_wait: Duration::from_millis(200), longest_wait: Duration::from_secs(20) }
    }
}

impl Retry {
    /// One try.
    pub fn never() -> Self {
        Self::default().attempts(1)
    }

    /// Sets [`attempts`](Self::attempts).
    #[must_use]
    pub fn attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts;
        self
    }

    /// Calls `attempt` until it succeeds, or fails for good.
    ///
    /// # Errors
    ///
    /// Those of the last attempt.
    pub async fn run<T, F, R>(&self, attempt: F) -> Result<T, Error>
    where
        F: Fn() -> R,
        R: Future<Output = Result<T, Error>>,
    {
        self.run_while(attempt, |error| self.wait_for(error)).await
    }

    /// The same for a stream, which has to say something as well: one that breaks, ends or fails before its first event
    /// is tried again. The last of them is returned as it came, with all of its bytes and its error.
    ///
    /// With one try only, nothing is waited for.
    ///
    /// # Errors
    ///
    /// Those of the last attempt.
    pub async fn run_stream<F, R>(&self, attempt: F) -> Result<ResponseStream, Error>
    where
        F: Fn() -> R,
        R: Future<Output = Result<ResponseStream, Error>>,
    {
        if self.attempts <= 1 {
            return attempt().await;
        }
        let attempt = || async {
            let mut stream = attempt().await.map_err(Failed::Refused)?;
            if stream.begins().await { Ok(stream) } else { Err(Failed::Silent(stream.into())) }
        };
        let wait = |failed: &Failed| match failed {
            Failed::Refused(error) => self.wait_for(error),
            Failed::Silent(_) => Some(Duration::ZERO),
        };
        self.run_while(attempt, wait).await.or_else(|failed| match failed {
            Failed::Refused(error) => Err(error),
            Failed::Silent(stream) => Ok(*stream),
        })
    }

    /// How long to wait at least after an error; `None` if there is no use in it.
    fn wait_for(&self, error: &Error) -> Option<Duration> {
        let least = error.retry_after().unwrap_or_default();
        (error.is_retryable() && least <= self.longest_wait).then_some(least)
    }

    async fn run_while<T, E, F, R>(&self, attempt: F, wait: impl Fn(&E) -> Option<Duration>) -> Result<T, E>
    where
        F: Fn() -> R,
        R: Future<Output = Result<T, E>>,
    {
        // The first one has nothing to do with those that may follow. Their schedule is on the heap, for it holds one, too.
        let first = match attempt().await {
            Err(error) if self.attempts > 1 && wait(&error).is_some() => error,
            result => return result,
        };
        let waits = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.attempts - 1);
        // The schedule begins with a try: the one that has failed.
        let mut first = Some(first);
        let again = || {
            let first = first.take();
            async {
                match first {
                    Some(error) => Err(error),
                    None => attempt().await,
                }
            }
        };
        let again = again
            .retry(waits)
            .sleep(tokio::time::sleep)
            .when(|error| wait(error).is_some())
            .adjust(|error, next| Some(next?.max(wait(error)?)));
        Box::pin(again).await
    }
}

/// Why an attempt at a stream was none.
enum Failed {
    Refused(Error),
    /// It ended before its first event.
    Silent(Box<ResponseStream>),
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use http::{HeaderMap, HeaderValue, StatusCode, header};
    use tokio::time::Instant;

    use super::*;
    use crate::error::{ServiceError, Timeout};

    fn throttled(after: Option<&'static str>) -> Error {
        let mut headers = HeaderMap::new();
        headers.extend(after.map(|after| (header::RETRY_AFTER, HeaderValue::from_static(after))));
        ServiceError::new(StatusCode::TOO_MANY_REQUESTS, &headers, Default::default()).into()
    }

    /// How many tries there were, and how long they took.
    async fn run(retry: Retry, errors: &[Error]) -> (usize, Duration, Result<(), Error>) {
        let (count, start) = (Cell::new(0), Instant::now());
        let result = retry
            .run(|| async {
                let at = count.replace(count.get() + 1);
                errors.get(at).cloned().map_or(Ok(()), Err)
            })
            .await;
        (count.get(), start.elapsed(), result)
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_tried_again_is_so_often() {
        let many = vec![throttled(None); 10];
        for (retry, errors, count, succeeds) in [
            (Retry::default(), &many[..2], 3, true),
            (Retry::default(), &many, 3, false),
            (Retry::never(), &many, 1, false),
            (Retry::default().attempts(5), &many[..4], 5, true),
            (Retry::default(), &[Error::config("no")], 1, false),
            (Retry::default(), &[Error::timed_out(Timeout::Total, Duration::ZERO)], 1, false),
            (Retry::default(), &[Error::connect()], 2, true),
        ] {
            let (found, took, result) = run(retry, errors).await;
            assert_eq!((found, result.is_ok()), (count, succeeds), "{errors:?}");
            // 0.2, 0.4, 0.8 and 1.6 seconds, each doubled by jitter at most.
            assert!(took <= Duration::from_secs(6), "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_service_says_how_long_to_wait() {
        let (count, took, _) = run(Retry::default(), &[throttled(Some("7"))]).await;
        assert_eq!((count, took.as_secs()), (2, 7));
        let (count, took, result) = run(Retry::default(), &[throttled(Some("21"))]).await;
        assert!(count == 1 && took < Duration::from_secs(1) && result.is_err(), "{took:?}");
    }
}
