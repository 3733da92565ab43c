//! A component that a pipeline stores and loads, as Haystack's `SagemakerGenerator`: a configuration without secrets, custom
//! attributes from a map, and generation parameters of a call over those of the component.
//!
//! `cargo run -p sagewire-examples --example stored`

use sagewire_examples::{Error, client, endpoint};
use sagewire_transport::{Chat, ChatConfig};
use sagewire_transport_reqwest::Client;
use serde_json::{Map, Value, json};

/// What the pipeline has stored.
const STORED: &str = r#"{
    "endpoint": {"name": "my-llama", "custom_attributes": {"accept_eula": true}},
    "parameters": {"max_tokens": 2, "temperature": 0.2}
}"#;

/// The component: a prompt in, replies out.
struct Generator {
    chat: Chat<Client>,
}

impl Generator {
    /// Loads the component. Credentials come from the client, as always.
    fn load(stored: &str, client: Client) -> Result<Self, Error> {
        let config: ChatConfig = serde_json::from_str(stored)?;
        Ok(Self { chat: config.chat(client)? })
    }

    fn store(&self) -> Result<String, Error> {
        Ok(serde_json::to_string(&self.chat.config())?)
    }

    async fn run(&self, prompt: &str, parameters: &Map<String, Value>) -> Result<Vec<String>, Error> {
        let request = self.chat.prompt(prompt, parameters)?;
        let response = self.chat.complete(&request).await?;
        Ok(response.response.choices.iter().map(|choice| choice.text()).collect())
    }
}

/// Runs the example.
///
/// # Errors
///
/// Anything that fails.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Error> {
    let endpoint = endpoint()?;
    let generator = Generator::load(STORED, client(&endpoint)?)?;
    let generator = Generator::load(&generator.store()?, client(&endpoint)?)?;

    let replies = generator.run("one two three four five six", &Map::new()).await?;
    println!("{replies:?}");
    let parameters = json!({"max_tokens": 50}).as_object().cloned().unwrap_or_default();
    let longer = generator.run("one two three four five six", &parameters).await?;
    println!("{longer:?}");
    assert!(longer[0].len() > replies[0].len(), "the call's limit has precedence");

    let requests = endpoint.requests();
    let sent: Vec<Value> =
        requests.iter().map(|request| serde_json::from_slice(&request.body)).collect::<Result<_, _>>()?;
    assert_eq!((&sent[0]["max_tokens"], &sent[1]["max_tokens"]), (&json!(2), &json!(50)));
    assert!(sent.iter().all(|body| body["temperature"] == 0.2));
    assert_eq!(requests[0].header("x-amzn-sagemaker-custom-attributes"), Some("accept_eula=true"));
    Ok(())
}
