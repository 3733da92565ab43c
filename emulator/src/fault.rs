//! Faults that a script injects into a response body, and the exceptions that the service itself reports in a stream.

use sagewire_codec::sagemaker;
use serde::{Deserialize, Serialize};

/// Most bytes of a string in a frame header.
const HEADER_LEN_MAX: usize = 32_767;

/// A fault, and the number of body bytes before it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawFault")]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) after: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum FaultKind {
    Exception(Exception),
    Error(UnmodelledError),
    TruncatedFrame,
    CorruptByte,
    Reset,
    HangUp,
    Stall,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    pub(crate) message: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnmodelledError {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Exception {
    /// The stream did not end before its timeout.
    pub(crate) fn time_exceeded() -> Self {
        let message =
            "Your model primary did not complete sending the inference response in the allotted time.";
        Self::of_stream("ModelInvocationTimeExceeded", message)
    }

    /// The container closed the connection early.
    pub(crate) fn broken() -> Self {
        Self::of_stream(
            "StreamBroken",
            "Your model primary broke off before its inference response was complete.",
        )
    }

    fn of_stream(code: &str, message: &str) -> Self {
        Self { kind: "ModelStreamError".into(), code: Some(code.into()), message: message.into() }
    }

    pub(crate) fn payload(&self) -> String {
        String::from_utf8_lossy(&self.of_service().payload()).into_owned()
    }

    /// The exception as the service sends it.
    pub(crate) fn of_service(&self) -> sagemaker::Exception<'_> {
        sagemaker::Exception::new(&self.kind, self.code.as_deref(), &self.message)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFault {
    exception: Option<Exception>,
    error: Option<UnmodelledError>,
    #[serde(default)]
    truncated_frame: bool,
    #[serde(default)]
    corrupt_byte: bool,
    #[serde(default)]
    reset: bool,
    #[serde(default)]
    hang_up: bool,
    #[serde(default)]
    stall: bool,
    #[serde(default)]
    after: usize,
}

impl TryFrom<RawFault> for Fault {
    type Error = &'static str;

    fn try_from(raw: RawFault) -> Result<Self, &'static str> {
        let mut kinds = [
            raw.exception.map(FaultKind::Exception),
            raw.error.map(FaultKind::Error),
            raw.truncated_frame.then_some(FaultKind::TruncatedFrame),
            raw.corrupt_byte.then_some(FaultKind::CorruptByte),
            raw.reset.then_some(FaultKind::Reset),
            raw.hang_up.then_some(FaultKind::HangUp),
            raw.stall.then_some(FaultKind::Stall),
        ]
        .into_iter()
        .flatten();
        let (Some(kind), None) = (kinds.next(), kinds.next()) else {
            return Err(
                "fault: exactly one of exception, error, truncated_frame, corrupt_byte, reset, hang_up and \
                        stall must be given",
            );
        };
        let fits = |texts: &[&str]| texts.iter().all(|text| text.len() <= HEADER_LEN_MAX);
        let fits = match &kind {
            FaultKind::Exception(exception) => fits(&[&exception.kind]),
            FaultKind::Error(error) => fits(&[&error.code, &error.message]),
            _ => true,
        };
        if !fits {
            return Err("fault: a text is longer than the 32,767 bytes that the header of a frame may have");
        }
        Ok(Self { kind, after: raw.after })
    }
}
