//! Signs a request as it is sent.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as sigv4};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use sagewire_transport::Error;

/// The name that requests to the runtime are signed for. It is not the name of the host.
const SERVICE: &str = "sagemaker";

/// Adds the headers of the signature. All others must be there: from here on, none is added or changed.
pub(crate) fn sign(
    request: &mut http::Request<Bytes>,
    credentials: &Credentials,
    region: &str,
    time: SystemTime,
) -> Result<(), Error> {
    let unusable = || Error::credentials("the credentials cannot be used to sign");
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| unusable())?
        .into();
    let headers = request.headers().iter();
    // `Request::headers` lets nothing through that is not printable ASCII.
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let uri = request.uri().to_string();
    let body = SignableBody::Bytes(request.body());
    let signable =
        SignableRequest::new(request.method().as_str(), uri, headers, body).map_err(|_| unusable())?;
    // Its errors quote header values, so they are not kept as a source.
    let (signed, _) = sigv4(signable, &params).map_err(|_| unusable())?.into_parts();
    for header in signed.into_parts().0 {
        let mut value = HeaderValue::from_str(header.value()).map_err(|_| unusable())?;
        value.set_sensitive(true);
        request.headers_mut().insert(HeaderName::from_static(header.name()), value);
    }
    Ok(())
}
