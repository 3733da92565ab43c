//! `sagewire invoke`: sends any request and prints the unchanged response.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use sagewire_codec::{Framing, Layer, detect_request, eventstream, sagemaker};
use sagewire_transport_reqwest::{AsyncRequest, Client, Endpoint, Input as Body, Metadata, Request};
use serde::Serialize;

use crate::aws_config::ENVIRONMENT;
use crate::call_error::{
    CONTAINER, call_failed, headers, is_before_response, stream_broke_off, unary_call_failed,
};
use crate::fault::{Exit, Fault, note};
use crate::input;
use crate::output::{self, Output};
use crate::{connection, endpoint};

/// Maximum size of a request body in bytes. The service takes 25 MB.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// Arguments of `sagewire invoke`.
#[derive(Debug, clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub(crate) struct Args {
    // Arguments without a heading have to come first.
    /// Name of the endpoint
    #[arg(value_name = "ENDPOINT")]
    name: String,
    /// File with the request body; - is standard input [default: standard input, if it is not a terminal]
    #[arg(value_name = "FILE", conflicts_with = "input_location")]
    file: Option<PathBuf>,
    /// Stream the response, and print the payload of its frames
    #[arg(long)]
    stream: bool,
    /// Print the frames of the stream, as input for sagewire decode
    #[arg(long, requires = "stream")]
    frames: bool,
    /// Invoke asynchronously, and print the location of the response in S3 as JSON
    #[arg(long = "async", conflicts_with = "stream")]
    asynchronous: bool,
    /// Media type of the request body
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// Media type of the response to request
    #[arg(long, value_name = "TYPE")]
    accept: Option<String>,
    /// Print the headers of the response
    #[arg(
        short,
        long,
        value_enum,
        value_name = "WHERE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "stderr"
    )]
    include: Option<Include>,
    /// Print the size and type of the request to standard error
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    output: output::Args,
    #[command(flatten)]
    async_options: AsyncOptions,
    #[command(flatten)]
    endpoint: endpoint::Args,
    #[command(flatten)]
    connection: connection::Args,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Include {
    /// to standard error
    Stderr,
    /// to standard output, before an empty line and the body
    Headers,
}

/// Options of asynchronous calls.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Options with --async")]
struct AsyncOptions {
    /// Location of the request body in S3, instead of a file
    #[arg(long, value_name = "S3-URI", requires = "asynchronous")]
    input_location: Option<String>,
    /// Path to append to the output location in S3
    #[arg(long, value_name = "PATH", requires = "asynchronous")]
    s3_output_path_extension: Option<String>,
    /// File name of the response in S3
    #[arg(long, value_name = "NAME", requires = "asynchronous")]
    filename: Option<String>,
    /// Maximum time in the queue, 60 to 21600
    #[arg(long, value_name = "SECONDS", requires = "asynchronous")]
    request_ttl_seconds: Option<u64>,
    /// Maximum time in the container, 1 to 3600
    #[arg(long, value_name = "SECONDS", requires = "asynchronous")]
    invocation_timeout_seconds: Option<u64>,
}

/// Invokes an endpoint and prints its response.
pub(crate) async fn run(args: &Args) -> Result<(), Fault> {
    let client = args.connection.client().await?;
    if args.asynchronous {
        return args.invoke_async(&client).await;
    }
    let body = args.body()?;
    let endpoint = args.endpoint(&body)?;
    if args.verbose {
        note(&format!("request: {} bytes of {}", body.len(), args.content_type));
    }
    let mut request = Request::new(endpoint, body).content_type(&args.content_type);
    request.accept.clone_from(&args.accept);
    let mut output = Output::new(args.output);
    let ending = match args.stream {
        true => args.streamed(&client, request, &mut output).await,
        false => args.unary(&client, request, &mut output).await,
    };
    // What was received is printed in any case.
    output.flush()?;
    ending
}

impl Args {
    fn body(&self) -> Result<Bytes, Fault> {
        let path = match &self.file {
            Some(path) => path,
            None if io::stdin().is_terminal() => {
                return Err(Fault::usage("no request body: name a file, or - to type the body"));
            }
            None => Path::new("-"),
        };
        input::read_all(path, BODY_MAX)
    }

    async fn unary(&self, client: &Client, request: Request, output: &mut Output) -> Result<(), Fault> {
        let response = client.invoke(request).await;
        let response = response.map_err(|error| unary_call_failed(&error, client, CONTAINER))?;
        self.include(&response.metadata, output);
        output.buffer().extend_from_slice(&response.body);
        Ok(())
    }

    async fn streamed(&self, client: &Client, request: Request, output: &mut Output) -> Result<(), Fault> {
        let response = client.invoke_stream(request).await;
        let mut response = response.map_err(|error| call_failed(&error, client, CONTAINER))?;
        self.include(response.metadata(), output);
        output.flush()?;
        let mut frames = match response.framing() {
            Framing::EventStream if !self.frames => Some(Frames::default()),
            _ => None,
        };
        let mut received: u64 = 0;
        loop {
            let chunk = response.chunk().await.map_err(|error| match is_before_response(&error) {
                true => call_failed(&error, client, CONTAINER),
                false => stream_broke_off(&error, received),
            })?;
            let Some(chunk) = chunk else { break };
            received += chunk.len() as u64;
            match &mut frames {
                Some(frames) => frames.feed(chunk, output)?,
                None => output.buffer().extend_from_slice(&chunk),
            }
            output.flush()?;
        }
        frames.map_or(Ok(()), Frames::finish)
    }

    /// The endpoint for a request with this body, of which the API is detected if the route depends on it.
    fn endpoint(&self, body: &[u8]) -> Result<Endpoint, Fault> {
        let api = if self.endpoint.needs_api() { detect_request(body) } else { None };
        self.endpoint.endpoint(&self.name, api)
    }

    async fn invoke_async(&self, client: &Client) -> Result<(), Fault> {
        let args = &self.async_options;
        let (input, endpoint) = match &args.input_location {
            Some(location) => (Body::Location(location.clone()), self.endpoint(b"")?),
            None => {
                let body = self.body()?;
                let endpoint = self.endpoint(&body)?;
                (Body::Inline(body), endpoint)
            }
        };
        let mut request = AsyncRequest::new(endpoint, input);
        request.content_type.clone_from(&self.content_type);
        request.accept.clone_from(&self.accept);
        request.output_path_extension.clone_from(&args.s3_output_path_extension);
        request.filename.clone_from(&args.filename);
        request.request_ttl = args.request_ttl_seconds.map(Duration::from_secs);
        request.invocation_timeout = args.invocation_timeout_seconds.map(Duration::from_secs);
        let response = client.invoke_async(request).await;
        let response = response.map_err(|error| call_failed(&error, client, CONTAINER))?;
        let mut output = Output::new(self.output);
        self.include(&response.metadata, &mut output);
        let accepted = Accepted {
            inference_id: response.inference_id.as_deref(),
            output_location: response.output_location.as_deref(),
            failure_location: response.failure_location.as_deref(),
        };
        output.buffer().extend(serde_json::to_vec(&accepted).expect("strings can be serialized"));
        output.buffer().push(b'\n');
        output.flush()
    }

    fn include(&self, metadata: &Metadata, output: &mut Output) {
        match self.include {
            None => {}
            Some(Include::Stderr) => headers(metadata).for_each(|line| note(&line)),
            Some(Include::Headers) => {
                let out = output.buffer();
                headers(metadata).for_each(|line| out.extend(line.bytes().chain(*b"\n")));
                out.push(b'\n');
            }
        }
    }
}

/// The response to an asynchronous call, as the AWS CLI prints it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Accepted<'a> {
    inference_id: Option<&'a str>,
    output_location: Option<&'a str>,
    failure_location: Option<&'a str>,
}

/// Prints the payload of frames.
#[derive(Debug, Default)]
struct Frames {
    decoder: eventstream::Decoder,
    /// Byte offset of the next frame.
    offset: usize,
}

impl Frames {
    fn feed(&mut self, mut chunk: Bytes, output: &mut Output) -> Result<(), Fault> {
        while let Some(frame) = self.decoder.decode(&mut chunk)? {
            match sagemaker::Event::parse(&frame) {
                sagemaker::Event::PayloadPart(part) => output.buffer().extend_from_slice(part.bytes),
                sagemaker::Event::Failure(failure) => {
                    let line = format!("{}: byte {}: {failure}", Layer::SageMaker, self.offset);
                    return Err(Fault::Line(Exit::Failed, line));
                }
                sagemaker::Event::Other { event_type, .. } => {
                    note(&format!("note: skipped an event of unknown type {event_type:?}"));
                }
                _ => {}
            }
            self.offset += frame.as_bytes().len();
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), Fault> {
        Ok(self.decoder.finish()?)
    }
}
