//! Removes the secrets of a request from what a service, or a proxy in front of it, quotes of it in an error.
//!
//! Services of AWS explain a refused signature with the canonical request and the string to sign, in JSON or XML, and a header
//! that they cannot parse by quoting it. Sources: the troubleshooting pages of SigV4 and of Amazon S3
//! (`docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html`,
//! `docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html`).

/// What begins an explanation that quotes the request, with the session token: all from there on is removed.
const EXPLANATIONS: [&str; 6] = [
    "the canonical string",
    "the string-to-sign",
    "<canonicalrequest>",
    "<stringtosign>",
    "\"canonicalrequest\"",
    "\"stringtosign\"",
];
/// Names of secrets, which precede their value, and what separates them.
const NAMES: [&str; 4] =
    ["signature=", "signatureprovided>", "x-amz-security-token", "authorization: bearer "];

/// A text without what begins an explanation, the values of secrets that are named, and `secrets`; `None` if it has none.
pub(crate) fn redacted(text: &str, secrets: &[&str]) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let end = EXPLANATIONS.iter().filter_map(|start| lower.find(start)).min().unwrap_or(text.len());
    let (kept, lower) = (&text[..end], &lower[..end]);
    let mut values: Vec<_> = NAMES.iter().flat_map(|name| values(lower, name)).collect();
    values.sort_by_key(|value| value.start);
    let mut out = String::with_capacity(end);
    let mut from = 0;
    for value in values.into_iter().filter(|value| !value.is_empty()) {
        if value.start >= from {
            out.push_str(&kept[from..value.start]);
            out.push_str("REDACTED");
            from = value.end;
        }
    }
    out.push_str(&kept[from..]);
    let out = secrets.iter().fold(out, |text, secret| text.replace(secret, "REDACTED"));
    (out != text).then_some(out)
}

/// The values that follow a name: characters of base64, of hexadecimal numbers and of URLs.
fn values<'t>(lower: &'t str, name: &'t str) -> impl Iterator<Item = std::ops::Range<usize>> + 't {
    let run = |from: usize, is_part: fn(&u8) -> bool| {
        lower.as_bytes()[from..].iter().take_while(|byte| is_part(byte)).count()
    };
    lower.match_indices(name).map(move |(at, _)| {
        let after = at + name.len();
        let start = after + run(after, |byte| b" :=\"'\\".contains(byte));
        let is_separated = !name.ends_with("token") || lower[after..start].contains([':', '=']);
        let is_value: fn(&u8) -> bool = |byte| byte.is_ascii_alphanumeric() || b"+/=%-_.~".contains(byte);
        start..start + if is_separated { run(start, is_value) } else { 0 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_removed() {
        for (text, expected) in [
            ("Wrong. The Canonical String for this request should have been 'T'", "Wrong. "),
            ("Wrong. The String-to-Sign should have been 'AWS4 T'", "Wrong. "),
            ("<Code>S</Code><StringToSign>T</StringToSign>", "<Code>S</Code>"),
            (
                "<SignatureProvided>T+/=</SignatureProvided><CanonicalRequest>T",
                "<SignatureProvided>REDACTED</SignatureProvided>",
            ),
            ("{\"code\":1,\"CanonicalRequest\":\"T\"}", "{\"code\":1,"),
            (
                "not a key=value pair in Authorization header: 'AWS4-HMAC-SHA256 Credential=AKID/x, Signature=T0.'",
                "not a key=value pair in Authorization header: 'AWS4-HMAC-SHA256 Credential=AKID/x, Signature=REDACTED'",
            ),
            (
                "GET /?X-Amz-Signature=T&X-Amz-Security-Token=T%2F&a=b",
                "GET /?X-Amz-Signature=REDACTED&X-Amz-Security-Token=REDACTED&a=b",
            ),
            (
                "x-amz-security-token: T\nx-amz-security-token:T\na: b",
                "x-amz-security-token: REDACTED\nx-amz-security-token:REDACTED\na: b",
            ),
            (
                "{\"headers\":{\"X-Amz-Security-Token\":\"T\",\"a\":\"é\"}}",
                "{\"headers\":{\"X-Amz-Security-Token\":\"REDACTED\",\"a\":\"é\"}}",
            ),
            ("{\\\"x-amz-security-token\\\": \\\"T\\\"}", "{\\\"x-amz-security-token\\\": \\\"REDACTED\\\"}"),
            ("Authorization: Bearer T", "Authorization: Bearer REDACTED"),
            ("my KEY and KEY", "my REDACTED and REDACTED"),
        ] {
            assert_eq!(redacted(text, &["KEY"]).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_messages_are_kept() {
        for text in [
            "",
            "The request signature we calculated does not match the signature you provided.",
            "Signature expired: 20260101T000000Z is now earlier than 20260101T000500Z",
            "the model's é is \u{1f600}",
            "The x-amz-security-token header is invalid; the bearer token has expired",
        ] {
            assert_eq!(redacted(text, &["KEY"]), None, "{text}");
        }
    }
}
