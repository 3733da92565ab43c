//! Writes errors in the shape of an API.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::http_error::HttpError;
use crate::json::Object;
use crate::model::Api;

impl HttpError {
    /// The body of the error in the shape of an API: OpenAI's, Anthropic's, Bedrock's, or TGI's for all text generation.
    pub fn write(&self, api: Api) -> Vec<u8> {
        let mut out = Vec::new();
        Object::write(&mut out, |object| match api {
            Api::Anthropic => {
                object.string("type", "error");
                object.object("error", |error| {
                    error.string("type", self.kind.anthropic(&self.name));
                    error.string("message", &self.message);
                });
            }
            Api::Converse => self.write_bedrock(object),
            api if api.is_text_generation() => {
                object.string("error", &self.message);
                object.string("error_type", self.kind.names()[2]);
            }
            _ => object.object("error", |error| self.write_openai(error)),
        });
        out
    }

    fn write_openai(&self, error: &mut Object<'_>) {
        error.string("message", &self.message);
        error.string("type", self.kind.names()[0]);
        match &self.param {
            Some(param) => error.string("param", param),
            None => error.json("param", "null"),
        }
        // vLLM and SGLang write HTTP status codes as numbers.
        match self.code.as_deref().map(|code| code.parse().map_err(|_| code)) {
            Some(Ok(number)) => error.integer("code", number),
            Some(Err(code)) => error.string("code", code),
            None => error.json("code", "null"),
        }
    }

    fn write_bedrock(&self, object: &mut Object<'_>) {
        object.string("message", &self.message);
        if self.bedrock_name() != "ModelErrorException" {
            return;
        }
        if let Some(status) = self.original_status.filter(|status| (100..600).contains(status)) {
            object.integer("originalStatusCode", status.into());
        }
        if let Some(name) = &self.resource_name {
            object.string("resourceName", name);
        }
    }

    /// The body of the error as SageMaker Runtime writes it. An error of the container becomes a `ModelError`, whose
    /// `OriginalMessage` is the error in the shape of the API `of_container`.
    ///
    /// The name of the error is [`sagemaker_name`](Self::sagemaker_name), and its status [`sagemaker_status`](Self::sagemaker_status).
    pub fn write_sagemaker(&self, of_container: Api) -> Vec<u8> {
        let mut out = Vec::new();
        Object::write(&mut out, |object| match self.sagemaker_name() {
            "ModelError" => self.write_model_error(object, of_container),
            // The authentication in front of the service has another spelling.
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "ThrottlingException" => object.string("message", &self.message),
            name => {
                object.string("Message", &self.message);
                if let (Some(code), true) = (&self.code, name == "ModelStreamError") {
                    object.string("ErrorCode", code);
                }
            }
        });
        out
    }

    /// Fields and wording are the real service's.
    fn write_model_error(&self, object: &mut Object<'_>, of_container: Api) {
        let status = self.original_status.unwrap_or_default();
        let (side, code) = match status {
            400..500 => ("client", "CLIENT_ERROR_FROM_MODEL"),
            _ => ("server", "SERVER_ERROR_FROM_MODEL"),
        };
        let original = match status {
            // There is no response.
            0 => self.message.clone(),
            _ => String::from_utf8_lossy(&self.write(of_container)).into_owned(),
        };
        let name = self.resource_name.as_deref().unwrap_or("primary");
        object.string("ErrorCode", code);
        let message = format!("Received {side} error ({status}) from {name} with message \"{original}\".");
        object.string("Message", &message);
        object.string("OriginalMessage", &original);
        object.integer("OriginalStatusCode", status.into());
    }
}
