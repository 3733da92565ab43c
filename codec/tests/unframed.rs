//! Decodes the payloads for a transport that has already removed the frames: the same events, the same endings.
#![cfg(feature = "stream")]

mod common;

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use sagewire_codec::model::Event;
use sagewire_codec::stream::{Chunk, Error, Events, Transcoded};
use sagewire_codec::{Api, DecodeErrorKind, Decoder, Failure, Framing, Layer, Options, Transcoder};

/// A stream that has all its items ready.
struct Ready(std::vec::IntoIter<Chunk>);

impl Stream for Ready {
    type Item = Result<Chunk, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

fn all<S: Stream + Unpin>(mut stream: S) -> Vec<S::Item> {
    let mut items = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(item)) = Pin::new(&mut stream).poll_next(&mut context) {
        items.push(item);
    }
    items
}

fn unframed(chunks: Vec<Chunk>) -> (Vec<Event<'static>>, Option<sagewire_codec::DecodeError>) {
    let decoder = Decoder::with_options(Options::new().framing(Framing::Unframed));
    let (mut events, mut ending) = (Vec::new(), None);
    for item in all(Events::new(Ready(chunks.into_iter()), decoder)) {
        match item {
            Ok(event) => events.push(event),
            Err(Error::Decode(error)) => ending = Some(error),
            Err(Error::Transport(never)) => match never {},
        }
    }
    (events, ending)
}

const BODIES: [&str; 4] = [
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hé\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    "{\"token\":{\"id\":1,\"text\":\"a\"}}\n{\"token\":{\"id\":2,\"text\":\"b\"},\"generated_text\":\"ab\"}\n",
    "[{\"generated_text\":\"whole\"}]",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"cut\"},\"finish_reason\":null}]}\n\n",
];

#[test]
fn payloads_decode_without_frames() {
    for body in BODIES {
        let mut decoder = Decoder::with_options(Options::new().framing(Framing::Auto));
        let (mut expected, mut chunk) = (Vec::new(), Bytes::from_static(body.as_bytes()));
        while let Some(event) = decoder.decode(&mut chunk).expect("good") {
            expected.push(event.into_owned());
        }
        let error = loop {
            match decoder.finish() {
                Ok(Some(event)) => expected.push(event.into_owned()),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        for size in [1, 7, 1000] {
            let chunks = body.as_bytes().chunks(size).map(|cut| Bytes::copy_from_slice(cut).into()).collect();
            assert_eq!(unframed(chunks), (expected.clone(), error.clone()), "{body}");
        }
    }
}

#[test]
fn an_exception_ends_the_stream_after_its_events() {
    let failure = || Failure::new("ModelStreamError", Some("StreamBroken".into()), "broken");
    let chunks = || vec![Bytes::from_static(BODIES[3].as_bytes()).into(), Chunk::Failure(failure())];
    let (events, ending) = unframed(chunks());
    let texts = events.iter().filter(|event| matches!(event, Event::TextDelta { text, .. } if text == "cut"));
    assert_eq!(texts.count(), 1);
    assert_eq!(ending.as_ref().and_then(|error| error.failure()), Some(&failure()));

    // The converted stream reports it in the target's format.
    let options = Options::new().framing(Framing::Unframed);
    let transcoder = Transcoder::new(options, Api::OpenAi, Default::default()).expect("it is written");
    let items = all(Transcoded::new(Ready(chunks().into_iter()), transcoder));
    let (error, bytes) = items.split_last().expect("something");
    assert!(matches!(error, Err(Error::Decode(error)) if error.failure() == Some(&failure())));
    let bytes: Vec<u8> = bytes.iter().flat_map(|piece| piece.as_ref().expect("bytes").to_vec()).collect();
    let text = String::from_utf8(bytes).expect("text");
    assert!(text.contains("cut") && text.contains("StreamBroken") && !text.contains("[DONE]"), "{text}");

    // A failure after the end changes nothing.
    let mut decoder = Decoder::with_options(Options::new().framing(Framing::Unframed));
    let mut chunk = Bytes::from_static(BODIES[0].as_bytes());
    while decoder.decode(&mut chunk).expect("good").is_some() {}
    while decoder.finish().expect("good").is_some() {}
    decoder.fail(failure());
    assert!(matches!(decoder.finish(), Ok(None)));
}

#[test]
fn a_frame_error_ends_the_stream_as_with_frames() {
    let fault = || {
        let kind = DecodeErrorKind::PreludeChecksum { computed: 1, found: 2 };
        sagewire_codec::DecodeError::new(Layer::EventStream, 7, kind)
    };
    // Also after a complete response: the transport cannot know what the rest was.
    for (body, text) in [(BODIES[3], "cut"), (BODIES[0], "hé")] {
        let chunks = vec![Bytes::from_static(body.as_bytes()).into(), Chunk::Error(fault())];
        let (events, ending) = unframed(chunks);
        assert!(
            events.iter().any(|event| matches!(event, Event::TextDelta { text: found, .. } if found == text))
        );
        assert_eq!(ending, Some(fault()));
    }
}
