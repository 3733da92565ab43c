//! Runs an oracle over seeds and random mutations of them, which are the same on every run. `SAGEWIRE_SEEDS=write` writes the
//! seeds to the corpus of the fuzz target.

use std::path::PathBuf;

use super::random::Random;

/// Fragments that are inserted at random.
const PIECES: [&[u8]; 34] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"\\u0000",
    b"\\ud800",
    b"\xc3",
    b"\xff",
    b"\n",
    b"\r\n",
    b"data: ",
    b"event: ",
    b"[DONE]",
    b"\"index\":1,",
    b"\"error\":{},",
    b"\"text\":\"\"",
    b"{{",
    b"}}",
    b"{%",
    b"%}",
    b"$..",
    b"<|t|>",
    b"<|im_start|>",
    b"~",
    b" ",
];

/// Changes `input` at up to five random offsets.
fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(24)).min(input.len());
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 => drop(input.drain(at..end)),
            2 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            3 => {
                let from = random.below(other.len() + 1);
                let to = (from + random.below(64)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            4 => input.truncate(at.max(2)),
            5 if !input.is_empty() => input[0] = random.below(256) as u8,
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
        }
    }
}

/// Runs `oracle` over the seeds and over `count` random mutations of them.
pub fn run(target: &str, seeds: &[Vec<u8>], count: usize, oracle: fn(&[u8])) {
    assert!(seeds.len() >= 20, "{target}: {} seeds", seeds.len());
    let mut failed = Vec::new();
    let mut check = |input: &[u8]| {
        if failed.len() < 20 && std::panic::catch_unwind(|| oracle(input)).is_err() {
            failed.push(String::from_utf8_lossy(input).into_owned());
        }
    };
    seeds.iter().for_each(|seed| check(seed));
    let mut random = Random(seeds.len() as u64);
    for _ in 0..count {
        let mut input = seeds[random.below(seeds.len())].clone();
        mutate(&mut input, &seeds[random.below(seeds.len())], &mut random);
        check(&input);
    }
    assert!(failed.is_empty(), "{target} fails with {failed:#?}");
    println!("{target}: {} seeds, {count} changed", seeds.len());
    if std::env::var_os("SAGEWIRE_SEEDS").is_some_and(|value| value == "write") {
        write(target, seeds);
    }
}

/// Writes the smallest seeds as numbered files.
fn write(target: &str, seeds: &[Vec<u8>]) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut seeds: Vec<_> = seeds.iter().filter(|seed| seed.len() <= 4096).collect();
    seeds.sort_by_key(|seed| seed.len());
    for (number, seed) in seeds.iter().take(300).enumerate() {
        std::fs::write(folder.join(format!("seed_{number:03}")), seed).expect("it can be written");
    }
}
