//! The APIs that clients speak: which route a request takes, and how errors look there.
//!
//! | file | API |
//! |---|---|
//! | `openai.rs` | OpenAI chat completions, completions, embeddings; also the list of models |
//! | `anthropic.rs` | Anthropic Messages |
//! | `bedrock.rs` | Bedrock Converse and InvokeModel |
//! | `sagemaker.rs` | SageMaker Runtime |
//!
//! Requests and responses themselves are converted by the codec.

pub(crate) mod anthropic;
pub(crate) mod bedrock;
pub(crate) mod openai;
mod respond;
pub(crate) mod sagemaker;

use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;
use sagewire_codec::Api;

pub(crate) use respond::{error_response, with_common_headers, write_limits, write_upstream_id};

/// The API that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    /// OpenAI: chat completions, completions, embeddings.
    OpenAi,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Anthropic,
    /// Bedrock Converse and InvokeModel.
    Bedrock,
    /// SageMaker Runtime.
    SageMaker,
}

/// A request's route: everything that its method and path say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) door: Door,
    /// The path as a template.
    pub(crate) template: &'static str,
    pub(crate) call: Call,
}

/// What is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// A chat in this API; the request has the model, and says whether it is streamed.
    Chat(Api),
    /// A chat with the model in the path.
    Converse {
        model: String,
        stream: bool,
    },
    /// A chat with the model in the path, in an API that the body shows.
    InvokeModel {
        model: String,
        stream: bool,
    },
    Embeddings,
    /// An invocation of an endpoint.
    Invocation {
        endpoint: String,
        stream: bool,
    },
    Models,
    Model(String),
    /// An operation that clients may ask for, and that no endpoint has.
    CountTokens,
}

/// Why a request has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoute {
    /// The API whose errors its client understands, by the looks of the path.
    pub(crate) door: Door,
    /// The method that the path has; `None`: the path does not exist.
    pub(crate) allowed: Option<&'static str>,
}

impl Door {
    /// Its name in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "responses",
            Self::Anthropic => "anthropic",
            Self::Bedrock => "bedrock",
            Self::SageMaker => "sagemaker",
        }
    }

    /// The API whose errors the client understands. SageMaker's own has none in the codec's list.
    pub(crate) fn api(self) -> Api {
        match self {
            Self::OpenAi | Self::SageMaker => Api::OpenAi,
            Self::Responses => Api::Responses,
            Self::Anthropic => Api::Anthropic,
            Self::Bedrock => Api::Converse,
        }
    }

    /// Bytes without meaning that its streams may have, so that proxies do not close a connection without news. Frames of AWS have
    /// none.
    pub(crate) fn ping(self) -> Option<&'static [u8]> {
        match self {
            // A comment, which parsers of server-sent events skip.
            Self::OpenAi | Self::Responses => Some(b": ping\n\n"),
            Self::Anthropic => Some(b"event: ping\ndata: {\"type\": \"ping\"}\n\n"),
            Self::Bedrock | Self::SageMaker => None,
        }
    }

    /// The service in the signatures of its clients.
    pub(crate) fn signing_name(self) -> Option<&'static str> {
        match self {
            Self::Bedrock => Some("bedrock"),
            Self::SageMaker => Some("sagemaker"),
            _ => None,
        }
    }
}

impl Route {
    /// The route of a request. Nothing but the method, the path and `anthropic-version` decides.
    pub(crate) fn find(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, NoRoute> {
        let path = uri.path();
        let door = guess(path, headers);
        let (route, allowed) = Self::of_path(path, door).ok_or(NoRoute { door, allowed: None })?;
        let is_allowed = *method == allowed || (allowed == Method::GET && *method == Method::HEAD);
        if !is_allowed {
            return Err(NoRoute { door, allowed: Some(if allowed == Method::GET { "GET" } else { "POST" }) });
        }
        Ok(route)
    }

    fn of_path(path: &str, door: Door) -> Option<(Self, Method)> {
        let post = |door, template, call| Some((Self { door, template, call }, Method::POST));
        let get = |template, call| Some((Self { door, template, call }, Method::GET));
        if let Some(rest) = path.strip_prefix("/model/") {
            return bedrock::operation(rest).and_then(|(template, call)| post(Door::Bedrock, template, call));
        }
        if let Some(rest) = path.strip_prefix("/endpoints/") {
            return sagemaker::operation(rest)
                .and_then(|(template, call)| post(Door::SageMaker, template, call));
        }
        // Each also without the version, as LiteLLM has them.
        match path.strip_prefix("/v1").unwrap_or(path) {
            "/chat/completions" => post(Door::OpenAi, "/v1/chat/completions", Call::Chat(Api::OpenAi)),
            "/completions" => post(Door::OpenAi, "/v1/completions", Call::Chat(Api::Completions)),
            "/embeddings" => post(Door::OpenAi, "/v1/embeddings", Call::Embeddings),
            "/responses" => post(Door::Responses, "/v1/responses", Call::Chat(Api::Responses)),
            "/messages" => post(Door::Anthropic, "/v1/messages", Call::Chat(Api::Anthropic)),
            "/messages/count_tokens" => post(Door::Anthropic, "/v1/messages/count_tokens", Call::CountTokens),
            "/models" => get("/v1/models", Call::Models),
            other => {
                let name = decoded(other.strip_prefix("/models/")?)?;
                get("/v1/models/{model}", Call::Model(name))
            }
        }
    }
}

/// The API whose errors a client understands.
fn guess(path: &str, headers: &HeaderMap) -> Door {
    let after_version = path.strip_prefix("/v1").unwrap_or(path);
    match after_version {
        _ if path.starts_with("/model/") => Door::Bedrock,
        _ if path.starts_with("/endpoints/") => Door::SageMaker,
        _ if after_version.starts_with("/responses") => Door::Responses,
        _ if after_version.starts_with("/messages") => Door::Anthropic,
        _ if headers.contains_key("anthropic-version") => Door::Anthropic,
        _ => Door::OpenAi,
    }
}

/// A part of a path without its percent-encoding; `None` if it is not UTF-8 or empty.
pub(crate) fn decoded(part: &str) -> Option<String> {
    let text = percent_decode_str(part).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: &Method, uri: &str) -> Result<Route, NoRoute> {
        Route::find(method, &uri.parse().expect("a URI"), &HeaderMap::new())
    }

    #[test]
    fn paths() {
        let converse = |model: &str, stream| Call::Converse { model: model.into(), stream };
        for (path, door, call) in [
            ("/v1/chat/completions", Door::OpenAi, Call::Chat(Api::OpenAi)),
            ("/chat/completions?beta=true", Door::OpenAi, Call::Chat(Api::OpenAi)),
            ("/v1/messages?beta=true", Door::Anthropic, Call::Chat(Api::Anthropic)),
            ("/v1/responses", Door::Responses, Call::Chat(Api::Responses)),
            ("http://evil/v1/embeddings", Door::OpenAi, Call::Embeddings),
            ("/model/a.b-v1:0/converse", Door::Bedrock, converse("a.b-v1:0", false)),
            ("/model/a.b-v1%3A0/converse-stream", Door::Bedrock, converse("a.b-v1:0", true)),
            (
                "/model/arn%3Aaws%3Asagemaker%3Aus-east-1%3A1%3Aendpoint%2Fe/converse",
                Door::Bedrock,
                converse("arn:aws:sagemaker:us-east-1:1:endpoint/e", false),
            ),
            (
                "/model/arn:aws:sagemaker:us-east-1:1:endpoint/e/converse",
                Door::Bedrock,
                converse("arn:aws:sagemaker:us-east-1:1:endpoint/e", false),
            ),
            (
                "/model/converse/invoke",
                Door::Bedrock,
                Call::InvokeModel { model: "converse".into(), stream: false },
            ),
            (
                "/endpoints/e/invocations-response-stream",
                Door::SageMaker,
                Call::Invocation { endpoint: "e".into(), stream: true },
            ),
        ] {
            let route = find(&Method::POST, path).expect(path);
            assert_eq!((route.door, route.call), (door, call), "{path}");
        }
        assert_eq!(
            find(&Method::GET, "/v1/models/a%2Fb").map(|route| route.call),
            Ok(Call::Model("a/b".into()))
        );
        assert_eq!(find(&Method::GET, "/v1/messages").unwrap_err().allowed, Some("POST"));
        for path in [
            "/",
            "/v1",
            "//v1/models",
            "/v1//models",
            "/v1/models/",
            "/v1/%2e%2e/models",
            "/v1/models;x",
            "/model/converse",
        ] {
            assert_eq!(find(&Method::POST, path).unwrap_err().allowed, None, "{path}");
        }
    }
}
