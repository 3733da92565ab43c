//! Serializes responses, as people and logs read them.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::{Choice, Content, Part, Response, Source, Text};

/// A map whose fields are left out where they say nothing.
struct Map<M>(M);

impl<M: SerializeMap> Map<M> {
    fn new<S: Serializer<SerializeMap = M>>(serializer: S) -> Result<Self, S::Error> {
        serializer.serialize_map(None).map(Self)
    }

    fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), M::Error> {
        self.0.serialize_entry(name, value)
    }

    fn some(&mut self, name: &str, value: Option<&(impl Serialize + ?Sized)>) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| self.field(name, value))
    }

    fn list<T: Serialize>(&mut self, name: &str, values: &[T]) -> Result<(), M::Error> {
        self.some(name, Some(values).filter(|values| !values.is_empty()))
    }
}

/// `{"id":…,"model":…,"created":…,"choices":[…],"usage":{…},"other":[[name,json],…],"malformed":n}`: fields that the source did
/// not have are left out.
impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Map::new(serializer)?;
        map.some("id", self.id.as_ref())?;
        map.some("model", self.model.as_ref())?;
        map.some("created", self.created.as_ref())?;
        map.field("choices", &self.choices)?;
        map.some("usage", self.usage.as_ref())?;
        map.list("other", &self.others)?;
        map.some("malformed", Some(&self.malformed).filter(|count| **count > 0))?;
        map.0.end()
    }
}

/// `{"index":0,"content":[…],"finish":"stop","stop":…,"logprobs":[…],"citations":[[part,json],…],"other":[[name,json],…]}`
impl Serialize for Choice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Map::new(serializer)?;
        map.field("index", &self.index)?;
        map.field("content", &self.content)?;
        map.some("finish", self.finish.as_ref())?;
        map.some("stop", self.stop.as_ref())?;
        map.list("logprobs", &self.logprobs)?;
        map.list("citations", &self.citations)?;
        map.list("other", &self.others)?;
        map.0.end()
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

/// `{"type":"text","text":…}`, `{"type":"tool_call","id":…,"name":…,"input":…}` and so on.
impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Map::new(serializer)?;
        match &self.content {
            Content::Text(text) => {
                map.field("type", "text")?;
                map.field("text", text)?;
            }
            Content::Reasoning { text, signature } => {
                map.field("type", "reasoning")?;
                map.field("text", text)?;
                map.some("signature", signature.as_ref())?;
            }
            Content::Redacted(data) => {
                map.field("type", "redacted")?;
                map.field("data", data)?;
            }
            Content::Refusal(text) => {
                map.field("type", "refusal")?;
                map.field("text", text)?;
            }
            Content::Image { source, detail } => {
                map.field("type", "image")?;
                map.field("source", source)?;
                map.some("detail", detail.as_ref())?;
            }
            Content::Audio { source } => {
                map.field("type", "audio")?;
                map.field("source", source)?;
            }
            Content::Video { source } => {
                map.field("type", "video")?;
                map.field("source", source)?;
            }
            Content::Document { source, name } => {
                map.field("type", "document")?;
                map.field("source", source)?;
                map.some("name", name.as_ref())?;
            }
            Content::ToolCall { id, name, input, custom } => {
                map.field("type", "tool_call")?;
                map.some("id", id.as_ref())?;
                map.field("name", name)?;
                map.field("input", input)?;
                map.some("custom", Some(custom).filter(|custom| **custom))?;
            }
            Content::ToolResult { id, content, is_error } => {
                map.field("type", "tool_result")?;
                map.some("id", id.as_ref())?;
                map.field("content", content)?;
                map.some("is_error", is_error.as_ref())?;
            }
            Content::Json(json) => {
                map.field("type", "json")?;
                map.field("json", json)?;
            }
            Content::Other(json) => {
                map.field("type", "other")?;
                map.field("json", json)?;
            }
        }
        map.0.end()
    }
}

/// `{"base64":…,"media_type":…}`, `{"url":…}`, `{"file":…}` or `{"text":…}`.
impl Serialize for Source<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Map::new(serializer)?;
        match self {
            Self::Base64 { media_type, data } => {
                map.field("base64", data)?;
                map.field("media_type", media_type)?;
            }
            Self::Url(url) => map.field("url", url)?,
            Self::File(id) => map.field("file", id)?,
            Self::Text(text) => map.field("text", text)?,
        }
        map.0.end()
    }
}
