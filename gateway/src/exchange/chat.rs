//! Chats, in the API of any door.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{AGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use sagewire_codec::Api;
use sagewire_codec::model::{self, Frames, Losses, Param, Request, ResponseOptions};

use super::{Content, Exchange, JSON, Result, stream_type};
use crate::body::Source;
use crate::cached::{Tee, decode, encode, is_sampled, shared_name};
use crate::chat::{ChatCall, Reply, Whole};
use crate::door::Door;
use crate::fault::Fault;
use crate::policy::{CACHE_HEADER, CacheControl, CacheKey, Entry, Leader, Lookup};

impl Exchange<'_> {
    /// A chat with the model of this name: `request` was read from `body`, in the API `api`.
    pub(super) async fn chat(
        &mut self,
        name: &str,
        mut request: Request<'_>,
        api: Api,
        streams: bool,
        body: &Bytes,
    ) -> Result<Content> {
        let group = self.group(name)?;
        self.recorder.record.streamed = streams;
        self.reserve(&group, body.len(), request.max_tokens.as_ref().map(|tokens| tokens.value)).await?;
        if streams {
            self.allow_early(api);
        }
        if api == Api::Converse {
            request.model = Some(Param::new(name.to_owned().into()));
        }
        let wants_usage = request.include_usage.as_ref().is_some_and(|include| include.value);
        let options = self.response_options(name, api, streams).hide_usage(streams && !wants_usage);
        let losses = self.setup.config.losses;
        let affinity = affinity(&request, &self.parts.headers);
        let mut call = ChatCall { request, to: api, streams, options, losses, affinity, keeps: false };
        let leader = match self.look_up(&group.name, &call, body).await? {
            Found::Reply(content) => return Ok(content),
            Found::Leader(leader) => leader,
        };
        call.keeps = leader.is_some();
        let reply = self.call(&group, |deployment| {
            let call = &call;
            Box::pin(async move { call.send(&deployment).await })
        });
        match reply.await? {
            Reply::Stream(stream) => {
                let mut headers =
                    self.headers(stream.metadata().request_id.as_deref(), stream.request_losses());
                headers.insert(CONTENT_TYPE, self.media_type(true));
                let largest = self.setup.cache.as_ref().map_or(0, |cache| cache.largest());
                let tee = leader.map(|leader| Tee::new(leader, api, largest));
                Ok(Content::Stream(Source::Chat(stream), headers, tee))
            }
            Reply::Whole(whole) => {
                let Whole { metadata, body, usage, request_losses, response_losses, response } = *whole;
                self.recorder.usage(usage);
                let headers = self.headers(metadata.request_id.as_deref(), &request_losses);
                self.recorder.losses(&response_losses);
                if let (Some(leader), Some(response)) = (leader, response) {
                    leader.complete(response, body.len());
                }
                Ok(self.whole(body, headers, self.media_type(streams)))
            }
        }
    }

    /// What the response has in case that the container does not.
    fn response_options(&self, name: &str, api: Api, streams: bool) -> ResponseOptions {
        let id = &self.recorder.record.id;
        let id = match api {
            Api::OpenAi => format!("chatcmpl-{id}"),
            Api::Completions => format!("cmpl-{id}"),
            Api::Responses => format!("resp_{id}"),
            Api::Anthropic => format!("msg_{id}"),
            _ => id.to_string(),
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let frames = match (streams, self.recorder.record.door) {
            (true, Door::SageMaker) => Frames::PayloadPart,
            (true, Door::Bedrock) if api != Api::Converse => Frames::Chunk,
            _ => Frames::None,
        };
        ResponseOptions::new().id(id).model(name).created(now.as_secs()).frames(frames).pass_through(true)
    }

    fn media_type(&self, streams: bool) -> HeaderValue {
        if streams { stream_type(self.recorder.record.door) } else { JSON }
    }

    /// Looks for the response in the cache that several processes share. If it is not there, the call that the leader makes
    /// will put it there.
    async fn shared(
        &self,
        key: CacheKey,
        control: CacheControl,
        mut leader: Leader<model::Response>,
    ) -> std::result::Result<Kept, Leader<model::Response>> {
        let (Some(settings), Some(shared)) = (&self.setup.config.cache, self.inner.policy.shared()) else {
            return Err(leader);
        };
        if !settings.shared {
            return Err(leader);
        }
        let name = shared_name(&key);
        let ttl = settings.ttl;
        if control.accepts(Duration::ZERO)
            && let Some(value) = shared.get(&name).await
            && let Some((response, age)) = decode(&value, SystemTime::now())
            && age <= ttl
            && control.accepts(age)
        {
            return Ok(leader.found(response, value.len(), age));
        }
        leader.then(move |entry| {
            let entry = Arc::clone(entry);
            shared.put(name, move || encode(&entry.value, SystemTime::now()), ttl);
        });
        Err(leader)
    }

    /// Looks for the response in the cache, and waits for that of an equal request that runs.
    async fn look_up(&mut self, model: &str, call: &ChatCall<'_>, body: &[u8]) -> Result<Found> {
        let Some(cache) = &self.setup.cache else { return Ok(Found::Leader(None)) };
        let control = CacheControl::new(&self.parts.headers);
        if !control.applies(is_sampled(&call.request)) {
            return Ok(Found::Leader(None));
        }
        let record = &self.recorder.record;
        let key = record.key.as_deref().unwrap_or_default();
        let affinity = call.affinity.as_deref().unwrap_or_default();
        let headers = [("route", record.route.as_bytes()), ("affinity", affinity.as_bytes())];
        let key = CacheKey::new(key, record.door, model, body, &headers);
        let entry = match cache.get_or_join(key, control) {
            Lookup::Leader(leader) => match self.shared(key, control, leader).await {
                Ok(entry) => entry,
                Err(leader) => return Ok(Found::Leader(Some(leader))),
            },
            Lookup::Hit(entry) => entry,
            Lookup::Follower(follower) => match follower.wait().await {
                Some(entry) => entry,
                None => return Ok(Found::Leader(None)),
            },
        };
        let (body, losses) = call
            .write(&entry.value, &call.options_after(Instant::now()))
            .map_err(|error| Fault::of_call(&error))?;
        self.recorder.record.cached = true;
        let mut headers = self.headers(None, &Losses::default());
        self.recorder.losses(&losses);
        headers.insert(CACHE_HEADER, HeaderValue::from_static("hit"));
        headers.insert(AGE, entry.age().as_secs().into());
        Ok(Found::Reply(self.whole(body, headers, self.media_type(call.streams))))
    }
}

/// An entry of the cache.
type Kept = Arc<Entry<model::Response>>;

enum Found {
    Reply(Content),
    /// The call has to be made; with a leader, also for others.
    Leader(Option<Leader<model::Response>>),
}

/// What the request has in common with others, so that an instance with their prefix in its cache is called.
fn affinity(request: &Request<'_>, headers: &HeaderMap) -> Option<String> {
    let header = headers.get("x-sagewire-affinity").and_then(|value| value.to_str().ok());
    let field = || {
        let (_, param) = request.extension_fields.iter().find(|(name, _)| name == "prompt_cache_key")?;
        serde_json::from_str::<String>(param.value.as_str()).ok()
    };
    header.map(str::to_owned).or_else(field)
}
