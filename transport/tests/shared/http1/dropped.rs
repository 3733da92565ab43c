//! R14: every call is dropped at every await. Its connection closes, no task is left, and the data that was read is correct.

use std::cell::RefCell;
use std::time::Duration;

use crate::call::{CALLS, Call, cancelled_reads, setup, soon, tasks_left};
use crate::common::client;
use crate::http1::server::{Server, Step, bytes, chunk, last_chunk, stream_head};
use crate::reply::Reply;

/// Bytes in pieces that arrive one by one.
fn pieces(bytes: &[u8], len: usize) -> Vec<Step> {
    let send = |piece: &[u8]| [Step::Pause(Duration::from_millis(3)), Step::Send(piece.to_vec().into())];
    bytes.chunks(len).flat_map(send).collect()
}

fn slowly(reply: &Reply) -> Vec<Step> {
    match reply {
        Reply::Whole { .. } => pieces(&bytes(reply), 40),
        Reply::Stream(frames) => {
            let chunks = frames.iter().flat_map(|frame| pieces(&chunk(frame), 120));
            pieces(&stream_head(), 100).into_iter().chain(chunks).chain(pieces(&last_chunk(), 9)).collect()
        }
    }
}

async fn start(call: Call) -> Server {
    Server::start(call.replies().iter().map(slowly).collect()).await
}

/// Drops the call at its await number `times`. Returns false if it has fewer.
async fn drop_at(call: Call, times: usize, all: &str) -> bool {
    let how = format!("{call:?}, dropped at its await {times}");
    let server = start(call).await;
    let client = client(&setup(server.url()));
    let is_dropped = call.drop_at(times, &client, all).await;
    // From now on only the client can close a connection.
    server.silence();
    soon(&format!("the connection closes: {how}"), || server.open() == 0).await;
    drop(client);
    drop(server);
    tasks_left(0, &how).await;
    is_dropped
}

#[tokio::test]
async fn r14_dropped_at_every_await() {
    let mut sum = 0;
    for call in CALLS {
        let (server, all) = (start(call).await, RefCell::default());
        call.run(client(&setup(server.url())), &all).await.expect("a response");
        drop(server);
        let all = all.into_inner();
        let mut times = 0;
        while drop_at(call, times, &all).await {
            times += 1;
        }
        println!("R14 HTTP/1.1 {call:?}: {times} of {times} awaits");
        assert!(times > 2, "{call:?} does not wait");
        sum += times;
    }
    println!(
        "R14 HTTP/1.1 dropped at every await: {sum} of {sum} close the connection and leave no task behind"
    );
}

#[tokio::test]
async fn r14_cancelled_reads_lose_nothing() {
    let server = start(Call::Stream).await;
    let cancelled = cancelled_reads(client(&setup(server.url()))).await;
    println!("R14 HTTP/1.1 asked again: {cancelled} of {cancelled} awaits that were given up lost nothing");
}
