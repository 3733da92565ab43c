//! Generation parameters of a chat: defaults, and those of one call.

use std::sync::Arc;

use sagewire_codec::model::{self, Message, Param, Part};
use sagewire_codec::{Api, read_request};
use serde_json::{Map, Value, json};

use crate::chat::Chat;
use crate::error::Error;

/// Parts of a request that are no generation parameters.
const CONTENT: [&str; 7] = ["messages", "tools", "tool_choice", "prompt", "inputs", "model", "stream"];

impl<S> Chat<S> {
    /// Sets generation parameters for all requests that do not have them. Their names are those of OpenAI chat completions, such as
    /// `max_tokens`; for a container that takes a prompt instead of messages, those of TGI, such as `max_new_tokens`. Names that
    /// these APIs do not know are passed on. Whatever the API of the container is, they are converted to it; set it first.
    ///
    /// ```
    /// use sagewire_codec::{Api, read_request};
    /// use sagewire_transport::Chat;
    /// use serde_json::json;
    ///
    /// let parameters = json!({"temperature": 0.2, "max_tokens": 100}).as_object().unwrap().clone();
    /// let chat = Chat::new((), "my-llm").parameters(parameters)?;
    /// // Those of a request have precedence.
    /// let request = read_request(Api::OpenAi, br#"{"messages":[{"role":"user","content":"hi"}],"temperature":1}"#)?;
    /// let (sent, losses) = chat.request(&request, false)?;
    /// assert_eq!(sent.body, r#"{"messages":[{"role":"user","content":"hi"}],"temperature":1,"max_tokens":100}"#);
    /// assert!(losses.is_empty());
    /// # Ok::<(), sagewire_transport::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A value has the wrong type, or a name is that of something else, such as `messages`.
    pub fn parameters(mut self, parameters: Map<String, Value>) -> Result<Self, Error> {
        self.defaults = match parameters.is_empty() {
            true => None,
            false => Some(Arc::new(read(self.container_api(), &parameters)?)),
        };
        self.parameters = parameters;
        Ok(self)
    }

    /// A request with one prompt of the user, and with the generation parameters of this call, which have precedence over those of
    /// [`parameters`](Self::parameters). For a container that takes a prompt, without a chat template, it is the prompt as it is.
    ///
    /// # Errors
    ///
    /// Those of [`parameters`](Self::parameters).
    pub fn prompt(
        &self,
        text: &str,
        parameters: &Map<String, Value>,
    ) -> Result<model::Request<'static>, Error> {
        let api = self.container_api();
        let mut request = read(api, parameters)?;
        let text = text.to_owned();
        match api.takes_prompt() && !self.has_template() {
            true => request.prompt = Some(Param::new(text.into())),
            false => request.messages = vec![Message::user(Part::text(text))],
        }
        Ok(request)
    }
}

/// Reads parameters as a request without content. Nothing in it has a position, because they are in another document than the
/// requests that get them.
fn read(api: Api, parameters: &Map<String, Value>) -> Result<model::Request<'static>, Error> {
    if let Some(name) = CONTENT.into_iter().find(|name| parameters.contains_key(*name)) {
        return Err(Error::invalid_request(format!("parameters: `{name}` is not a generation parameter")));
    }
    let (api, mut document) = match api.takes_prompt() {
        true => (Api::Tgi, json!({"inputs": "", "parameters": parameters})),
        false => (Api::OpenAi, Value::Object(parameters.clone())),
    };
    if api == Api::OpenAi {
        document["messages"] = json!([{"role": "user", "content": ""}]);
    }
    let document = document.to_string();
    let read = read_request(api, document.as_bytes())?.into_owned();
    if let Some((name, _)) = read.extension_fields.first() {
        return Err(Error::invalid_request(format!(
            "parameters: `{name}` is not a generation parameter, or its value has the wrong type"
        )));
    }
    let mut request = model::Request::default();
    fill(&mut request, &read);
    Ok(request)
}

/// Gives a request the parameters that it does not have.
pub(crate) fn fill<'a>(request: &mut model::Request<'a>, defaults: &model::Request<'a>) {
    macro_rules! fields {
        ($($field:ident),*) => {$(
            if request.$field.is_none() {
                request.$field = defaults.$field.clone().map(|param| Param::new(param.value));
            }
        )*};
    }
    fields!(
        parallel_tool_calls,
        max_tokens,
        temperature,
        top_p,
        do_sample,
        top_k,
        min_p,
        seed,
        n,
        frequency_penalty,
        presence_penalty,
        repetition_penalty,
        logprobs,
        top_logprobs,
        logit_bias,
        response_format,
        reasoning,
        include_usage,
        user,
        service_tier,
        return_full_text,
        details
    );
    if request.stop.is_empty() {
        request.stop = defaults.stop.iter().map(|param| Param::new(param.value.clone())).collect();
    }
    for (name, param) in &defaults.extra_parameters {
        if request.extra_parameters.iter().all(|(other, _)| other != name) {
            request.extra_parameters.push((name.clone(), Param::new(param.value.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn sent(chat: &Chat<()>, request: &model::Request<'_>) -> Value {
        let (sent, losses) = chat.request(request, false).unwrap();
        assert!(losses.is_empty(), "{losses:?}");
        serde_json::from_slice(&sent.body).unwrap()
    }

    #[test]
    fn a_call_has_precedence_over_the_client() {
        let defaults =
            map(&json!({"temperature": 0.2, "max_tokens": 100, "stop": ["a"], "top_k": 5, "my_flag": true}));
        let chat = Chat::new((), "e").parameters(defaults).unwrap();
        let request = chat.prompt("hi", &map(&json!({"temperature": 1.5, "my_flag": false}))).unwrap();
        assert_eq!(
            sent(&chat, &request),
            json!({"messages": [{"role": "user", "content": "hi"}], "temperature": 1.5, "max_tokens": 100, "stop": ["a"],
                   "top_k": 5, "my_flag": false})
        );
    }

    #[test]
    fn a_container_with_prompts_has_the_names_of_tgi() {
        let defaults = map(&json!({"max_new_tokens": 9, "return_full_text": false, "typical_p": 0.5}));
        let chat = Chat::new((), "e").api(Api::Tgi).parameters(defaults).unwrap();
        let request = chat.prompt("Hello", &map(&json!({"max_new_tokens": 20, "temperature": 0.5}))).unwrap();
        assert_eq!(
            sent(&chat, &request),
            json!({"inputs": "Hello", "parameters": {"max_new_tokens": 20, "temperature": 0.5, "do_sample": true, "return_full_text": false,
                   "typical_p": 0.5}})
        );
    }

    #[test]
    fn parameters_are_converted_to_the_api_of_the_container() {
        let defaults = map(&json!({"max_tokens": 100, "stop": "x"}));
        let chat = Chat::new((), "e").api(Api::Anthropic).parameters(defaults).unwrap();
        let request =
            read_request(Api::Converse, br#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#)
                .unwrap();
        let body = sent(&chat, &request);
        assert_eq!((&body["max_tokens"], &body["stop_sequences"]), (&json!(100), &json!(["x"])));
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for (parameters, found) in [
            (json!({"messages": []}), "parameters: `messages` is not a generation parameter"),
            (json!({"stream": true}), "parameters: `stream` is not a generation parameter"),
            (
                json!({"temperature": "hot"}),
                "`temperature` is not a generation parameter, or its value has the wrong type",
            ),
        ] {
            let error = Chat::new((), "e").parameters(map(&parameters)).err().unwrap().to_string();
            assert!(error.contains(found), "{error}");
        }
    }
}
