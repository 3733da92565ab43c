//! The configuration of a chat, which can be stored and loaded.

use sagewire_codec::Api;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chat::Chat;
use crate::endpoint::Endpoint;
use crate::error::Error;

/// What a [`Chat`] is made of, apart from its service: it can be stored, loaded, and sent to another process. It has no secrets:
/// neither the client with its credentials, nor the identity token of the endpoint.
///
/// ```
/// use sagewire_transport::{Chat, ChatConfig};
///
/// let config: ChatConfig = serde_json::from_str(
///     r#"{
///         "endpoint": {"name": "my-llama", "custom_attributes": {"accept_eula": true}},
///         "api": "tgi",
///         "parameters": {"max_new_tokens": 200, "temperature": 0.2}
///     }"#,
/// )?;
/// # let transport = ();
/// let chat: Chat<()> = config.chat(transport)?;
/// assert_eq!(chat.endpoint().custom_attributes.as_deref(), Some("accept_eula=true"));
/// assert_eq!(chat.config(), config);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ChatConfig {
    /// The endpoint, with its custom attributes.
    pub endpoint: Endpoint,
    /// The API of the container. Default: OpenAI chat completions.
    #[serde(default = "openai")]
    pub api: Api,
    /// The model of all requests, as [`Chat::model`] sets it; `null` is [`Chat::without_model`]. Default: that of each request.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub model: Option<Option<String>>,
    /// Generation parameters for all requests that do not have them, as [`Chat::parameters`] takes them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
}

fn openai() -> Api {
    Api::OpenAi
}

/// A field that is there, even if it is `null`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl ChatConfig {
    /// A chat with an endpoint whose container takes OpenAI chat completions.
    pub fn new(endpoint: impl Into<Endpoint>) -> Self {
        Self { endpoint: endpoint.into(), api: openai(), model: None, parameters: Map::new() }
    }

    /// The chat, over a service.
    ///
    /// # Errors
    ///
    /// Those of [`Chat::parameters`].
    pub fn chat<S>(&self, service: S) -> Result<Chat<S>, Error> {
        let mut chat = Chat::new(service, self.endpoint.clone()).api(self.api);
        if let Some(model) = &self.model {
            chat = match model {
                Some(name) => chat.model(name),
                None => chat.without_model(),
            };
        }
        chat.parameters(self.parameters.clone())
    }
}

impl<S> Chat<S> {
    /// The configuration of this chat. Conversion options, the chat template, a custom format, decode options and the hook
    /// are not part of it.
    #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
    pub fn config(&self) -> ChatConfig {
        ChatConfig {
            endpoint: self.endpoint().clone(),
            api: self.container_api(),
            model: self.set_model().cloned(),
            parameters: self.parameters.clone(),
        }
    }
}

/// Reads the custom attributes of an endpoint: text, or a map of names to texts, numbers and booleans.
pub(crate) fn custom_attributes<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    use serde::de::Error as _;

    let map = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::String(text) => return Ok(Some(text)),
        Value::Object(map) => map,
        _ => return Err(D::Error::custom("custom_attributes: expected a text or a map")),
    };
    let pairs = map.iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name, text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok((name, value.to_string())),
        _ => Err(D::Error::custom(format!("custom_attributes: {name} is not a text, a number or a boolean"))),
    });
    let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
    let endpoint = Endpoint::default().custom_attributes(pairs);
    match endpoint.ambiguous_attribute {
        Some(pair) => {
            Err(D::Error::custom(format!("custom_attributes: {pair:?} contains a separator, `=` or `;`")))
        }
        None => Ok(endpoint.custom_attributes),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_configuration_survives_storage() {
        for stored in [
            json!({"endpoint": {"name": "e"}, "api": "openai"}),
            json!({"endpoint": {"name": "e", "region": "eu-west-1", "inference_component": "c",
                                "custom_attributes": "accept_eula=true;tenant=7"},
                   "api": "anthropic", "model": "m", "parameters": {"max_tokens": 9, "stop": ["x"]}}),
            json!({"endpoint": {"name": "e"}, "api": "tgi", "model": null, "parameters": {"max_new_tokens": 9}}),
        ] {
            let config: ChatConfig = serde_json::from_value(stored.clone()).unwrap();
            let loaded = config.chat(()).unwrap().config();
            assert_eq!(loaded, config);
            assert_eq!(serde_json::to_value(&loaded).unwrap(), stored);
        }
    }

    #[test]
    fn custom_attributes_are_text_or_a_map() {
        let attributes = |value: Value| {
            let config = json!({"endpoint": {"name": "e", "custom_attributes": value}});
            serde_json::from_value::<ChatConfig>(config)
                .map(|config| config.endpoint.custom_attributes)
                .map_err(|error| error.to_string())
        };
        assert_eq!(attributes(json!({"accept_eula": true})), Ok(Some("accept_eula=true".into())));
        assert_eq!(attributes(json!({"a": 1, "b": "x y"})), Ok(Some("a=1;b=x y".into())));
        assert_eq!(attributes(json!("as it is")), Ok(Some("as it is".into())));
        assert_eq!(attributes(Value::Null), Ok(None));
        for (value, found) in [
            (json!(["a"]), "expected a text or a map"),
            (json!({"a": {}}), "a is not a text, a number or a boolean"),
            (json!({"a": "x;b=y"}), "\"a=x;b=y\" contains a separator"),
        ] {
            let error = attributes(value).unwrap_err();
            assert!(error.contains(found), "{error}");
        }
    }

    #[test]
    fn no_secret_is_stored() {
        let endpoint = Endpoint::new("e").customer_identity_token("s3cret");
        let stored = serde_json::to_string(&Chat::new((), endpoint).config()).unwrap();
        assert!(!stored.contains("s3cret"), "{stored}");
    }

    #[test]
    fn unknown_fields_are_named() {
        let error =
            serde_json::from_str::<ChatConfig>(r#"{"endpoint":{"name":"e"},"modle":"x"}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `modle`"), "{error}");
    }
}
