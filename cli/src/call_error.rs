//! Messages and exit codes of failed calls, and the headers of responses.

use std::error::Error as _;

use sagewire_transport_reqwest::{Client, Error, Metadata, Origin, ServiceError, Timeout};

use crate::fault::{Exit, Fault};
use crate::profile::Profile;

/// Maximum number of characters of a service's message that are printed.
const MESSAGE_MAX: usize = 1000;

/// The hint if the container has rejected the request.
pub(crate) const CONTAINER: &str = "is it what this container takes? (see --content-type)";

/// The headers of a response, one line each, under the names that they have on a call that is not streamed.
pub(crate) fn headers(metadata: &Metadata) -> impl Iterator<Item = String> {
    let headers = [
        ("x-amzn-requestid", &metadata.request_id),
        ("content-type", &metadata.content_type),
        ("x-amzn-invoked-production-variant", &metadata.variant),
        ("x-amzn-sagemaker-custom-attributes", &metadata.custom_attributes),
        ("x-amzn-sagemaker-new-session-id", &metadata.new_session_id),
        ("x-amzn-sagemaker-closed-session-id", &metadata.closed_session_id),
    ];
    headers.into_iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}: {value}")))
}

/// A client could not be set up, or credentials could not be loaded.
pub(crate) fn setup_failed(error: &Error) -> Fault {
    let message = with_cause(error);
    if error.is_credentials() {
        return credentials_failed(&message, "");
    }
    Fault::usage(format!("{} (see --help)", with_flag(&message)))
}

/// Replaces the name of a request's field by that of its option.
fn with_flag(message: &str) -> String {
    const FLAGS: [(&str, &str); 18] = [
        ("accept", "--accept"),
        ("content_type", "--content-type"),
        ("custom_attributes", "--custom-attributes"),
        ("customer_identity_token", "--identity-token-file"),
        ("enable_explanations", "--enable-explanations"),
        ("filename", "--filename"),
        ("headers", "--header"),
        ("inference_component", "--inference-component"),
        ("inference_id", "--inference-id"),
        ("input_location", "--input-location"),
        ("invocation_timeout", "--invocation-timeout-seconds"),
        ("output_path_extension", "--s3-output-path-extension"),
        ("path", "--path"),
        ("request_ttl", "--request-ttl-seconds"),
        ("route", "--route-path"),
        ("session_id", "--session-id"),
        ("target_model", "--target-model"),
        ("target_variant", "--target-variant"),
    ];
    let flagged = message.strip_prefix("invalid request: ").and_then(|rest| {
        let (field, end) = rest.split_at(rest.find([' ', ':'])?);
        let (_, flag) = FLAGS.iter().find(|(name, _)| *name == field)?;
        Some(format!("{flag}{end}"))
    });
    flagged.unwrap_or_else(|| message.to_owned())
}

/// A call failed before its response had begun. `container_hint` is the hint if the container has rejected the request.
pub(crate) fn call_failed(error: &Error, client: &Client, container_hint: &'static str) -> Fault {
    if let Some(error) = error.service() {
        return Fault::Line(Exit::Failed, service_line(error, container_hint));
    }
    if error.is_credentials() || error.is_config() || error.is_invalid_request() || error.is_unsupported() {
        return setup_failed(error);
    }
    let message = with_cause(error);
    if error.is_too_large() {
        return Fault::Line(Exit::Corrupt, format!("transport: {message}"));
    }
    if error.is_connect() {
        let (host, hint) = (authority(client.endpoint_url()), connect_hint(error, client));
        return Fault::Line(Exit::Failed, format!("transport: {host}: {message}{hint}"));
    }
    Fault::Line(Exit::Failed, format!("transport: {message}"))
}

/// A call that is not streamed failed. If a part of the response was received, it has ended early.
pub(crate) fn unary_call_failed(error: &Error, client: &Client, container_hint: &'static str) -> Fault {
    match call_failed(error, client, container_hint) {
        Fault::Line(_, line) if error.is_broken_off() && error.received() > 0 => {
            Fault::Line(Exit::Truncated, line)
        }
        fault => fault,
    }
}

/// Whether the first byte of a response did not arrive in time.
pub(crate) fn is_before_response(error: &Error) -> bool {
    error.timeout() == Some(Timeout::FirstByte)
}

/// The connection of a stream broke off after `received` bytes.
pub(crate) fn stream_broke_off(error: &Error, received: u64) -> Fault {
    Fault::Line(Exit::Truncated, format!("transport: byte {received}: truncated: {error}"))
}

/// No credentials could be loaded. The message names the profile if one was selected.
pub(crate) fn without_credentials(error: &Error, profile: &Profile) -> Fault {
    match (root_cause(error), profile.from) {
        (Some(cause), Some(_)) => {
            credentials_failed(&format!("{error}: {cause}"), &format!("; see {profile}"))
        }
        _ => setup_failed(error),
    }
}

fn credentials_failed(message: &str, place: &str) -> Fault {
    Fault::usage(format!("{message}{place}; hint: {}", credentials_hint(message)))
}

/// A hint if the certificate of a server is not accepted. Errors have the names of rustls.
pub(crate) fn certificate_hint(message: &str) -> Option<&'static str> {
    if message.contains("UnknownIssuer") {
        return Some("AWS_CA_BUNDLE names a file of certificates to trust");
    }
    let is_authority = message.contains("CaUsedAsEndEntity");
    is_authority
        .then_some("the certificate of the server is that of an authority (CA:TRUE); it needs one of its own")
}

fn credentials_hint(message: &str) -> &'static str {
    if let Some(hint) = certificate_hint(message) {
        return hint;
    }
    // AWS's SDK has no error codes for these, only sentences.
    if message.contains("SSO") {
        return "run aws sso login";
    }
    if message.contains("sso-session") {
        return "run aws configure sso-session";
    }
    if message.contains("AWS_ACCESS_KEY_ID is not set;") {
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give --profile";
    }
    "run sagewire doctor to see what was found"
}

/// The error and its root cause.
pub(crate) fn with_cause(error: &Error) -> String {
    match root_cause(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The last error of the chain. Those before it only repeat that there was one.
fn root_cause(error: &Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Some(cause.to_string())
}

/// Host and port of a URL.
pub(crate) fn authority(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split('/').next().unwrap_or_default();
    let has_port =
        authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    match (has_port, scheme) {
        (true, _) => authority.into(),
        (false, "http") => format!("{authority}:80"),
        (false, _) => format!("{authority}:443"),
    }
}

/// A hint if the host has no address, or its certificate is not trusted.
pub(crate) fn connect_hint(error: &(dyn std::error::Error + 'static), client: &Client) -> String {
    let (mut cause, mut is_lookup, mut certificate) = (Some(error), false, None);
    while let Some(error) = cause {
        let text = error.to_string();
        is_lookup |= text.contains("lookup");
        certificate = certificate.or_else(|| certificate_hint(&text));
        cause = error.source();
    }
    let settings = client.settings();
    let host = match (is_lookup, settings.endpoint_url.origin, &settings.proxy) {
        (true, Origin::Region, None) => Some("is the region right, or does HTTPS_PROXY have to be set?"),
        (true, Origin::Region, Some(_)) => Some("are the region and the proxy right?"),
        _ => None,
    };
    certificate.or(host).map_or(String::new(), |hint| format!("; hint: {hint}"))
}

fn service_line(error: &ServiceError, container_hint: &'static str) -> String {
    let mut line = format!("service: {}", error.status);
    if let Some(name) = &error.error_type {
        line = format!("{line} {name}");
    }
    let body = String::from_utf8_lossy(&error.body);
    let message = error.message.as_deref().unwrap_or(&body).trim();
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_MAX) {
        line = format!("{line}: {}…", &message[..end]);
    } else if !message.is_empty() {
        line = format!("{line}: {message}");
    }
    if let Some(id) = &error.request_id {
        line = format!("{line} (request {id})");
    }
    if let Some(wait) = error.retry_after {
        line = format!("{line}; retry after {} s", wait.as_secs());
    }
    match hint(error, container_hint) {
        Some(hint) => format!("{line}; hint: {hint}"),
        None => line,
    }
}

fn hint(error: &ServiceError, container_hint: &'static str) -> Option<&'static str> {
    if error.original_message.as_deref().is_some_and(|message| message.contains("accept_eula")) {
        return Some("--custom-attributes accept_eula=true, once the licence has been read and accepted");
    }
    // The container has read the request and rejected it.
    if let Some(400 | 415 | 422 | 424) = error.original_status_code {
        return Some(container_hint);
    }
    if error.status != 403 {
        return None;
    }
    if error.layer.is_some() {
        return Some(
            "the credentials need the permissions sagemaker:InvokeGlobalInferenceGateway and \
             sagemaker:InvokeGlobalInferenceGatewayWithResponseStream",
        );
    }
    match error.error_type.as_deref()? {
        "InvalidSignatureException" | "SignatureDoesNotMatch" => Some(
            "the secret access key does not belong to the access key id, or the clock is wrong (see sagewire doctor)",
        ),
        "UnrecognizedClientException" | "InvalidClientTokenId" => {
            Some("the access key id or the session token is unknown there (see sagewire doctor)")
        }
        "ExpiredTokenException" | "ExpiredToken" => {
            Some("the credentials have expired (see sagewire doctor)")
        }
        "AccessDeniedException" | "AccessDenied" => Some(
            "the credentials need the permissions sagemaker:InvokeEndpoint and sagemaker:InvokeEndpointWithResponseStream",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_has_a_port() {
        for (url, expected) in [
            (
                "https://runtime.sagemaker.us-east-1.amazonaws.com",
                "runtime.sagemaker.us-east-1.amazonaws.com:443",
            ),
            ("http://localhost", "localhost:80"),
            ("http://127.0.0.1:8787/prefix", "127.0.0.1:8787"),
            ("https://[::1]", "[::1]:443"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(authority(url), expected);
        }
    }
}
