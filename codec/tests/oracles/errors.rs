//! Errors of services and containers, written in every API's format.

use bytes::Bytes;
use sagewire_codec::{Api, HttpError, Options};
use serde_json::Value;

use super::{events_of, seeded};

const STATUSES: [u16; 16] = [0, 200, 400, 401, 403, 404, 408, 413, 422, 424, 429, 500, 502, 503, 504, 530];
const TYPES: [Option<&str>; 8] = [
    None,
    Some("ModelError"),
    Some("ThrottlingException"),
    Some("com.amazonaws.sagemaker#ModelError:http://internal.amazon.com/"),
    Some("ValidationError"),
    Some("ModelNotReadyException"),
    Some("AccessDeniedException"),
    Some(""),
];

/// Errors. The first byte selects the status and the header, the rest is the body. The body that is written in any format is
/// JSON and contains the message; a stream that contains the record as an error has failed, with the same message.
pub fn errors(data: &[u8]) {
    let (choice, body) = seeded(data);
    let status = STATUSES[choice as usize % 16];
    let error = HttpError::read(status, TYPES[choice as usize / 16 % 8], body);
    assert!(!error.name.is_empty());
    assert!(error.status == status || (100..600).contains(&error.status), "{}", error.status);
    let _ = error.is_retryable();
    assert!(!error.bedrock_name().is_empty());
    let sagemaker: Value = serde_json::from_slice(&error.write_sagemaker(Api::Tgi)).expect("JSON");
    assert!(sagemaker.is_object() && (400..600).contains(&error.sagemaker_status()));
    for format in [
        Api::OpenAi,
        Api::Anthropic,
        Api::Converse,
        Api::TextGeneration,
        Api::Responses,
        Api::PlainText,
        Api::Tgi,
    ] {
        assert!((400..600).contains(&error.status_for(format)), "{format:?}");
        let written = error.write(format);
        let value: Value = serde_json::from_slice(&written).expect("JSON");
        assert!(value.is_object());
        let again = HttpError::read(error.status, None, &written);
        if format == Api::Converse {
            assert_eq!(value["message"], error.message);
            continue;
        }
        if !error.message.is_empty() {
            assert_eq!(again.message, error.message, "{format:?}");
        }
        let (_, ending) = events_of(Options::new(), vec![Bytes::from(written)]);
        let failed = ending.expect_err("an error is no answer");
        let failure = failed.failure().unwrap_or_else(|| panic!("{format:?} does not say so: {value}"));
        if !error.message.is_empty() {
            assert_eq!(failure.message, error.message, "{format:?} in a stream");
        }
    }
}
