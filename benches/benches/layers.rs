//! The speed of each of sagewire's layers, in bytes of its input.
//!
//! Each result is checked once before anything is measured.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sagewire_benches::formats::Source;
use sagewire_benches::measure::prove;
use sagewire_benches::reads::{Chunks, Reads, cut};
use sagewire_benches::subjects::{Measure, Run, sagewire};
use sagewire_benches::tally::Tally;
use sagewire_benches::workload::Workload;

const EVENTS: usize = 2000;
const READ: usize = 8192;

fn layers(criterion: &mut Criterion) {
    for name in ["openai", "openai-ragged", "openai-tools", "openai-changing"] {
        let workload = Workload::load(name, EVENTS).expect("the workload is generated");
        let framed = cut(&workload.framed, READ);
        let sse = cut(&workload.sse, READ);
        layer(criterion, Measure::Frames, &workload, &framed);
        layer(criterion, Measure::Sse, &workload, &sse);
        json_lines(criterion, &workload);
        layer(criterion, Measure::Decode, &workload, &framed);
        layer(criterion, Measure::TranscodeBedrock, &workload, &framed);
        layer(criterion, Measure::TranscodeOpenai, &workload, &framed);
    }
    for source in Source::OTHERS {
        let workload = Workload::load(source.name(), EVENTS).expect("the workload is generated");
        layer(criterion, Measure::Decode, &workload, &cut(&workload.framed, READ));
    }
}

fn layer(criterion: &mut Criterion, measure: Measure, workload: &Workload, chunks: &Chunks) {
    let subjects = measure.subjects(workload.source);
    let ours = subjects.first().expect("sagewire is the first");
    if let Err(fault) = prove(measure, ours, workload, chunks) {
        panic!("{} on {}: {fault}", measure.name(), workload.name);
    }
    run(criterion, measure.name(), workload, chunks, ours.run);
}

fn json_lines(criterion: &mut Criterion, workload: &Workload) {
    let chunks = cut(&workload.json_lines, READ);
    let mut tally = Tally::thorough();
    sagewire::json_lines(workload, &mut Reads::uncounted(&chunks), &mut tally);
    assert_eq!(tally.answer(), workload.truth.json_lines.thorough);
    run(criterion, "json-lines", workload, &chunks, sagewire::json_lines);
}

fn run(criterion: &mut Criterion, name: &str, workload: &Workload, chunks: &Chunks, subject: Run) {
    let len = chunks.iter().map(Bytes::len).sum::<usize>();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(len as u64));
    group.bench_function(workload.name, |bencher| {
        bencher.iter(|| {
            let mut tally = Tally::timed();
            subject(workload, &mut Reads::uncounted(chunks), &mut tally);
            tally.answer()
        });
    });
    group.finish();
}

criterion_group!(benches, layers);
criterion_main!(benches);
