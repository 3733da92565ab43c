use boon::{Compiler, Schemas};
use sagewire_gateway::config::Config;
use serde_json::{Value, json};

use crate::own::EXAMPLE;

fn validate(instance: &Value) -> Result<(), String> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("gateway.json", Config::schema()).unwrap();
    let schema = compiler.compile("gateway.json", &mut schemas).unwrap();
    schemas.validate(instance, schema).map_err(|error| format!("{error:#}"))
}

fn example() -> Value {
    serde_saphyr::from_str(EXAMPLE).unwrap()
}

#[test]
fn the_schema_accepts_the_example_and_refuses_mistakes() {
    validate(&example()).unwrap();
    for (pointer, value) in [
        ("/models/0/name", json!(5)),
        ("/models/0/timeouts/idle", json!("30")),
        ("/keys/0/limits/budget", json!("50 EUR/month")),
        ("/keys/0/hash", json!("sha256:1")),
        ("/losses", json!("ignore")),
        ("/listen", json!("localhost")),
        ("/cache", json!({"sise": 1})),
        ("/state", json!({})),
    ] {
        let mut changed = example();
        *changed.pointer_mut(pointer).unwrap() = value;
        assert!(validate(&changed).is_err(), "{pointer}");
    }
}

/// A row for each key of a schema: where it is, and its description.
fn rows(schema: &Value, path: &str, out: &mut Vec<String>) {
    for alternative in schema["anyOf"].as_array().into_iter().flatten() {
        rows(alternative, path, out);
    }
    if schema["type"] == "array" {
        rows(&schema["items"], path, out);
    }
    for (key, field) in schema["properties"].as_object().into_iter().flatten() {
        let Some(help) = field["description"].as_str() else { continue };
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let row = format!("| `{path}` | {help} |");
        // A list and a single item have the same keys.
        if !out.contains(&row) {
            out.push(row);
            rows(field, &path, out);
        }
    }
}

#[test]
fn the_documentation_has_every_key() {
    let mut table = vec!["| key | |".to_owned(), "|---|---|".to_owned()];
    rows(&Config::schema(), "", &mut table);
    assert!(table.len() > 80, "{table:#?}");
    let table = table.join("\n");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/gateway.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("<!-- keys -->\n").unwrap();
    let (found, after) = rest.split_once("\n<!-- end of keys -->").unwrap();
    if std::env::var("SAGEWIRE_GOLDEN").is_ok_and(|value| value == "write") {
        let page = format!("{before}<!-- keys -->\n{table}\n<!-- end of keys -->{after}");
        std::fs::write(path, page).unwrap();
    } else {
        assert_eq!(found, table, "renew it with SAGEWIRE_GOLDEN=write");
    }
}
