//! Files with random mistakes: they are read or refused, at a position within the file, and without a secret in a message.

use sagewire_gateway::config::Config;

use crate::{CANARY, Directory, litellm, own, read_in};

/// Pieces of YAML that change what is around them.
const PIECES: [&str; 22] = [
    ":", "-", "[", "]", "{", "}", "\n", " ", "\t", "'", "\"", "&a", "*a", "!x", "|", "#", "${", "}}", "null",
    "9", "é", "\u{0}",
];

/// The same numbers on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

#[test]
fn any_text_is_read_or_refused() {
    let directory = Directory::new();
    directory.file("team-a", CANARY);
    let mut numbers = Numbers(0x5a6e);
    let (mut valid, mut invalid) = (0, 0);
    for source in [own::EXAMPLE, litellm::SETTINGS] {
        for _ in 0..1500 {
            let mut text: Vec<char> = source.chars().collect();
            for _ in 0..=numbers.below(3) {
                let start = numbers.below(text.len());
                let end = (start + numbers.below(8)).min(text.len());
                let piece = PIECES[numbers.below(PIECES.len())];
                text.splice(start..end, piece.chars());
            }
            let text: String = text.into_iter().collect();
            // No message has the secret, which this checks.
            match read_in(&directory.0, &text) {
                Ok(_) => valid += 1,
                Err(error) => {
                    invalid += 1;
                    let lines = text.lines().count() as u64;
                    let is_inside = |line: u64| (1..=lines + 1).contains(&line);
                    assert!(!error.problems().is_empty(), "{text}");
                    assert!(
                        error.problems().iter().all(|problem| is_inside(problem.at.line)),
                        "{error}\n{text}"
                    );
                }
            }
        }
    }
    assert!(valid > 300 && invalid > 300, "{valid} valid, {invalid} invalid");
}

#[test]
fn a_large_file_takes_time_in_proportion() {
    let models = |count: usize| {
        let model = |index: usize| format!("  - {{name: m{index}, endpoint: e{index}}}\n");
        format!("models:\n{}", (0..count).map(model).collect::<String>())
    };
    let path = std::path::Path::new("large.yaml");
    let (config, _) = Config::read(&models(20_000), path, |_| None).unwrap();
    assert_eq!(config.models.len(), 20_000);
    assert!(Config::read(&models(200_000), path, |_| None).is_err(), "the bound on nodes");
}
