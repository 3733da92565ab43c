//! `sagewire invoke`: any request, and what the container answers, as it is.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sagewire_codec::{Framing, Layer, eventstream, sagemaker};
use sagewire_transport_reqwest::{AsyncRequest, Client, Endpoint, Input as Body, Metadata, Request};
use serde::Serialize;

use crate::connection::{self, ENVIRONMENT};
use crate::endpoint;
use crate::fault::{Exit, Fault, note};
use crate::input::Input;
use crate::output::Output;
use crate::service::{CONTAINER, broken_off, cut_off, headers, refused};

/// Bytes of the largest body that is read. The service takes 25 MB.
const BODY_MAX: usize = 64 * 1024 * 1024;
/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;

/// Arguments of `sagewire invoke`.
#[derive(Debug, clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub(crate) struct Args {
    // Before what has a heading: these have none.
    /// Name of the endpoint
    #[arg(value_name = "ENDPOINT")]
    name: String,
    /// The body; - is standard input, as is nothing, unless that is a terminal
    #[arg(value_name = "FILE", conflicts_with = "input_location")]
    file: Option<PathBuf>,
    /// Print the answer as it comes, without the frames around it
    #[arg(long)]
    stream: bool,
    /// Print the frames of a stream as they come: what sagewire decode reads
    #[arg(long, requires = "stream")]
    frames: bool,
    /// Have the answer put into S3, and print as JSON where it will be
    #[arg(long = "async", conflicts_with = "stream")]
    asynchronous: bool,
    /// Media type of the body
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// Media type that the container is asked for
    #[arg(long, value_name = "TYPE")]
    accept: Option<String>,
    /// Print what the headers of the answer say: on standard error, or before the body
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
    #[command(flatten)]
    asynchronously: Asynchronously,
    #[command(flatten)]
    endpoint: endpoint::Args,
    #[command(flatten)]
    connection: connection::Args,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Include {
    /// On standard error
    Stderr,
    /// On standard output, before the body and an empty line
    Headers,
}

/// What only asynchronous calls know.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "With --async")]
struct Asynchronously {
    /// Where in S3 the body is, in place of a file
    #[arg(long, value_name = "S3-URI", requires = "asynchronous")]
    input_location: Option<String>,
    /// What the path of the answer in S3 has in addition
    #[arg(long, value_name = "PATH", requires = "asynchronous")]
    s3_output_path_extension: Option<String>,
    /// Name of the file that the answer becomes
    #[arg(long, value_name = "NAME", requires = "asynchronous")]
    filename: Option<String>,
    /// Seconds that the request may wait for an instance, 60 to 21600
    #[arg(long, value_name = "SECONDS", requires = "asynchronous")]
    request_ttl_seconds: Option<u64>,
    /// Seconds that the container may take, 1 to 3600
    #[arg(long, value_name = "SECONDS", requires = "asynchronous")]
    invocation_timeout_seconds: Option<u64>,
}

/// Invokes an endpoint, and prints what comes.
pub(crate) async fn run(args: &Args, verbose: bool) -> Result<(), Fault> {
    let client = args.connection.client().await?;
    let endpoint = args.endpoint.endpoint(&args.name)?;
    if args.asynchronous {
        return args.asynchronously(&client, endpoint).await;
    }
    let body = args.body()?;
    if verbose {
        note(&format!("request: {} bytes of {}", body.len(), args.content_type));
    }
    let mut request = Request::new(endpoint, body).content_type(&args.content_type);
    request.accept.clone_from(&args.accept);
    let mut output = Output::default();
    let ending = match args.stream {
        true => args.streamed(&client, request, &mut output).await,
        false => args.whole(&client, request, &mut output).await,
    };
    // What came is printed, whatever came next.
    output.flush()?;
    ending
}

impl Args {
    fn body(&self) -> Result<Bytes, Fault> {
        let path = match &self.file {
            Some(path) => path,
            None if io::stdin().is_terminal() => {
                return Err(Fault::usage("there is nothing to send: name a file, or - to type the body"));
            }
            None => Path::new("-"),
        };
        let mut input = Input::open(path, BLOCK)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = input.next()? {
            if chunk.len() > BODY_MAX - body.len() {
                return Err(Fault::usage(format!("{}: has more than {BODY_MAX} bytes", path.display())));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    async fn whole(&self, client: &Client, request: Request, output: &mut Output) -> Result<(), Fault> {
        let response = client.invoke(request).await.map_err(|error| broken_off(&error, CONTAINER))?;
        self.include(&response.metadata, output);
        output.buffer().extend_from_slice(&response.body);
        Ok(())
    }

    async fn streamed(&self, client: &Client, request: Request, output: &mut Output) -> Result<(), Fault> {
        let mut response = client.invoke_stream(request).await.map_err(|error| refused(&error))?;
        self.include(response.metadata(), output);
        output.flush()?;
        let mut frames = match response.framing() {
            Framing::EventStream if !self.frames => Some(Frames::default()),
            _ => None,
        };
        let mut received: u64 = 0;
        loop {
            let chunk = response.chunk().await.map_err(|error| cut_off(&error, received))?;
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

    async fn asynchronously(&self, client: &Client, endpoint: Endpoint) -> Result<(), Fault> {
        let args = &self.asynchronously;
        let input = match &args.input_location {
            Some(location) => Body::Location(location.clone()),
            None => Body::Inline(self.body()?),
        };
        let mut request = AsyncRequest::new(endpoint, input);
        request.content_type.clone_from(&self.content_type);
        request.accept.clone_from(&self.accept);
        request.output_path_extension.clone_from(&args.s3_output_path_extension);
        request.filename.clone_from(&args.filename);
        request.request_ttl = args.request_ttl_seconds.map(Duration::from_secs);
        request.invocation_timeout = args.invocation_timeout_seconds.map(Duration::from_secs);
        let response = client.invoke_async(request).await.map_err(|error| refused(&error))?;
        let mut output = Output::default();
        self.include(&response.metadata, &mut output);
        let accepted = Accepted {
            inference_id: response.inference_id.as_deref(),
            output_location: response.output_location.as_deref(),
            failure_location: response.failure_location.as_deref(),
        };
        output.buffer().extend(serde_json::to_vec(&accepted).expect("strings are JSON"));
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

/// The answer to an asynchronous call, as AWS's command line has it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Accepted<'a> {
    inference_id: Option<&'a str>,
    output_location: Option<&'a str>,
    failure_location: Option<&'a str>,
}

/// Takes the frames off.
#[derive(Debug, Default)]
struct Frames {
    decoder: eventstream::Decoder,
    /// Where the next frame begins.
    offset: usize,
}

impl Frames {
    fn feed(&mut self, mut chunk: Bytes, output: &mut Output) -> Result<(), Fault> {
        while let Some(frame) = self.decoder.decode(&mut chunk)? {
            match sagemaker::Event::parse(&frame) {
                sagemaker::Event::PayloadPart(bytes) => output.buffer().extend_from_slice(bytes),
                sagemaker::Event::Failure(failure) => {
                    let line = format!("{}: byte {}: {failure}", Layer::SageMaker, self.offset);
                    return Err(Fault::Line(Exit::Failed, line));
                }
                sagemaker::Event::Other { event_type, .. } => {
                    note(&format!("note: an event of unknown type {event_type:?} is left out"));
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
