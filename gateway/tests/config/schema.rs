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
