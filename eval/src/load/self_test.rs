//! Measures how much the client itself adds to the latencies that it reports.
//!
//! A server that writes the time at which it sends each token as its text is called like an endpoint. It has to run in a process
//! of its own, so that it competes with the client as little as possible.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sagewire_codec::Options;
use sagewire_codec::eventstream::{Header, Value, encode};
use sagewire_transport::{Error, Request, Retry, Transport};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::call::{Ending, measure};
use super::recorder::Distribution;
use super::results::Overhead;

/// The longest request that the server reads, in bytes.
const REQUEST_MAX: u64 = 1 << 20;

/// A server that sends tokens at a constant rate, as an endpoint with the API of OpenAI. The text of each token is the time at
/// which it is sent, in nanoseconds since the Unix epoch. It verifies no signatures.
#[derive(Clone, Copy, Debug)]
pub struct PacedServer {
    /// Tokens of a response.
    pub tokens: u32,
    /// The time between two tokens.
    pub interval: Duration,
}

impl PacedServer {
    /// Serves connections until the future is dropped.
    ///
    /// # Errors
    ///
    /// No connection can be accepted.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            let (connection, _) = listener.accept().await?;
            connections.spawn(async move {
                // The client ends connections when it has what it needs.
                let _ = self.connection(connection).await;
            });
            while connections.try_join_next().is_some() {}
        }
    }

    async fn connection(self, connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut connection = BufReader::new(connection);
        while skip_request(&mut connection).await? {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n";
            connection.write_all(head.as_bytes()).await?;
            let mut due = tokio::time::Instant::now();
            for _ in 0..self.tokens {
                due += self.interval;
                tokio::time::sleep_until(due).await;
                connection.write_all(&token()?).await?;
            }
            let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
            connection.write_all(&frame(&format!("data: {end}\n\ndata: [DONE]\n\n"))?).await?;
            connection.write_all(b"0\r\n\r\n").await?;
        }
        Ok(())
    }
}

/// Reads one request. Returns false at the end of the connection.
async fn skip_request(connection: &mut BufReader<TcpStream>) -> io::Result<bool> {
    let mut request = connection.take(REQUEST_MAX);
    let (mut line, mut body) = (String::new(), 0);
    loop {
        line.clear();
        if request.read_line(&mut line).await? == 0 {
            return Ok(false);
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                body = value.parse().map_err(io::Error::other)?;
            }
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = request.take(body);
    tokio::io::copy_buf(&mut body, &mut tokio::io::sink()).await?;
    Ok(body.limit() == 0)
}

/// A chunk with a token that has the current time as its text.
fn token() -> io::Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    frame(&format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{now}\"}}}}]}}\n\n"))
}

/// A payload as a frame, in a chunk of HTTP.
fn frame(payload: &str) -> io::Result<Vec<u8>> {
    let headers = [(":message-type", "event"), (":event-type", "PayloadPart")];
    let headers = headers.map(|(name, value)| Header::new(name, Value::String(value)));
    let mut frame = Vec::new();
    encode(headers, payload.as_bytes(), &mut frame).map_err(io::Error::other)?;
    Ok([format!("{:x}\r\n", frame.len()).as_bytes(), &frame, b"\r\n"].concat())
}

/// Calls a [`PacedServer`] with `streams` requests at the same time, and compares when tokens were sent and when they were
/// measured.
///
/// # Errors
///
/// A response is not complete.
pub async fn measure_overhead(
    transport: impl Transport,
    request: Request,
    streams: u64,
    server: PacedServer,
) -> Result<Overhead, Error> {
    let transport = Arc::new(transport);
    let epoch = (Instant::now(), SystemTime::now());
    let mut tasks = JoinSet::new();
    for _ in 0..streams {
        let (transport, request) = (Arc::clone(&transport), request.clone());
        tasks.spawn(async move {
            let mut tokens = Vec::new();
            let mut watch = |text: &str, arrived| tokens.push((text.parse::<u64>().ok(), arrived));
            let (retry, options) = (Retry::never(), Options::new());
            let measurement =
                measure(&*transport, &retry, &request, &options, Instant::now(), &mut watch).await;
            match measurement.ending {
                Ending::Complete => Ok(tokens),
                ending => {
                    Err(Error::other(format!("self-test: a response is {ending:?}: {:?}", measurement.error)))
                }
            }
        });
    }
    let [mut sent_itl, mut measured_itl, mut delay] = std::array::from_fn(|_| Distribution::default());
    while let Some(ended) = tasks.join_next().await {
        let tokens = ended.map_err(Error::other)??;
        let token = |(sent, arrived): (Option<u64>, Instant)| Some((Duration::from_nanos(sent?), arrived));
        let tokens: Option<Vec<_>> = tokens.into_iter().map(token).collect();
        let tokens = tokens.ok_or_else(|| Error::other("self-test: the server does not send times"))?;
        for pair in tokens.windows(2) {
            sent_itl.add(pair[1].0.saturating_sub(pair[0].0));
            measured_itl.add(pair[1].1.saturating_duration_since(pair[0].1));
        }
        for (sent, arrived) in tokens {
            let arrived = epoch.1 + arrived.saturating_duration_since(epoch.0);
            let arrived = arrived.duration_since(UNIX_EPOCH).unwrap_or_default();
            delay.add(arrived.saturating_sub(sent));
        }
    }
    let [sent, measured, delay] = [sent_itl, measured_itl, delay].map(|of| of.finish().unwrap_or_default());
    Ok(Overhead {
        streams,
        tokens_per_second: 1.0 / server.interval.as_secs_f64(),
        tokens: delay.count,
        itl_p99_sent: sent.p99,
        itl_p99_measured: measured.p99,
        itl_p99_distortion: measured.p99 - sent.p99,
        delay_p50: delay.p50,
        delay_p99: delay.p99,
    })
}
