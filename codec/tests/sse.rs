//! Server-sent events: zero copy, limits and the literal reference. Vectors, endless input, and output that resists injection
//! are in `scorecard.rs`.

mod common;
mod oracles;

use bytes::Bytes;
use common::every_cut;
use proptest::prelude::*;
use sagewire_codec::Limits;
use sagewire_codec::sse::Decoder;

#[test]
fn data_in_one_chunk_is_not_copied() {
    let mut chunk = Bytes::from_static(b": ping\n\nevent: x\ndata: hello\n\n");
    let all = chunk.clone();
    let mut decoder = Decoder::new();
    let event = decoder.decode(&mut chunk).expect("good").expect("an event");
    assert!(all.as_ptr_range().contains(&event.data.as_ptr()));
}

#[test]
fn limits_do_not_depend_on_the_split() {
    let run = |input: &[u8]| {
        every_cut("limit", input, |chunks| {
            let limits = Limits { record: 20, ..Limits::default() };
            let mut decoder = Decoder::with_limits(limits);
            let mut events = 0;
            for mut chunk in chunks {
                loop {
                    match decoder.decode(&mut chunk) {
                        Ok(Some(_)) => events += 1,
                        Ok(None) => break,
                        Err(error) => return (events, Some(error)),
                    }
                }
            }
            (events, None)
        })
    };
    // The limit is 20 bytes for a line.
    assert_eq!(run(b"data: 12345678901234\n\n").1, None);
    let (events, error) = run(b"data: 1\n\ndata: 123456789012345\n\ndata: 3\n\n");
    assert_eq!(events, 1);
    let error = error.expect("too long");
    assert!(error.is_limit() && error.offset() == 9, "{error}");
    // It is also the limit for all lines of one event.
    assert!(run(b"data: 1234567890\ndata: 1234567890\n\n").1.is_some_and(|error| error.is_limit()));
    // Comments and unknown fields do not count.
    assert_eq!(
        run(b": 123456789012345678901234567890\nunknown: 123456789012345678901234\ndata: 1\n\n").1,
        None
    );
}

proptest! {
    #[test]
    fn agrees_with_the_reference(input in "([a-z]{0,3}(data|event|id|retry|:|\u{feff})?:? ?[0-9é\0]{0,4}(\r\n|\n|\r)){0,12}.{0,5}", seed: u8) {
        oracles::sse(&[&[seed], input.as_bytes()].concat());
    }

    #[test]
    fn agrees_with_the_reference_on_any_bytes(input in prop::collection::vec(prop_oneof![
        Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), Just(b'd'), Just(0xef), Just(0xbb), Just(0xbf), any::<u8>(),
    ], 0..80)) {
        oracles::sse(&input);
    }
}
