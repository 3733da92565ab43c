//! Many interleaved streams, as in a gateway.
//!
//! Each stream gets one frame in turn; all decoders live from the first frame to the last. This is compared with the same
//! number of frames of one long stream, decoded alone.

use std::time::{Duration, Instant};

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use bytes::{Buf, Bytes};
use bytes_utils::SegmentedBuf;
use sagewire_codec::Decoder;
use sse_core::{SseDecoder, SseEvent};

use crate::counting::allocated;
use crate::frames::frame;
use crate::measure::median;
use crate::openai_stream::{DONE, Stream, data};
use crate::proof;
use crate::script::Script;
use crate::subjects::records::{Minimal, NOT_DONE, Record};
use crate::subjects::sagewire::observe;
use crate::subjects::smithy::is_part;
use crate::subjects::{label_of_best, label_of_sagewire};
use crate::tally::{Answer, Fault, Kind, Tally};
use crate::workload::Expected;

/// Events of each stream.
const EVENTS: usize = 100;

/// Most events of the long stream, which is decoded repeatedly.
const LONG: usize = 10_000;

/// Number of different streams; the others are copies. Their frames stay in the cache, as after a read from
/// a socket.
const SCRIPTS: usize = 16;

/// How to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Streams at once.
    pub streams: usize,
    /// Runs of each subject, of which the median is used.
    pub rounds: usize,
}

/// The result of one subject.
#[derive(Clone, Debug)]
pub struct Row {
    /// The subject.
    pub subject: String,
    /// The versions of the packages that the subject uses.
    pub version: String,
    /// The cost, or why there is none.
    pub outcome: Result<Cost, String>,
}

/// Speed and memory.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// One long stream alone, warm, in MB/s of input.
    pub alone: f64,
    /// The streams one after the other, each with a new decoder, in MB/s.
    pub in_a_row: f64,
    /// All streams interleaved, in MB/s.
    pub in_turn: f64,
    /// Peak bytes that each stream holds between frames, including its decoder.
    pub bytes_per_stream: f64,
}

impl Cost {
    /// The speed of interleaved streams relative to one alone.
    pub fn ratio(&self) -> f64 {
        self.in_turn / self.alone
    }
}

/// A decoder that takes one read at a time.
trait Fed: Default {
    fn feed(&mut self, chunk: Bytes, tally: &mut Tally) -> Result<(), Fault>;
    fn finish(&mut self, tally: &mut Tally) -> Result<(), Fault>;
}

#[derive(Default)]
struct Sagewire(Decoder);

impl Fed for Sagewire {
    #[inline]
    fn feed(&mut self, mut chunk: Bytes, tally: &mut Tally) -> Result<(), Fault> {
        while let Some(event) = self.0.decode(&mut chunk)? {
            observe(event, tally);
        }
        Ok(())
    }

    #[inline]
    fn finish(&mut self, tally: &mut Tally) -> Result<(), Fault> {
        while let Some(event) = self.0.finish()? {
            observe(event, tally);
        }
        Ok(())
    }
}

/// The fastest peers that take one read at a time: smithy, sse-core and minimal structs.
#[derive(Default)]
struct Peers {
    frames: MessageFrameDecoder,
    buffer: SegmentedBuf<Bytes>,
    events: SseDecoder,
    done: bool,
}

impl Fed for Peers {
    #[inline]
    fn feed(&mut self, chunk: Bytes, tally: &mut Tally) -> Result<(), Fault> {
        self.buffer.push(chunk);
        while self.buffer.has_remaining() {
            let DecodedFrame::Complete(message) = self.frames.decode_frame(&mut self.buffer)? else { break };
            if !is_part(&message)? {
                continue;
            }
            let mut payload = message.payload().clone();
            while let Some(event) = self.events.next(&mut payload) {
                match event? {
                    SseEvent::Message(message) if message.data == DONE => self.done = true,
                    SseEvent::Message(message) => Minimal::read(&message.data, tally)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Tally) -> Result<(), Fault> {
        if self.done { Ok(()) } else { Err(NOT_DONE.into()) }
    }
}

/// The input and the expected results.
struct Input {
    /// One frame per read.
    scripts: Vec<Vec<Bytes>>,
    long: Vec<Bytes>,
    /// Repetitions of the long stream, to have as many frames as all streams together.
    long_times: usize,
    streams: usize,
    truth: [Expected; 3],
}

/// Measures all of them.
pub fn measure(plan: &Plan) -> Vec<Row> {
    let input = Input::new(plan.streams);
    let mut contests =
        [Contest::new::<Sagewire>(label_of_sagewire()), Contest::new::<Peers>(label_of_best())];
    contests.iter_mut().for_each(|contest| contest.prove(&input));
    for _ in 0..plan.rounds {
        contests.iter_mut().for_each(|contest| contest.round(&input));
    }
    contests.into_iter().map(|contest| contest.row(&input)).collect()
}

impl Input {
    fn new(streams: usize) -> Self {
        let scripts: Vec<Stream> =
            (0..SCRIPTS).map(|seed| Script::new(0x5a9e_1000 + seed as u64).plain(EVENTS)).collect();
        let long = Script::new(0x5a9e_0006).plain(LONG.min(streams * EVENTS));
        let long_times = (streams * EVENTS / long.events.len()).max(1);

        let texts: Vec<Vec<Vec<(Kind, String)>>> = scripts.iter().map(texts).collect();
        let one_after_the_other = (0..streams).flat_map(|stream| texts[stream % SCRIPTS].iter().flatten());
        let in_turn = (0..EVENTS).flat_map(|event| {
            let texts = &texts;
            (0..streams).flat_map(move |stream| &texts[stream % SCRIPTS][event])
        });
        let alone = std::iter::repeat_n(&long.deltas, long_times).flatten();
        let truth =
            [Expected::of_texts(alone), Expected::of_texts(one_after_the_other), Expected::of_texts(in_turn)];
        let scripts = scripts.iter().map(frames).collect();
        Self { scripts, long: frames(&long), long_times, streams, truth }
    }

    fn script(&self, stream: usize) -> &[Bytes] {
        &self.scripts[stream % SCRIPTS]
    }

    /// Bytes of the long stream with its repetitions, and of all other streams.
    fn len(&self) -> (f64, f64) {
        let len = |frames: &[Bytes]| frames.iter().map(Bytes::len).sum::<usize>();
        let all: usize = (0..self.streams).map(|stream| len(self.script(stream))).sum();
        ((len(&self.long) * self.long_times) as f64, all as f64)
    }
}

/// A frame for each event.
fn frames(stream: &Stream) -> Vec<Bytes> {
    let frame = |event: &String| {
        let mut bytes = Vec::new();
        frame(event.as_bytes(), &mut bytes);
        Bytes::from_owner(bytes)
    };
    stream.events.iter().map(frame).collect()
}

/// The deltas of each event.
fn texts(stream: &Stream) -> Vec<Vec<(Kind, String)>> {
    let records = stream.events.iter().map(|event| data(event).filter(|record| *record != DONE));
    records.map(|record| proof::deltas(record).unwrap_or_default()).collect()
}

/// A way to run through the input. Returns the peak bytes that all streams hold.
type Way = fn(&Input, &mut Tally) -> Result<u64, Fault>;

/// A subject and its results so far.
struct Contest {
    subject: String,
    version: String,
    /// Alone, one after the other, interleaved.
    ways: [Way; 3],
    times: [Vec<Duration>; 3],
    held: u64,
    fault: Option<String>,
}

impl Contest {
    fn new<F: Fed>((subject, version): (String, String)) -> Self {
        let ways: [Way; 3] = [alone::<F>, in_a_row::<F>, in_turn::<F>];
        Self { subject, version, ways, times: Default::default(), held: 0, fault: None }
    }

    /// Runs each way once and hashes every byte.
    fn prove(&mut self, input: &Input) {
        for (way, expected) in self.ways.into_iter().zip(input.truth) {
            if let Err(fault) = go(way, input, Tally::thorough(), expected.thorough) {
                self.fault = Some(fault);
            }
        }
    }

    fn round(&mut self, input: &Input) {
        for ((way, times), expected) in self.ways.into_iter().zip(&mut self.times).zip(input.truth) {
            match go(way, input, Tally::timed(), expected.timed) {
                Ok((time, held)) => {
                    times.push(time);
                    self.held = self.held.max(held);
                }
                Err(fault) => self.fault = Some(fault),
            }
        }
    }

    fn row(self, input: &Input) -> Row {
        let Self { subject, version, times: [alone, in_a_row, in_turn], held, fault, .. } = self;
        let (long, all) = input.len();
        let speed = |len: f64, times| len * 1e3 / median(times).as_nanos().max(1) as f64;
        let outcome = match fault {
            Some(fault) => Err(fault),
            None => Ok(Cost {
                alone: speed(long, alone),
                in_a_row: speed(all, in_a_row),
                in_turn: speed(all, in_turn),
                bytes_per_stream: held as f64 / input.streams as f64,
            }),
        };
        Row { subject, version, outcome }
    }
}

/// The time and the peak bytes of all streams, if the result is correct.
fn go(way: Way, input: &Input, mut tally: Tally, expected: Answer) -> Result<(Duration, u64), String> {
    let start = Instant::now();
    let held = way(input, &mut tally).map_err(|fault| fault.to_string())?;
    let time = start.elapsed();
    if tally.answer() == expected { Ok((time, held)) } else { Err("wrong answer".to_owned()) }
}

fn alone<F: Fed>(input: &Input, tally: &mut Tally) -> Result<u64, Fault> {
    for _ in 0..input.long_times {
        one::<F>(&input.long, tally)?;
    }
    Ok(0)
}

fn in_a_row<F: Fed>(input: &Input, tally: &mut Tally) -> Result<u64, Fault> {
    for stream in 0..input.streams {
        one::<F>(input.script(stream), tally)?;
    }
    Ok(0)
}

fn one<F: Fed>(frames: &[Bytes], tally: &mut Tally) -> Result<(), Fault> {
    let mut fed = F::default();
    for frame in frames {
        fed.feed(frame.clone(), tally)?;
    }
    fed.finish(tally)
}

fn in_turn<F: Fed>(input: &Input, tally: &mut Tally) -> Result<u64, Fault> {
    let before = allocated();
    let mut held = 0;
    let mut all: Vec<F> = std::iter::repeat_with(F::default).take(input.streams).collect();
    for event in 0..EVENTS {
        for (stream, fed) in all.iter_mut().enumerate() {
            fed.feed(input.script(stream)[event].clone(), tally)?;
        }
        held = held.max(allocated().saturating_sub(before));
    }
    for fed in &mut all {
        fed.finish(tally)?;
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_right_in_every_order() {
        let rows = measure(&Plan { streams: 40, rounds: 1 });
        assert_eq!(rows.len(), 2);
        for Row { subject, outcome, .. } in rows {
            let cost = outcome.unwrap_or_else(|fault| panic!("{subject}: {fault}"));
            assert!(cost.alone > 0.0 && cost.in_a_row > 0.0 && cost.in_turn > 0.0, "{cost:?}");
        }
    }
}
