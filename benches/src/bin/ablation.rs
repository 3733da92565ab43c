//! Prints the effect of each fast path of the decoder: nanoseconds per event with and without it, as a Markdown table.
//!
//! `cargo run --release -p sagewire-benches --features ablation --bin ablation`
//!
//! All variants run in turn, round after round, and the fastest round of each counts, because other processes only make a
//! round slower.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sagewire_benches::reads::{Chunks, cut};
use sagewire_benches::workload::Workload;
use sagewire_codec::Decoder;
use sagewire_codec::ablation::{Shortcut, switch_off};

/// The number of records in each workload: few enough for a run within one time slice.
const RECORDS: usize = 1_000;
const ROUNDS: usize = 600;
/// The length of a full buffer.
const READ: usize = 8192;

/// The workloads in frames, and the same as plain server-sent events for those that have them.
const WORKLOADS: [&str; 8] = [
    "openai",
    "openai-ragged",
    "openai-tools",
    "openai-changing",
    "tgi",
    "lmi",
    "anthropic",
    "converse-stream",
];

fn main() -> ExitCode {
    println!("| input | all | without {} |", Shortcut::ALL.map(name).join(" | without "));
    println!("|---|{}", "--:|".repeat(Shortcut::ALL.len() + 1));
    for workload in WORKLOADS {
        let loaded = match Workload::load(workload, RECORDS) {
            Ok(loaded) => loaded,
            Err(fault) => {
                eprintln!("{workload}: {fault}");
                return ExitCode::FAILURE;
            }
        };
        // Ragged parts differ from aligned ones only in their frames.
        let sse = if workload == "openai-ragged" { Bytes::new() } else { loaded.sse };
        for (framing, bytes) in [("frames", loaded.framed), ("SSE", sse)] {
            if !bytes.is_empty() {
                row(&format!("{workload}, {framing}"), &cut(&bytes, READ));
            }
        }
    }
    ExitCode::SUCCESS
}

/// Measures one input with all fast paths, and without each of them.
fn row(input: &str, chunks: &Chunks) {
    let variants: Vec<Vec<Shortcut>> =
        std::iter::once(Vec::new()).chain(Shortcut::ALL.map(|shortcut| vec![shortcut])).collect();
    let mut fastest = vec![Duration::MAX; variants.len()];
    let mut events = 0;
    for _ in 0..ROUNDS {
        for (variant, fastest) in variants.iter().zip(&mut fastest) {
            switch_off(variant);
            // Trains the branch predictor for the variant.
            decode(chunks);
            let start = Instant::now();
            events = decode(chunks);
            *fastest = start.elapsed().min(*fastest);
        }
    }
    let nanos = |time: &Duration| time.as_nanos() as f64 / events as f64;
    let [all, without @ ..] = &fastest[..] else { return };
    let cells = without.iter().map(|time| {
        let buys = (nanos(time) / nanos(all) - 1.0) * 100.0;
        format!("{:.0} ({buys:+.0} %)", nanos(time))
    });
    println!("| {input} | {:.0} | {} |", nanos(all), cells.collect::<Vec<_>>().join(" | "));
}

/// Decodes a stream, and returns its number of events.
fn decode(chunks: &Chunks) -> u64 {
    let mut decoder = Decoder::new();
    let mut events = 0;
    for chunk in chunks.iter() {
        let mut chunk = chunk.clone();
        while let Ok(Some(event)) = decoder.decode(&mut chunk) {
            black_box(event);
            events += 1;
        }
    }
    events
}

/// The name of a fast path in the table.
fn name(shortcut: Shortcut) -> &'static str {
    match shortcut {
        Shortcut::ShapeCache => "shape cache",
        Shortcut::FrameHeaders => "frame headers",
        Shortcut::ReadAhead => "reading ahead",
        Shortcut::OneLine => "one line",
        Shortcut::OneDelta => "one delta",
        Shortcut::TextWindow => "text window",
    }
}
