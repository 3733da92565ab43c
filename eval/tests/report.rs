//! Reports of evaluations, and what hostile outputs can do in them.

use std::fs;
use std::path::PathBuf;

use sagewire_eval::report::terminal::{Style, table};
use sagewire_eval::report::{Format, html, render, write};
use sagewire_eval::results::{Check, Outcome, Results};
use serde_json::json;

/// What a model may write to act on whoever reads the report.
const HOSTILE: &str = "</div></script><script>document.title='x'</script><img src=x onerror=alert(1)>\u{1b}]52;c;eA==\u{7}\u{202e}txt\0{{ 7 * 7 }}";

fn results() -> Results {
    serde_json::from_str(include_str!("../testdata/results.json")).unwrap()
}

fn hostile() -> Results {
    let outcome = Outcome {
        provider: HOSTILE.into(),
        label: Some(HOSTILE.into()),
        prompt: HOSTILE.into(),
        description: Some(HOSTILE.into()),
        vars: json!({HOSTILE: HOSTILE}).as_object().unwrap().clone(),
        output: Some(HOSTILE.into()),
        finish_reason: Some(HOSTILE.into()),
        checks: vec![Check {
            kind: HOSTILE.into(),
            pass: false,
            score: 0.0,
            weight: 1.0,
            reason: HOSTILE.into(),
            metric: Some(HOSTILE.into()),
            checks: Vec::new(),
        }],
        ..Outcome::default()
    };
    let error = Outcome { test_index: 1, error: Some(HOSTILE.into()), output: None, ..outcome.clone() };
    let description = Some(HOSTILE.into());
    Results { description, timestamp: HOSTILE.into(), results: vec![outcome, error], ..Results::default() }
}

fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("sagewire-report-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Columns that a line takes in a terminal.
fn width(line: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(line)
}

#[test]
fn json_is_the_results_themselves() {
    let text = render(Format::Json, &results()).unwrap();
    assert_eq!(serde_json::from_slice::<Results>(&text).unwrap(), results());
    let hostile = hostile();
    assert_eq!(serde_json::from_slice::<Results>(&render(Format::Json, &hostile).unwrap()).unwrap(), hostile);
}

#[test]
fn csv_has_a_line_for_each_call() {
    let results = results();
    let text = render(Format::Csv, &results).unwrap();
    let mut reader = csv::Reader::from_reader(&*text);
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|field| field == name).unwrap();
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), results.results.len());
    for (record, outcome) in records.iter().zip(&results.results) {
        assert_eq!(&record[column("provider")], outcome.provider);
        assert_eq!(&record[column("prompt")], outcome.prompt);
        let status = match (&outcome.error, outcome.success) {
            (Some(_), _) => "error",
            (None, true) => "passed",
            (None, false) => "failed",
        };
        assert_eq!(&record[column("status")], status);
        assert_eq!(record[column("latency_ms")].parse().ok(), outcome.latency_ms);
        let tokens = outcome.tokens.map(|tokens| tokens.completion);
        assert_eq!(record[column("completion_tokens")].parse().ok(), tokens);
    }
    let refused = &records[8];
    assert!(refused[column("reasons")].starts_with("503 ServiceUnavailable"), "{refused:?}");
}

#[test]
fn a_spreadsheet_runs_no_output_as_a_formula() {
    for (output, field) in [
        ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|'/C calc'!A0", "'+cmd|'/C calc'!A0"),
        ("- one\n- two", "'- one\n- two"),
        ("-3.5", "-3.5"),
        ("a=1", "a=1"),
    ] {
        let outcome = Outcome { output: Some(output.into()), ..Outcome::default() };
        let text = render(Format::Csv, &Results { results: vec![outcome], ..Results::default() }).unwrap();
        let record = csv::Reader::from_reader(&*text).records().next().unwrap().unwrap();
        assert_eq!(&record[10], field);
    }
}

#[test]
fn the_table_fits_any_window() {
    for results in [results(), hostile()] {
        for columns in [24, 40, 64, 80, 120, 200] {
            let text = table(&results, &Style { width: columns, ..Style::default() });
            let widest = text.lines().map(width).max().unwrap();
            assert!(widest <= columns, "{widest} of {columns} columns:\n{text}");
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
            assert!(!text.contains('\u{202e}'));
        }
    }
}

#[test]
fn the_table_says_what_passed_and_why_not() {
    let text = table(&results(), &Style { width: 120, ..Style::default() });
    for part in ["Llama 3.1 8B", "[PASS]", "[FAIL] contains: ", "[ERROR] 503"] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert_eq!(text.matches("[FAIL]").count(), results().stats.failures);
    assert!(!text.contains('\u{1b}'));
    let colored = table(&results(), &Style { width: 120, colors: true, ..Style::default() });
    assert!(colored.contains("\u{1b}["));
    let short = table(&results(), &Style { rows: 3, ..Style::default() });
    assert!(short.ends_with("5 more rows are in the reports.\n"), "{short}");
    assert_eq!(table(&Results::default(), &Style::default()), "");
}

#[test]
fn nothing_in_the_page_is_the_models_markup() {
    let page = html::evaluation(&hostile());
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script").count(), 1);
    assert!(!page.contains("<img"));
    assert!(page.contains("{{ 7 * 7 }}"), "the output is no template");
    assert!(!page.contains("49"));
    assert!(page.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')));
    assert!(!page.contains('\u{202e}'));
    // Nothing can be loaded either.
    for page in [page, html::evaluation(&results())] {
        assert!(page.contains("default-src 'none'"));
        assert!(!page.contains("src=\"") && !page.contains("url("));
    }
}

#[test]
fn a_provider_that_occurs_twice_has_two_columns() {
    let outcome =
        |output: &str| Outcome { provider: "p".into(), output: Some(output.into()), ..Outcome::default() };
    let results = Results { results: vec![outcome("one"), outcome("two")], ..Results::default() };
    let page = html::evaluation(&results);
    assert!(page.contains("<h2>p</h2>") && page.contains("<h2>p (2)</h2>"), "{page}");
    assert_eq!(page.matches("class=\"row\"").count(), 1);
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let directory = directory("whole");
    for (name, start) in [("out.json", "{\n"), ("out.csv", "test,"), ("out.HTML", "<!doctype html>")] {
        let path = directory.join(name);
        fs::write(&path, "before").unwrap();
        write(&path, &results()).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with(start), "{name}");
    }
    // Nothing else is left behind.
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 3);

    let error = write(directory.join("out.txt"), &results()).unwrap_err().to_string();
    assert!(error.ends_with("out.txt: reports end in .json, .csv or .html"), "{error}");
    assert!(write(directory.join("absent/out.json"), &results()).is_err());
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 3);
    fs::remove_dir_all(&directory).unwrap();
}
