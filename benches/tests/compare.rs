//! What `compare` promises to scripts.

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
            assert!(rows.all(|row| !row["version"].as_str().unwrap().is_empty()));
        }
    }
    assert_eq!(rows.iter().filter(|row| row["measure"] == "limit").count(), 3);
}

#[test]
fn unknown_arguments_are_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_compare")).arg("--fast").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}
