//! The command-line interface of `compare` that scripts depend on.

use std::process::Command;

use serde_json::Value;

#[test]
fn json_has_the_promised_fields() {
    let output = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--json", "--quick", "--events", "100", "--workload", "openai"])
        .output()
        .unwrap();
    assert!(output.status.success());
    // Exactly one object: anything after it would be an error.
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["machine"]["cpu"].is_string());
    assert!(report["machine"]["rustc"].as_str().unwrap().starts_with("rustc "));

    let rows = report["rows"].as_array().unwrap();
    for row in rows {
        for name in ["measure", "workload", "subject", "version"] {
            assert!(row[name].is_string(), "{name} in {row}");
        }
        assert_eq!(row["reads"].is_null(), row["measure"] == "limit", "{row}");
        assert!(row["mb_per_s"].as_f64().is_some_and(|speed| speed > 0.0), "{row}");
        assert!(row["ns_per_event"].as_f64().is_some_and(|time| time > 0.0), "{row}");
        assert!(row["allocs_per_event"].as_f64().is_some_and(|count| count >= 0.0), "{row}");
    }
    for measure in ["decode", "transcode-bedrock", "transcode-openai", "frames", "sse"] {
        for reads in [8192, 1400] {
            let mut rows = rows.iter().filter(|row| row["measure"] == measure && row["reads"] == reads);
            assert_eq!(rows.next().unwrap()["subject"], "sagewire");
            // The lower bound uses no package, so it has no version.
            assert!(rows.all(|row| row["version"] != "" || row["subject"] == "lines + UTF-8, joined"));
        }
    }
    assert_eq!(rows.iter().filter(|row| row["measure"] == "limit").count(), 5);
    assert_eq!(rows.iter().filter(|row| row["measure"] == "sse" && row["reads"] == 128).count(), 6);

    assert_eq!(report["formats"], Value::Array(Vec::new()));
    assert_eq!(report["pairs"].as_array().unwrap().len(), 8);

    let streams = report["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 2);
    assert_eq!(streams[0]["subject"], "sagewire");
    for row in streams {
        for name in ["alone_mb_per_s", "in_a_row_mb_per_s", "in_turn_mb_per_s", "ratio", "bytes_per_stream"] {
            assert!(row[name].as_f64().is_some_and(|number| number > 0.0), "{name} in {row}");
        }
    }
}

fn section(name: &str) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--json", "--quick", "--events", "100", "--only", name])
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}");
    let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report[name].as_array_mut().map(std::mem::take).unwrap()
}

#[test]
fn everyone_answers_on_every_format_and_pair() {
    let (formats, pairs) = (section("formats"), section("pairs"));
    assert_eq!((formats.len(), pairs.len()), (34, 72));
    for row in formats.iter().chain(&pairs) {
        assert_eq!(row["reads"], 8192, "{row}");
        assert!(row["ns_per_event"].as_f64().is_some_and(|time| time > 0.0), "{row}");
        assert!(!row["version"].as_str().unwrap().is_empty(), "{row}");
    }
    for source in
        ["openai", "tgi", "lmi", "converse-stream", "anthropic", "cohere", "sglang", "nova", "responses"]
    {
        for target in ["openai", "tgi", "converse-stream", "anthropic"] {
            let mut pair = pairs.iter().filter(|row| {
                row["workload"] == source && row["measure"].as_str() == Some(&format!("to-{target}"))
            });
            assert_eq!(pair.next().unwrap()["subject"], "sagewire");
            assert_eq!(pair.count(), 1);
        }
    }
}

#[test]
fn requests_are_compared_with_a_round_trip() {
    let requests = section("requests");
    assert_eq!(requests.len(), 22);
    for row in &requests {
        assert_eq!(row["target"].is_null(), row["subject"] == "serde_json Value", "{row}");
        assert!(row["us"].as_f64().is_some_and(|time| time > 0.0), "{row}");
        assert!(row["allocs"].as_u64().is_some_and(|count| count > 0), "{row}");
    }
}

#[cfg(feature = "calls")]
#[test]
fn whole_calls_are_compared() {
    let calls = section("calls");
    assert_eq!(calls.len(), 15);
    for row in &calls {
        for name in ["ns_per_token", "first_us"] {
            assert!(row[name].as_f64().is_some_and(|number| number > 0.0), "{name} in {row}");
        }
        assert!(!row["version"].as_str().unwrap().is_empty(), "{row}");
    }
    for way in calls.chunks(5) {
        assert_eq!(way[0]["subject"], "sagewire-transport-reqwest");
        assert_eq!(way.iter().filter(|row| row["decodes"] == true).count(), 3);
    }
}

#[test]
fn sagewire_loses_nothing_and_says_what_is_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--json", "--quick", "--only", "lost"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["rows"], Value::Array(Vec::new()));
    let recovered = report["recovered"].as_array().unwrap();
    let ours: Vec<&Value> = recovered.iter().filter(|row| row["subject"] == "sagewire").collect();
    assert_eq!((ours.len(), recovered.len()), (9, 63));
    for row in ours {
        let whole = row["arrived"] == row["sent"];
        assert_eq!(row["recovered"], row["arrived"], "{row}");
        assert_eq!(row["ending"], if whole { "complete" } else { "error" }, "{row}");
    }
    for row in recovered {
        assert!(["variant", "subject", "version"].iter().all(|name| row[name].is_string()), "{row}");
        assert!(row["recovered"].as_u64() <= row["sent"].as_u64(), "{row}");
        assert_eq!(row["fault"].is_string(), row["ending"] == "error", "{row}");
        // If the stream is intact, no subject may lose anything.
        if row["variant"] == "aligned" || row["variant"] == "ragged" {
            assert_eq!((&row["recovered"], &row["ending"]), (&row["sent"], &"complete".into()), "{row}");
        }
    }
}

#[test]
fn streams_are_written_for_others() {
    let folder = std::env::temp_dir().join(format!("sagewire-streams-{}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--quick", "--write-streams"])
        .arg(&folder)
        .output()
        .unwrap();
    let index = std::fs::read(folder.join("streams.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    for variant in index["variants"].as_array().unwrap() {
        let body = std::fs::metadata(folder.join(variant["file"].as_str().unwrap())).unwrap();
        let reads = variant["reads"].as_array().unwrap().iter().map(|len| len.as_u64().unwrap());
        assert_eq!(reads.sum::<u64>(), body.len(), "{}", variant["name"]);
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    assert_eq!(index["tokens"].as_array().unwrap().len(), 1000);
}

#[test]
fn unknown_arguments_are_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_compare")).arg("--fast").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    for args in [["--only", "nothing"], ["--workload", "nothing"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_compare")).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
    let nothing = ["--only", "formats", "--workload", "recorded"];
    let output = Command::new(env!("CARGO_BIN_EXE_compare")).args(nothing).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
