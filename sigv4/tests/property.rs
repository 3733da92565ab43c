//! Requests that `aws-sigv4` signs verify, and nothing else does.

mod oracles;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Uri};
use oracles::{Request, verifies};
use proptest::prelude::*;

/// Paths as SDKs send them: segments with percent-encoded characters, empty ones and dots included.
fn target() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        "[a-zA-Z0-9._~:@!$&'()*,;=+-]{1,12}",
        "(%[0-9A-F]{2}|[a-z]){1,8}",
        Just(String::new()),
        Just(".".into()),
        Just("..".into()),
        Just("anthropic.claude-v2%3A1".into()),
        Just("arn%3Aaws%3Asagemaker%3Aus-east-1%3A123456789012%3Aendpoint%2Fmy-llm".into()),
    ];
    let path = prop::collection::vec(segment, 0..5)
        .prop_map(|segments| format!("/{}", segments.join("/")))
        // The SDKs differ in whether a slash stays: it does in Rust, not in Python and JavaScript.
        .prop_filter("a path that ends in dots", |path| !path.ends_with("/.") && !path.ends_with("/.."));
    // In UTF-8, and without `+`, of which aws-sigv4 makes a space.
    let text = "([a-zA-Z0-9._~:-]|%20|%2B|%26|%3D|%C3%A9){0,6}";
    let pair = (text, prop::option::of(text))
        .prop_map(|(name, value)| value.map_or(name.clone(), |value| format!("{name}={value}")))
        .prop_filter("aws-sigv4 keeps pairs that are empty", |pair| !pair.is_empty());
    let query = prop::collection::vec(pair, 0..4);
    (path, prop::option::of(query)).prop_map(|(path, query)| match query {
        Some(query) => format!("{path}?{}", query.join("&")),
        None => path,
    })
}

fn request() -> impl Strategy<Value = Request> {
    let name = prop_oneof![
        Just("content-type"),
        Just("accept"),
        Just("x-amz-x"),
        Just("x-amzn-y"),
        Just("x-custom")
    ];
    let headers =
        prop::collection::btree_map(name.prop_map(str::to_owned), "[!-~]{1,8}( {1,3}[!-~é]{1,8}){0,2}", 0..4);
    (
        prop_oneof![Just("POST"), Just("GET")],
        target(),
        "[a-z]{1,10}(:[1-9][0-9]{3})?",
        headers,
        prop::collection::vec(any::<u8>(), 0..64),
        "[a-z]{2}-[a-z]{4}-[1-9]",
        prop::sample::select(&oracles::SERVICES[..]),
        prop::option::of("[A-Za-z0-9+/=]{1,40}"),
    )
        .prop_map(|(method, target, host, headers, body, region, service, session_token)| Request {
            method: method.into(),
            target,
            host,
            headers: headers.into_iter().collect(),
            body,
            region,
            service,
            session_token,
        })
}

/// Changes one byte to another letter or digit, which no canonical form makes equal.
fn changed(bytes: &[u8], at: prop::sample::Index) -> Option<Vec<u8>> {
    let letters: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_alphanumeric()).collect();
    let at = *letters.get(at.index(letters.len().max(1)))?;
    let mut changed = bytes.to_vec();
    changed[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
    Some(changed)
}

/// The request with one byte changed: of its method, path and query, of a header, or of its body.
fn tampered(
    parts: &Parts,
    body: &[u8],
    place: prop::sample::Index,
    at: prop::sample::Index,
) -> Option<(Parts, Vec<u8>)> {
    let (mut parts, mut body) = (parts.clone(), body.to_vec());
    let names: Vec<HeaderName> = parts.headers.keys().cloned().collect();
    match place.index(names.len() + 3) {
        0 => parts.method = changed(parts.method.as_str().as_bytes(), at)?.as_slice().try_into().ok()?,
        1 => {
            let target = parts.uri.to_string();
            // The segment before it is dropped, so that it can be changed.
            if target.contains("/..") {
                return None;
            }
            parts.uri = Uri::try_from(changed(target.as_bytes(), at)?).ok()?;
        }
        2 if body.is_empty() => body.push(0),
        2 => {
            let at = at.index(body.len());
            body[at] ^= 1;
        }
        number => {
            let name = &names[number - 3];
            let value = changed(parts.headers[name].as_bytes(), at)?;
            parts.headers.insert(name, HeaderValue::from_bytes(&value).ok()?);
        }
    }
    Some((parts, body))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn signed_requests_verify_unless_a_byte_changes(
        request in request(),
        place in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let parts = request.signed().expect("a request that can be signed");
        let token = request.session_token.as_deref();
        prop_assert!(verifies(&parts, &request.body, token), "{parts:?}");
        // Over HTTP/2 the authority takes the place of the header.
        let mut http2 = parts.clone();
        http2.headers.remove("host");
        http2.uri = format!("http://{}{}", request.host, request.target).parse().expect("a URI");
        prop_assert!(verifies(&http2, &request.body, token), "{http2:?}");

        if let Some((parts, body)) = tampered(&parts, &request.body, place, at) {
            prop_assert!(!verifies(&parts, &body, token), "{parts:?}");
        }
    }
}
