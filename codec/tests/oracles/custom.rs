//! Custom formats, which are described in a file that may be malicious.

use std::sync::Arc;

use bytes::Bytes;
use sagewire_codec::custom::{Format, Spec};
use sagewire_codec::model::{ConversionOptions, Message, Rendered, Tool};
use sagewire_codec::{Api, Framing, Options, read_request};
use serde_json::Value;

use super::readers::{check_ending, response};
use super::{check_order, cut, events_of, seeded, split};

/// Custom formats. The first byte is the seed of the splits; the rest is a spec file, records that are read with it, and an
/// OpenAI request that is written with it. Never panics; an invalid file is rejected with a position; a file survives a round
/// trip; every split gives the same events; the output is JSON.
pub fn custom(data: &[u8]) {
    let (seed, data) = seeded(data);
    let mut texts = split(data);
    let mut next = || texts.next().unwrap_or_default();
    let (file, records, request) = (next(), next(), next());
    let Ok(spec) = serde_json::from_slice::<Spec>(file) else { return };
    let again = serde_json::to_string(&spec).expect("a file");
    assert_eq!(serde_json::from_str::<Spec>(&again).expect("its own"), spec);
    let format = match Format::new(spec) {
        Ok(format) => Arc::new(format),
        Err(error) => {
            assert!(error.to_string().contains('/'), "{error}");
            return;
        }
    };
    for framing in [Framing::Sse, Framing::JsonLines] {
        let options = Options::new().custom(Arc::clone(&format)).framing(framing);
        let whole = events_of(options.clone(), vec![Bytes::copy_from_slice(records)]);
        check_order(&whole.0);
        check_ending(&whole.1);
        assert_eq!(events_of(options, cut(records, seed)), whole, "cut with {seed}");
        response(&whole.0);
    }
    let Ok(request) = read_request(Api::OpenAi, request) else { return };
    let render = |_: &[Message<'_>], _: &[Tool<'_>]| Ok(Rendered::new("a prompt"));
    match format.write(&request, &ConversionOptions::new().render(&render)) {
        Ok(body) => {
            serde_json::from_slice::<Value>(&body.bytes).expect("JSON");
        }
        Err(error) => assert!(error.is_unsupported(), "{error:?}"),
    }
}
