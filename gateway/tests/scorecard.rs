//! R18 of RELIABILITY.md: the faults of other gateways that have a test here, counted by the names of the tests.

use std::collections::BTreeSet;
use std::path::Path;

/// The numbers in the names of the tests of a folder: `fault_07_…`, `faults_11_12_13_…`.
fn collect(folder: &Path, found: &mut BTreeSet<u32>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a file");
            let names = text
                .lines()
                .filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn fault"));
            for name in names {
                let numbers = name.trim_start_matches("s_").trim_start_matches('_').split('_');
                found.extend(numbers.map_while(|part| part.parse::<u32>().ok()));
            }
        }
    }
}

#[test]
fn r18_faults_of_other_gateways() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    collect(&root.join("src"), &mut found);
    collect(&root.join("tests"), &mut found);
    found.retain(|number| (1..=50).contains(number));
    let missing: Vec<_> = (1..=50).filter(|number| !found.contains(number)).collect();
    let count = format!("{} of 50", found.len());
    println!("R18 {count}; without a test: {missing:?}");
    let page = std::fs::read_to_string(root.join("../RELIABILITY.md")).expect("the page");
    let row = page.lines().find(|line| line.starts_with("| R18 |")).expect("a row");
    assert!(
        row.contains(&count),
        "RELIABILITY.md has another number than {count}; without a test: {missing:?}"
    );
}
