//! Converts errors of the SDK.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sagemakerruntime::config::http::HttpResponse;
use aws_sdk_sagemakerruntime::error::SdkError;
use hyper_util::client::legacy;
use sagewire_transport::{Error, Timeout, Timeouts};

use crate::interceptor::Stage;

/// The error of a call without a response, which failed in this stage.
pub(crate) fn no_response<E>(error: SdkError<E, HttpResponse>, stage: Stage, timeouts: &Timeouts) -> Error
where
    E: StdError + Send + Sync + 'static,
{
    match stage {
        Stage::Building => Error::invalid_request("the SDK cannot build it").because(error),
        Stage::Resolving if find::<CredentialsError>(&error).is_some() => {
            Error::credentials("the credentials could not be loaded").because(error)
        }
        Stage::Resolving => {
            Error::config(format!("the client of the SDK: {}", innermost(&error))).because(error)
        }
        // Errors of the signer quote header values, which may be secret: they are not kept as a source.
        Stage::Signing => signing_failed(),
        Stage::Sent => sending_failed(&error, timeouts).because(error),
    }
}

pub(crate) fn signing_failed() -> Error {
    Error::credentials("the credentials cannot be used to sign")
}

fn sending_failed<E>(error: &SdkError<E, HttpResponse>, timeouts: &Timeouts) -> Error
where
    E: StdError + Send + Sync + 'static,
{
    let SdkError::DispatchFailure(failure) = error else { return Error::broken_off() };
    let of_hyper = find::<legacy::Error>(error);
    let is_transient = failure.as_connector_error().is_some_and(|error| error.as_other().is_some());
    if failure.is_timeout() {
        // The other timeouts of the SDK are disabled.
        Error::timed_out(Timeout::Connect, timeouts.connect)
    } else if of_hyper.is_some_and(legacy::Error::is_connect) {
        Error::connect()
    } else if failure.is_io() || of_hyper.is_some() || is_transient {
        Error::broken_off()
    } else {
        // There is no HTTP client, or it does not support the request.
        Error::config(format!("the client of the SDK: {}", innermost(error)))
    }
}

/// The error of this type in the chain of sources.
pub(crate) fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    sources(error).find_map(|error| error.downcast_ref())
}

fn innermost<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    sources(error).last().unwrap_or(error)
}

fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
