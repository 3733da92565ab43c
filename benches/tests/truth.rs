//! The workloads are deterministic, and sagewire decodes from them what the generator wrote.

use sagewire_benches::catalog::NAMES;
use sagewire_benches::formats::{Source, Target};
use sagewire_benches::measure::{READS, prove};
use sagewire_benches::reads::{Chunks, Reads, cut};
use sagewire_benches::subjects::{Measure, sagewire};
use sagewire_benches::tally::{Answer, Tally};
use sagewire_benches::workload::Workload;

fn workloads() -> impl Iterator<Item = Workload> {
    NAMES.into_iter().map(|name| Workload::load(name, 600).unwrap())
}

#[test]
fn workloads_are_deterministic() {
    for (one, two) in workloads().zip(workloads()) {
        assert_eq!(one.framed, two.framed, "{}", one.name);
        assert_eq!(one.sse, two.sse, "{}", one.name);
        assert_eq!(one.truth.text, two.truth.text, "{}", one.name);
    }
}

#[test]
fn workloads_are_what_they_say() {
    for workload in workloads() {
        let Answer { events, .. } = workload.truth.text;
        assert!((400..=600).contains(&events), "{}: {events}", workload.name);
        assert!((550..=600).contains(&workload.records), "{}: {}", workload.name, workload.records);
    }
    let [openai, ragged, ..] = &workloads().collect::<Vec<_>>()[..] else { panic!("four workloads") };
    assert_eq!(openai.sse, ragged.sse);
    assert_eq!(openai.truth.frames.timed.events, openai.records);
    assert_ne!(ragged.framed, openai.framed);
    let json = openai.json_lines.len() as u64 / (openai.records - 1);
    assert!((220..=260).contains(&json), "{json} bytes of JSON a chunk");
}

#[test]
fn sagewire_finds_the_truth() {
    for workload in workloads() {
        for len in READS.into_iter().chain([97]) {
            let framed = workload.framed_in(len);
            for measure in
                [Measure::Decode, Measure::TranscodeBedrock, Measure::TranscodeOpenai, Measure::Frames]
            {
                proven(measure, &workload, &framed);
            }
            proven(Measure::Sse, &workload, &workload.sse_in(len));

            let mut tally = Tally::thorough();
            let lines = cut(&workload.json_lines, len);
            sagewire::json_lines(&workload, &mut Reads::uncounted(&lines), &mut tally);
            assert_eq!(tally.answer(), workload.truth.json_lines.thorough, "{}", workload.name);
        }
    }
}

fn proven(measure: Measure, workload: &Workload, chunks: &Chunks) {
    let subjects = measure.subjects(workload.source);
    assert_eq!(subjects[0].name, "sagewire");
    if let Err(fault) = prove(measure, &subjects[0], workload, chunks) {
        panic!("{} on {}: {fault}", measure.name(), workload.name);
    }
}

#[test]
fn all_formats_are_decoded_and_written_by_everyone() {
    for source in Source::ALL {
        let workload = Workload::load(source.name(), 600).unwrap();
        assert_eq!((workload.source, workload.records), (source, 600));
        // Responses has nine records around its text: those of the response, its item and its part.
        let least = if source == Source::Responses { 591 } else { 594 };
        assert!((least..=600).contains(&workload.truth.text.events), "{}", source.name());
        let pairs = Target::ALL.map(Measure::Pair);
        for measure in [Measure::Decode].into_iter().chain(pairs) {
            for len in [8192, 97] {
                let framed = workload.framed_in(len);
                proven(measure, &workload, &framed);
                for subject in measure.subjects(source) {
                    if let Err(fault) = prove(measure, &subject, &workload, &framed) {
                        panic!("{}, {} on {}: {fault}", subject.name, measure.name(), workload.name);
                    }
                }
            }
        }
        let cut_short = cut(&workload.framed[..workload.framed.len() / 2], 8192);
        for subject in Measure::Decode.subjects(source) {
            assert!(prove(Measure::Decode, &subject, &workload, &cut_short).is_err(), "{}", subject.name);
        }
    }
}

#[test]
fn the_lower_bounds_find_the_truth() {
    for workload in workloads() {
        if workload.needle.is_empty() {
            continue;
        }
        for subject in Measure::Limit.subjects(workload.source) {
            if let Err(fault) = prove(Measure::Limit, &subject, &workload, &Vec::new().into()) {
                panic!("{} on {}: {fault}", subject.name, workload.name);
            }
        }
    }
}

#[test]
fn a_wrong_answer_is_not_proven() {
    let workload = Workload::load("openai", 100).unwrap();
    let subject = &Measure::Decode.subjects(workload.source)[0];
    let other = Workload::load("openai", 101).unwrap();
    let fault = prove(Measure::Decode, subject, &workload, &cut(&other.framed, 8192)).unwrap_err();
    assert!(fault.contains("recovered 97 of 96 events"), "{fault}");
    let cut_short = cut(&workload.framed[..workload.framed.len() / 2], 8192);
    assert!(prove(Measure::Decode, subject, &workload, &cut_short).is_err());
}
