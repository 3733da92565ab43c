//! The bounds of requests that are read: each is exact and applies to every API, and its error names the bound and the position.

mod common;

use common::requests::{FORMATS, anew, named};
use sagewire_codec::model::{ConversionOptions, Param};
use sagewire_codec::{
    Api, ConvertError, ConvertErrorKind, RequestLimits, convert_request, embeddings, read_request,
    read_request_with, write_request,
};
use serde_json::{Value, json};

/// The bound that an error names.
fn bound(error: &ConvertError) -> (&'static str, u64) {
    assert!(error.is_limit() && !error.is_invalid() && !error.is_unsupported(), "{error}");
    match error.kind() {
        ConvertErrorKind::Limit { what, limit, .. } => (what, *limit),
        kind => panic!("{kind}"),
    }
}

/// The depth of a value: 1 for a container without others in it.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The least limit with which `read` succeeds. With less, its error names the bound.
fn least(most: usize, what: &str, read: impl Fn(usize) -> Result<(), ConvertError>) -> usize {
    let least = (0..=most).find(|&limit| match read(limit) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(bound(&error), (what, limit as u64));
            assert!(what == "request" || limit == 0 || error.pointer().is_some(), "{error}");
            false
        }
    });
    least.unwrap_or_else(|| panic!("{what} of {most}"))
}

#[test]
fn each_bound_is_exact_for_every_sample() {
    let vectors = common::read_json(&common::testdata("requests.json"));
    let mut apis = std::collections::BTreeSet::new();
    for vector in vectors["identity"].as_array().expect("a list") {
        let api = named(vector["format"].as_str().expect("a format"));
        let (source, values) = (vector["body"].to_string(), count(&vector["body"]));
        let whole = RequestLimits::default();
        let read = |limits: RequestLimits| read_request_with(api, source.as_bytes(), limits).map(drop);
        let name = common::name_of(vector);
        let deep = least(127, "nesting", |depth| read(RequestLimits { depth, ..whole }));
        assert_eq!(deep, depth(&vector["body"]), "{name}");
        let elements =
            least(values, "number of elements", |elements| read(RequestLimits { elements, ..whole }));
        let request = read_request(api, source.as_bytes()).expect("a request");
        // An empty list of system blocks is a message.
        let known = request.messages.len() + request.tools.len() + request.stop.len();
        assert!(elements + 1 >= known, "{name}: {elements} of {known}");
        let error = read(RequestLimits { bytes: source.len() - 1, ..whole }).expect_err("too long");
        assert_eq!(bound(&error), ("request", source.len() as u64 - 1));
        read(RequestLimits { bytes: source.len(), ..whole }).expect("just as long");
        apis.insert(api);
    }
    assert_eq!(apis.len(), FORMATS.len());
}

/// The values in a value.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

#[test]
fn errors_say_where() {
    let body = json!({
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "x", "y": [[[[1]]]]}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "x": [[[[[[[1]]]]]]],
    });
    let source = body.to_string();
    let read = |limits| read_request_with(Api::OpenAi, source.as_bytes(), limits).map(drop);
    let at = |limits| {
        let error = read(limits).expect_err("a bound");
        let offset = usize::try_from(error.offset()).expect("an offset");
        let pointer = error.pointer().expect("a pointer").to_owned();
        let value = body.pointer(&pointer).expect("a value").to_string();
        assert!(source[offset..].starts_with(&value), "{error}");
        pointer
    };
    let (default, elements) = (RequestLimits::default(), 2);
    assert_eq!(at(RequestLimits { depth: 7, ..default }), "/messages/0/content/1/y");
    assert_eq!(at(RequestLimits { depth: 4, ..default }), "/messages/0/content/0");
    assert_eq!(at(RequestLimits { depth: 2, ..default }), "/messages/0");
    assert_eq!(at(RequestLimits { elements, ..default }), "/messages/0/content/1");
    assert_eq!(at(RequestLimits { elements: 3, ..default }), "/messages/0/content/1/y");
    assert_eq!(at(RequestLimits { elements: 4, ..default }), "/x");
    read(RequestLimits { depth: 9, elements: 5, ..default }).expect("within both");
}

/// What is kept as JSON is one element, however long it is.
#[test]
fn tokens_and_schemas_are_not_elements() {
    let tokens = vec!["7"; 300_000].join(",");
    for (api, body) in [
        (Api::Completions, format!(r#"{{"prompt":[{tokens}]}}"#)),
        (Api::Completions, format!(r#"{{"prompt":[[{tokens}]]}}"#)),
        (Api::Sglang, format!(r#"{{"text":["a",{tokens}]}}"#)),
        (Api::OpenAi, format!(r#"{{"messages":[],"logit_bias":{{"a":[{tokens}]}}}}"#)),
    ] {
        let limits = RequestLimits { elements: 1, ..RequestLimits::default() };
        let request = read_request_with(api, body.as_bytes(), limits).expect("few elements");
        let (written, _) = write_request(api, &request, &anew()).expect("a request");
        assert!(String::from_utf8_lossy(&written) == *body);
    }
}

#[test]
fn conversions_are_bounded_too() {
    let body = br#"{"messages":[{"role":"user","content":"a"}],"stop":["b","c"]}"#;
    let limits = RequestLimits { elements: 2, ..RequestLimits::default() };
    for to in [Api::OpenAi, Api::Anthropic] {
        let options = ConversionOptions::new().limits(limits);
        let error = convert_request(Api::OpenAi, to, body, &options).expect_err("a bound");
        assert_eq!(error.to_string(), "byte 56: number of elements exceeds the limit of 2 (at /stop/1)");
        convert_request(Api::OpenAi, to, body, &ConversionOptions::new()).expect("within the default");
    }
}

/// A request that was read with larger limits is still edited, and nothing of its source is lost.
#[test]
fn larger_requests_are_edited_as_others() {
    let stops = vec!["\"s\""; 300_000].join(" ,");
    let body = format!(r#"{{"messages":[{{"role":"user","content":"a"}}],"stop":[{stops}]}}"#);
    assert!(read_request(Api::OpenAi, body.as_bytes()).expect_err("a bound").is_limit());
    let limits = RequestLimits { elements: 300_001, ..RequestLimits::default() };
    let mut request = read_request_with(Api::OpenAi, body.as_bytes(), limits).expect("a request");
    request.seed = Some(Param::new(7));
    let (written, losses) =
        write_request(Api::OpenAi, &request, &ConversionOptions::new()).expect("a request");
    assert!(losses.is_empty());
    assert!(String::from_utf8_lossy(&written) == format!("{},\"seed\":7}}", &body[..body.len() - 1]));
}

#[test]
fn requests_for_embeddings_are_bounded() {
    let read = |body: &str, limits| embeddings::Request::read_with(body.as_bytes(), limits).map(drop);
    let (default, body) = (RequestLimits::default(), r#"{"input":["a","b","c"],"x":[[1]],"y":2,"z":3}"#);
    for (limits, error) in [
        (RequestLimits { elements: 2, ..default }, "number of elements exceeds the limit of 2 (at /z)"),
        (RequestLimits { elements: 1, ..default }, "number of elements exceeds the limit of 1 (at /y)"),
        (RequestLimits { depth: 2, ..default }, "nesting exceeds the limit of 2 (at /x)"),
        (RequestLimits { bytes: 44, ..default }, "request of 45 exceeds the limit of 44"),
    ] {
        let found = read(body, limits).expect_err(error);
        bound(&found);
        assert!(found.to_string().ends_with(error), "{found}");
    }
    read(body, RequestLimits { bytes: 45, elements: 3, depth: 3 }).expect("within all");
    let texts = read(r#"{"input":["a","b"]}"#, RequestLimits { elements: 1, ..default });
    assert_eq!(texts.expect_err("a bound").pointer(), Some("/input/1"));
}
