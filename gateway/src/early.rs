//! Pings before there is a response: the head of a stream is sent while the endpoint has sent nothing yet, for example because it is
//! being scaled up. It is not known then whether the request succeeds, so a later failure is the error of the stream.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use sagewire_codec::model::ResponseOptions;
use sagewire_codec::{Api, Failure, Options, Transcoder};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::body::Body;
use crate::fault::Fault;

/// What a request in progress has to do with it.
pub(crate) struct Early {
    head: Option<oneshot::Sender<Head>>,
    api: Option<Api>,
    is_sent: Arc<AtomicBool>,
}

/// The head of the stream, and the bytes that are sent while there is no event.
struct Head {
    headers: HeaderMap,
    ping: &'static [u8],
}

impl Early {
    /// The request is a stream of this API, and is not refused by the gateway: from now on its head may be sent.
    pub(crate) fn allow(&mut self, api: Api, headers: HeaderMap, ping: &'static [u8]) {
        self.api = Some(api);
        if let Some(head) = self.head.take() {
            // Nobody waits for it if the client has left.
            let _ = head.send(Head { headers, ping });
        }
    }

    /// The error of the stream, if its head was sent.
    pub(crate) fn error(&self, fault: &Fault) -> Option<Bytes> {
        let api = self.api.filter(|_| self.is_sent.load(Ordering::Relaxed))?;
        let error = &fault.error;
        let failure = Failure::new(error.bedrock_name(), error.code.clone(), error.message.clone());
        let mut transcoder = Transcoder::new(Options::new(), api, ResponseOptions::new()).ok()?;
        transcoder.fail(failure);
        let mut out = Vec::new();
        while let Ok(Some(piece)) = transcoder.finish() {
            out.extend_from_slice(piece);
        }
        Some(out.into())
    }
}

/// Waits for a response. If it is that of a stream and takes longer than `every`, its head is sent before, and then pings.
pub(crate) async fn serve<F>(every: Duration, respond: impl FnOnce(Early) -> F) -> Response<Body>
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let is_sent = Arc::new(AtomicBool::new(false));
    let early = Early { head: Some(sender), api: None, is_sent: Arc::clone(&is_sent) };
    let mut response = Box::pin(respond(early));
    let head = async {
        let Ok(head) = receiver.await else { return pending().await };
        sleep(every).await;
        head
    };
    tokio::select! {
        biased;
        response = &mut response => response,
        Head { headers, ping } = head => {
            is_sent.store(true, Ordering::Relaxed);
            let mut head = Response::new(Body::early(response, ping, every));
            *head.headers_mut() = headers;
            head
        }
    }
}
