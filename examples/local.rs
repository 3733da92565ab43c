//! Shared code of the examples: a local endpoint, and a signed call without async.

use std::io::Read;
use std::sync::mpsc;
use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY};
use sagewire_transport::{Operation, Request};
use sagewire_transport_reqwest::{Client, Credentials};

/// Any error of an example.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// An OpenAI chat request.
pub const CHAT: &str = r#"{"messages":[{"role":"user","content":"Who are you?"}],"stream":true}"#;

/// The credentials that the emulator accepts.
pub fn keys() -> Credentials {
    Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "example")
}

/// A client of a local endpoint.
///
/// # Errors
///
/// The URL is invalid.
pub fn client(emulator: &Emulator) -> Result<Client, Error> {
    let builder = Client::builder().region("us-east-1").credentials(keys());
    Ok(builder.endpoint_url(emulator.url()).build()?)
}

/// A local endpoint that emulates vLLM. It has a thread of its own, because not every example is async.
///
/// # Errors
///
/// There is no free port.
pub fn endpoint() -> Result<Emulator, Error> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let _ = sender.send(runtime.block_on(Emulator::builder().start()));
        runtime.block_on(std::future::pending::<()>());
    });
    Ok(receiver.recv()??)
}

/// Signs a request with *aws-sigv4*, sends it with *ureq*, and returns the frames as they arrive.
///
/// # Errors
///
/// The request cannot be sent, or the status is not 200.
pub fn blocking_stream(url: &str, request: &Request) -> Result<impl Read + Send + 'static, Error> {
    let uri = format!("{url}{}", request.endpoint.path(Operation::Stream)?);
    let mut sent = http::Request::post(&uri).body(request.body.to_vec())?;
    *sent.headers_mut() = request.headers(Operation::Stream)?;
    let host = sent.uri().authority().ok_or("no host")?.as_str().parse()?;
    sent.headers_mut().insert(http::header::HOST, host);

    let identity = keys().into();
    let params = v4::SigningParams::builder().identity(&identity).region("us-east-1").name("sagemaker");
    let params = params.time(SystemTime::now()).settings(SigningSettings::default()).build()?.into();
    let headers =
        sent.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let signable = SignableRequest::new("POST", &uri, headers, SignableBody::Bytes(sent.body()))?;
    let (instructions, _) = sign(signable, &params)?.into_parts();
    instructions.apply_to_request_http1x(&mut sent);

    let agent: ureq::Agent = ureq::Agent::config_builder().max_redirects(0).build().into();
    Ok(agent.run(sent)?.into_body().into_reader())
}

/// The code blocks of the project's README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
