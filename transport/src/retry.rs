//! Retries.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::error::Error;
use crate::response::ResponseStream;

/// How often a call is attempted, and the delays between attempts.
///
/// A call is retried if [`Error::is_retryable`] is true, or if a stream ends before its first event for a transient reason;
/// never after a part of the response was passed to the caller. The delay doubles with each attempt and has jitter. If the
/// service sends a longer `Retry-After`, that is used instead.
///
/// With the feature `serde`, delays are numbers of seconds, and missing fields have their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Retry {
    /// The number of attempts, the first one included. Default: 3. With 1, nothing is retried.
    pub attempts: usize,
    /// The delay before the first retry, before jitter. Default: 200 milliseconds.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_duration"))]
    pub initial_delay: Duration,
    /// The longest delay. Default: 20 seconds. A call is not retried if the service sends a longer `Retry-After`.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_duration"))]
    pub max_delay: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, initial_delay: Duration::from_millis(200), max_delay: Duration::from_secs(20) }
    }
}

impl Retry {
    /// A single attempt, no retries.
    pub fn never() -> Self {
        Self::default().attempts(1)
    }

    /// Sets [`attempts`](Self::attempts).
    #[must_use]
    pub fn attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts;
        self
    }

    /// Calls `attempt` until it succeeds, fails with an error that is not retryable, or no attempts are left.
    ///
    /// # Errors
    ///
    /// The error of the last attempt.
    pub async fn run<T, F, R>(&self, attempt: F) -> Result<T, Error>
    where
        F: Fn() -> R,
        R: Future<Output = Result<T, Error>>,
    {
        self.run_while(attempt, |error| self.least_delay(error)).await
    }

    /// The same for a stream, which has to deliver something as well: a stream that breaks, ends or fails before its first
    /// event is retried. The stream of the last attempt is returned as it is, with all of its bytes and its error.
    ///
    /// With a single attempt, the stream is returned without waiting for its first event.
    ///
    /// # Errors
    ///
    /// The error of the last attempt.
    pub async fn run_stream<F, R>(&self, attempt: F) -> Result<ResponseStream, Error>
    where
        F: Fn() -> R,
        R: Future<Output = Result<ResponseStream, Error>>,
    {
        if self.attempts <= 1 {
            return attempt().await;
        }
        let attempt = || async {
            let mut stream = attempt().await.map_err(AttemptError::Call)?;
            if stream.has_started().await { Ok(stream) } else { Err(AttemptError::Empty(stream.into())) }
        };
        let delay = |failed: &AttemptError| match failed {
            AttemptError::Call(error) => self.least_delay(error),
            AttemptError::Empty(_) => Some(Duration::ZERO),
        };
        self.run_while(attempt, delay).await.or_else(|failed| match failed {
            AttemptError::Call(error) => Err(error),
            AttemptError::Empty(stream) => Ok(*stream),
        })
    }

    /// The shortest delay before a retry after this error; `None` if it is not retried.
    fn least_delay(&self, error: &Error) -> Option<Duration> {
        let least = error.retry_after().unwrap_or_default();
        (error.is_retryable() && least <= self.max_delay).then_some(least)
    }

    async fn run_while<T, E, F, R>(&self, attempt: F, delay: impl Fn(&E) -> Option<Duration>) -> Result<T, E>
    where
        F: Fn() -> R,
        R: Future<Output = Result<T, E>>,
    {
        // The first attempt is separate, and retries are boxed: otherwise this future would hold two attempts.
        let first = match attempt().await {
            Err(error) if self.attempts > 1 && delay(&error).is_some() => error,
            result => return result,
        };
        let delays = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(self.initial_delay)
            .with_max_delay(self.max_delay)
            .with_max_times(self.attempts - 1);
        // `backon` makes the first attempt at once: it gets the error of the attempt that was made above.
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
            .retry(delays)
            .sleep(tokio::time::sleep)
            .when(|error| delay(error).is_some())
            .adjust(|error, next| Some(next?.max(delay(error)?)));
        Box::pin(again).await
    }
}

/// Why an attempt to open a stream failed.
enum AttemptError {
    Call(Error),
    /// The stream ended before its first event.
    Empty(Box<ResponseStream>),
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

    /// The number of attempts, and the time they took.
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
    async fn transient_errors_are_retried() {
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
    async fn retry_after_sets_the_delay() {
        let (count, took, _) = run(Retry::default(), &[throttled(Some("7"))]).await;
        assert_eq!((count, took.as_secs()), (2, 7));
        let (count, took, result) = run(Retry::default(), &[throttled(Some("21"))]).await;
        assert!(count == 1 && took < Duration::from_secs(1) && result.is_err(), "{took:?}");
    }
}
