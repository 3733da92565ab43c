//! The names of AWS's errors, and the statuses that clients of each API get.

use crate::formats::http_error::{HttpError, HttpErrorKind};
use crate::model::Api;

/// Bedrock's exceptions with their statuses, in the order of its service model, and those of the authentication in front of it. An
/// error that has one of these names keeps it.
const BEDROCK: [(&str, u16); 13] = [
    ("ValidationException", 400),
    ("AccessDeniedException", 403),
    ("ResourceNotFoundException", 404),
    ("ModelTimeoutException", 408),
    (MODEL_ERROR_EXCEPTION, 424),
    ("ModelStreamErrorException", 424),
    ("ThrottlingException", 429),
    ("ModelNotReadyException", 429),
    ("InternalServerException", 500),
    ("ServiceUnavailableException", 503),
    ("ServiceQuotaExceededException", 400),
    ("UnrecognizedClientException", 403),
    ("InvalidSignatureException", 403),
];

/// SageMaker's errors with their statuses: those of its service model, the throttling, which the model lacks, and those of the
/// authentication in front of it.
const SAGEMAKER: [(&str, u16); 13] = [
    ("ValidationError", 400),
    (MODEL_ERROR, 424),
    ("ModelNotReadyException", 429),
    ("InternalFailure", 500),
    ("ServiceUnavailable", 503),
    ("InternalDependencyException", 530),
    ("ModelStreamError", 400),
    ("InternalStreamFailure", 500),
    ("ThrottlingException", 429),
    ("ServiceQuotaExceededException", 400),
    ("AccessDeniedException", 403),
    ("UnrecognizedClientException", 403),
    ("InvalidSignatureException", 403),
];

const MODEL_ERROR_EXCEPTION: &str = "ModelErrorException";
const MODEL_ERROR: &str = "ModelError";

impl HttpError {
    /// The HTTP status for a client of an API: see the table of [`HttpErrorKind`].
    pub fn status_for(&self, api: Api) -> u16 {
        let is_containers = self.original_status.is_some();
        match api {
            Api::Converse => self.aws_status(&BEDROCK, self.bedrock_name()),
            _ if is_containers && (400..500).contains(&self.status) => self.status,
            Api::Anthropic => match self.kind.anthropic(&self.name) {
                "billing_error" => 402,
                "overloaded_error" => 529,
                "api_error" => 500,
                _ => self.own_status(),
            },
            _ if self.kind == HttpErrorKind::Server && is_containers => 502,
            _ => self.own_status(),
        }
    }

    /// The status of the error if it is one of a kind that has several, and otherwise the kind's.
    fn own_status(&self) -> u16 {
        let has_several = matches!(self.kind, HttpErrorKind::InvalidRequest | HttpErrorKind::Server);
        let is_error = (400..600).contains(&self.status);
        if has_several && is_error { self.status } else { self.kind.status() }
    }

    /// The status of an error of AWS. A request that is too large has a name that it shares with others.
    fn aws_status(&self, table: &[(&str, u16)], name: &str) -> u16 {
        match table.iter().find(|(known, _)| *known == name) {
            Some((_, 400)) if self.kind == HttpErrorKind::TooLarge => 413,
            Some((_, status)) => *status,
            None => self.kind.status(),
        }
    }

    /// The name of Bedrock's exception, for the header `x-amzn-errortype`.
    pub fn bedrock_name(&self) -> &'static str {
        let is_temporary = matches!(
            self.kind,
            HttpErrorKind::RateLimit
                | HttpErrorKind::NotReady
                | HttpErrorKind::Unavailable
                | HttpErrorKind::Timeout
        );
        let is_models =
            self.original_status.is_some() || matches!(&*self.name, MODEL_ERROR | "ModelStreamError");
        match own(&BEDROCK, &self.name) {
            Some(own) => own,
            None if is_models && !is_temporary => MODEL_ERROR_EXCEPTION,
            None => self.kind.aws_names()[0],
        }
    }

    /// The name of SageMaker's error, for the header `x-amzn-errortype`.
    pub fn sagemaker_name(&self) -> &'static str {
        match own(&SAGEMAKER, &self.name) {
            _ if self.original_status.is_some() => MODEL_ERROR,
            Some(own) => own,
            None => self.kind.aws_names()[1],
        }
    }

    /// The HTTP status for a client of SageMaker Runtime.
    pub fn sagemaker_status(&self) -> u16 {
        self.aws_status(&SAGEMAKER, self.sagemaker_name())
    }
}

fn own(table: &[(&'static str, u16)], name: &str) -> Option<&'static str> {
    table.iter().find(|(own, _)| *own == name).map(|(own, _)| *own)
}
