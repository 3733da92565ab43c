//! R14 over HTTP/2: every call is dropped at every await. Its stream is reset, its connection stays usable, and no task is left.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use sagewire_transport::Request;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use crate::call::{CALLS, Call, cancelled_reads, setup, soon, tasks_left};
use crate::common::{CHAT, Client, KEEPS_REFUSING_CONNECTIONS, http2_client as client};
use crate::http2::server::{Server, Step, WELL, head, steps, stream_head};
use crate::reply::{Reply, TEXT};

/// A reply in pieces that arrive one by one.
fn slowly(reply: &Reply) -> Vec<Step> {
    let len = if let Reply::Whole { .. } = reply { 40 } else { 120 };
    let pieces = steps(reply).into_iter().flat_map(|step| match step {
        Step::Data(data) => data.chunks(len).map(|piece| Step::Data(Bytes::copy_from_slice(piece))).collect(),
        step => vec![step],
    });
    pieces.flat_map(|piece| [Step::Pause(Duration::from_millis(3)), piece]).collect()
}

async fn start(call: Call) -> Server {
    Server::start(call.replies().iter().map(slowly).collect()).await
}

/// Makes another call, which has to succeed.
async fn is_usable(client: &Client, how: &str) {
    let reply = timeout(Duration::from_secs(10), client.invoke(Request::new(WELL, CHAT))).await;
    assert_eq!(reply.expect(how).expect(how).body, "{}", "{how}");
}

/// The number of tasks of an idle connection, those of its server included.
async fn tasks_of_a_connection() -> usize {
    let server = Server::start(Vec::new()).await;
    let client = client(&setup(server.url()));
    is_usable(&client, "the first").await;
    sleep(Duration::from_millis(100)).await;
    let tasks = Handle::current().metrics().num_alive_tasks();
    drop((client, server));
    tasks_left(0, "the first").await;
    tasks
}

/// Drops the call at its await number `times`, over a connection that `is_warm` or has to be established first. Returns false if
/// it has fewer.
async fn drop_at(call: Call, times: usize, all: &str, is_warm: bool, tasks: usize) -> bool {
    let how = format!("{call:?}, dropped at its await {times}");
    let server = start(call).await;
    let client = client(&setup(server.url()));
    if is_warm {
        is_usable(&client, &how).await;
    }
    let is_dropped = call.drop_at(times, &client, all).await;
    // From now on only the client can end a stream.
    server.silence();
    is_usable(&client, &how).await;
    soon(&format!("the stream is reset: {how}"), || server.open() == 0).await;
    assert!(server.resets().iter().all(|reason| *reason == Reason::CANCEL), "{how}: {:?}", server.resets());
    // A connection that was dropped while it was established may be established again.
    let refused = !KEEPS_REFUSING_CONNECTIONS && matches!(call, Call::AfterRefusal);
    let most = 1 + usize::from(!is_warm) + usize::from(refused);
    assert!(server.connections() <= most, "{how}: {} connections", server.connections());
    tasks_left(tasks, &how).await;
    drop(client);
    drop(server);
    tasks_left(0, &how).await;
    is_dropped
}

#[tokio::test]
async fn r14_dropped_at_every_await() {
    let (tasks, mut sum) = (tasks_of_a_connection().await, 0);
    for call in CALLS {
        let (server, all) = (start(call).await, RefCell::default());
        call.run(client(&setup(server.url())), &all).await.expect("a response");
        drop(server);
        let all = all.into_inner();
        // All calls establish a connection in the same way.
        let ways = if let Call::Stream = call { &[true, false][..] } else { &[true] };
        let mut count = 0;
        for is_warm in ways {
            let mut times = 0;
            while drop_at(call, times, &all, *is_warm, tasks).await {
                times += 1;
            }
            count += times;
        }
        println!("R14 HTTP/2 {call:?}: {count} of {count} awaits");
        assert!(count > 2, "{call:?} does not wait");
        sum += count;
    }
    println!(
        "R14 HTTP/2 dropped at every await: {sum} of {sum} reset the stream, leave its connection to others and no task behind"
    );
}

#[tokio::test]
async fn r14_cancelled_reads_lose_nothing() {
    let server = start(Call::Stream).await;
    let cancelled = cancelled_reads(client(&setup(server.url()))).await;
    println!("R14 HTTP/2 asked again: {cancelled} of {cancelled} awaits that were given up lost nothing");
}

/// The unread data of dropped streams is released, so that it does not fill the flow-control window of the connection.
#[tokio::test]
async fn r14_windows_are_given_back() {
    const STREAMS: usize = 100;
    let large = Bytes::from(vec![0; 1 << 20]);
    let stream = vec![stream_head(), Step::Data(large.clone()), Step::Stall];
    let whole = vec![head(200, &[TEXT]), Step::Data(large.clone()), Step::End];
    let mut replies = vec![stream; STREAMS];
    replies.push(whole);
    let server = Server::start(replies).await;
    let setup = setup(server.url()).bounds(|bounds| bounds.retry.attempts = 1);
    let client = client(&setup);
    for at in 0..STREAMS {
        let mut stream = client.invoke_stream(Request::new("e", CHAT)).await.expect("a stream");
        match at % 3 {
            0 => {}
            1 => drop(stream.chunk().await.expect("a chunk")),
            // Time to fill the window.
            _ => sleep(Duration::from_millis(10)).await,
        }
        drop(stream);
    }
    let reply = timeout(Duration::from_secs(20), client.invoke(Request::new("e", CHAT))).await;
    assert_eq!(reply.expect("in time").expect("a response").body, large);
    soon("the streams are reset", || server.open() == 0).await;
    assert_eq!((server.connections(), server.resets()), (1, vec![Reason::CANCEL; STREAMS]));
    println!("R14 HTTP/2 windows: {STREAMS} of {STREAMS} streams that were dropped unread gave theirs back");
}

/// A call that is queued, because the server accepts one stream at a time.
#[tokio::test]
async fn r14_dropped_before_its_turn() {
    let replies = vec![vec![stream_head(), Step::Stall]];
    let server = Server::with_streams(replies, 1).await;
    let client = client(&setup(server.url()).bounds(|bounds| bounds.retry.attempts = 1));
    is_usable(&client, "the first").await;
    let first = client.invoke_stream(Request::new("e", CHAT)).await.expect("a stream");
    for _ in 0..10 {
        let second = timeout(Duration::from_millis(10), client.invoke_stream(Request::new("e", CHAT))).await;
        assert!(second.is_err(), "the server takes one at a time");
    }
    drop(first);
    is_usable(&client, "the last").await;
    soon("the streams are reset", || server.open() == 0).await;
    assert_eq!((server.connections(), server.resets()), (1, vec![Reason::CANCEL]));
    println!("R14 HTTP/2 before its turn: 10 of 10 calls that were dropped held nobody up");
}
