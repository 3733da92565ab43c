//! The client: workers with one connection each, and what they have seen.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::mock::{last_token, marker, now};
use super::reader::Reader;
use super::server::KEY;
use super::workload::{Door, Workload};
use crate::tally::Fault;

/// Timeout of a request.
const PATIENCE: Duration = Duration::from_secs(30);
/// A worker that fails this often in a row stops.
const FAILURES_MAX: u32 = 20;
/// Bytes of the prompt.
const PROMPT_LEN: usize = 1000;

/// What is sent, again and again.
pub(super) struct Job {
    address: SocketAddr,
    door: Door,
    workload: Workload,
    body: Bytes,
    /// How long, after all workers have started.
    lasting: Duration,
}

/// What was seen. Times are in nanoseconds.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) requests: u64,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) stalled: u64,
    pub(super) first: Vec<u64>,
    pub(super) total: Vec<u64>,
}

impl Job {
    pub(super) fn new(address: SocketAddr, door: Door, workload: Workload, lasting: Duration) -> Self {
        let words = "the quick brown fox jumps over the lazy dog and then ".chars().cycle();
        let prompt = format!("{} {}", marker(workload.response), words.take(PROMPT_LEN).collect::<String>());
        let (tokens, streams) = (workload.response.tokens(), workload.response.streams());
        let system = "You are a helpful assistant.";
        let user = json!([{"role": "user", "content": prompt}]);
        let mut body = match door {
            Door::OpenAi => json!({"model": "bench", "max_tokens": tokens, "temperature": 0.7,
                "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt}]}),
            Door::Anthropic => json!({"model": "bench", "max_tokens": tokens, "temperature": 0.7,
                "system": system, "messages": user}),
            Door::Responses => json!({"model": "bench", "max_output_tokens": tokens, "temperature": 0.7,
                "instructions": system, "input": user}),
            Door::Converse => json!({"inferenceConfig": {"maxTokens": tokens, "temperature": 0.7},
                "system": [{"text": system}],
                "messages": [{"role": "user", "content": [{"text": prompt}]}]}),
        };
        if streams && door != Door::Converse {
            body["stream"] = true.into();
        }
        if streams && door == Door::OpenAi {
            body["stream_options"] = json!({"include_usage": true});
        }
        Self { address, door, workload, body: body.to_string().into(), lasting }
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, Fault> {
        let path = match (self.door, self.workload.response.streams()) {
            (Door::OpenAi, _) => "/v1/chat/completions",
            (Door::Anthropic, _) => "/v1/messages",
            (Door::Responses, _) => "/v1/responses",
            (Door::Converse, false) => "/model/bench/converse",
            (Door::Converse, true) => "/model/bench/converse-stream",
        };
        let request = Request::post(path)
            .header("host", self.address.to_string())
            .header("content-type", "application/json")
            .header("user-agent", "bench");
        let request = match self.door {
            Door::Anthropic => request.header("anthropic-version", "2023-06-01").header("x-api-key", KEY),
            _ => request.header("authorization", format!("Bearer {KEY}")),
        };
        Ok(request.body(Full::new(self.body.clone()))?)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Fault> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends a request and reads its response.
    async fn call(&self, sender: &mut SendRequest<Full<Bytes>>, seen: &mut Seen) -> Result<(), Fault> {
        let start = now();
        sender.ready().await?;
        let response = sender.send_request(self.request()?).await?;
        let status = response.status();
        if !status.is_success() {
            let body = response.into_body().collect().await?.to_bytes();
            return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
        }
        match self.workload.response.streams() {
            true => self.read_stream(response.into_body(), start, seen).await?,
            false => {
                let body = response.into_body().collect().await?.to_bytes();
                let last = last_token(self.workload.response.tokens());
                memchr::memmem::find(&body, last.as_bytes()).ok_or("the last token is missing")?;
            }
        }
        seen.total.push(now() - start);
        Ok(())
    }

    async fn read_stream(&self, mut body: Incoming, start: u64, seen: &mut Seen) -> Result<(), Fault> {
        let response = self.workload.response;
        let mut reader = Reader::new(self.door);
        while let Some(frame) = body.frame().await {
            let time = now();
            reader.read(&frame?.into_data().unwrap_or_default(), time);
        }
        seen.first.extend(reader.first.map(|first| first - start));
        let pace = response.pace();
        let stall = if pace.is_zero() { Duration::from_secs(1) } else { 10 * pace };
        seen.stalled += u64::from(u128::from(reader.longest_gap) > stall.as_nanos());
        reader.finish(response.tokens()).map_or(Ok(()), |fault| Err(fault.into()))
    }

    async fn work(&self, start: Instant, end: Instant) -> Seen {
        let mut seen = Seen::default();
        let mut sender = None;
        let mut failures = 0;
        sleep_until(start).await;
        while Instant::now() < end && failures < FAILURES_MAX {
            seen.requests += 1;
            let call = async {
                let mut open = match sender.take() {
                    Some(open) => open,
                    None => self.connect().await?,
                };
                self.call(&mut open, &mut seen).await?;
                Ok::<_, Fault>(open)
            };
            let fault = match timeout(PATIENCE, call).await {
                Ok(Ok(open)) => {
                    (sender, failures) = (Some(open), 0);
                    continue;
                }
                Ok(Err(fault)) => fault.to_string(),
                Err(_) => "timeout".to_owned(),
            };
            *seen.failures.entry(fault).or_default() += 1;
            failures += 1;
        }
        seen
    }
}

/// Sends requests until the time is over. The streams of paced workloads begin one after the other.
pub(super) async fn run(job: Job) -> Result<Seen, Fault> {
    let response = job.workload.response;
    let count = job.workload.concurrency;
    let ramp = if count > 1 { response.pace() * response.tokens() } else { Duration::ZERO };
    let begin = Instant::now();
    let end = begin + ramp + job.lasting;
    let job = Arc::new(job);
    let start = |index: usize| begin + ramp.mul_f64(index as f64 / count as f64);
    let workers = (0..count).map(|index| {
        let (job, start) = (Arc::clone(&job), start(index));
        tokio::spawn(async move { job.work(start, end).await })
    });
    let mut all = Seen::default();
    for worker in workers.collect::<Vec<_>>() {
        let seen = worker.await?;
        all.requests += seen.requests;
        all.stalled += seen.stalled;
        all.first.extend(seen.first);
        all.total.extend(seen.total);
        for (fault, count) in seen.failures {
            *all.failures.entry(fault).or_default() += count;
        }
    }
    Ok(all)
}
