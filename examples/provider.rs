//! A provider for an agent framework: a trait that returns a `Stream` of the framework's own events. Nothing here needs
//! tokio: the bytes may come from anywhere, here from a thread that blocks.
//!
//! `cargo run -p sagewire-examples --example provider`

use std::io::{self, Read};
use std::pin::Pin;
use std::thread;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::executor::block_on;
use futures::{SinkExt, Stream, StreamExt, stream};
use sagewire_codec::Decoder;
use sagewire_codec::model::Event;
use sagewire_codec::stream::Events;
use sagewire_examples::{CHAT, Error, blocking_stream, endpoint};
use sagewire_transport::Request;

/// The events of the framework.
#[derive(Debug, PartialEq)]
enum Delta {
    Text(String),
    ToolInput(String),
    Done { reason: String },
}

/// The provider trait of the framework.
trait Model {
    fn stream(&self, prompt: &str) -> Pin<Box<dyn Stream<Item = Result<Delta, Error>>>>;
}

struct SageMaker {
    url: String,
    endpoint: String,
}

impl Model for SageMaker {
    fn stream(&self, prompt: &str) -> Pin<Box<dyn Stream<Item = Result<Delta, Error>>>> {
        let body = CHAT.replace("Who are you?", prompt);
        let request = Request::new(self.endpoint.as_str(), body);
        let chunks = match blocking_stream(&self.url, &request) {
            Ok(read) => chunks(read),
            Err(error) => return Box::pin(stream::iter([Err(error)])),
        };
        let events = Events::new(chunks, Decoder::new());
        Box::pin(events.filter_map(|event| async move {
            match event {
                Ok(Event::TextDelta { text, .. }) => Some(Ok(Delta::Text(text.into_owned()))),
                Ok(Event::ToolInputDelta { text, .. }) => Some(Ok(Delta::ToolInput(text.into_owned()))),
                Ok(Event::Finish { reason, .. }) => Some(Ok(Delta::Done { reason: reason.as_str().into() })),
                Ok(_) => None,
                Err(error) => Some(Err(error.into())),
            }
        }))
    }
}

/// Reads in a thread of its own, at most one chunk ahead of the receiver.
fn chunks(mut read: impl Read + Send + 'static) -> mpsc::Receiver<io::Result<Bytes>> {
    let (mut sender, receiver) = mpsc::channel(0);
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        loop {
            let chunk = match read.read(&mut buffer) {
                Ok(0) => return,
                Ok(len) => Ok(Bytes::copy_from_slice(&buffer[..len])),
                Err(error) => Err(error),
            };
            // If the stream was dropped, drop the connection.
            if block_on(sender.send(chunk)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Runs the example.
///
/// # Errors
///
/// Anything that fails.
pub fn main() -> Result<(), Error> {
    let endpoint = endpoint()?;
    let model = SageMaker { url: endpoint.url(), endpoint: "my-llm".into() };
    let deltas: Vec<_> = block_on(model.stream("Hello?").collect());
    for delta in &deltas {
        println!("{delta:?}");
    }
    assert!(matches!(deltas.last(), Some(Ok(Delta::Done { .. }))));
    Ok(())
}
