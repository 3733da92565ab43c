//! A thousand concurrent streams, and their heap on the client side. The endpoint runs in its own thread.

use std::sync::mpsc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::join_all;
use sagewire_codec::model::Event;
use sagewire_emulator::Emulator;
use sagewire_transport::Request;
use tokio::sync::oneshot;

use crate::common::{CHAT, Setup, client};
use crate::counting::{Counting, Meter};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const STREAMS: usize = 1000;
/// The most bytes of heap on the client side for each open stream, its connection included.
const OPEN_MAX: i64 = 64 << 10;
/// The same at the peak. The read buffer of hyper grows with the data that arrives at once, up to 408 KiB, and stays with the
/// connection.
const PEAK_MAX: i64 = 256 << 10;

/// The most bytes of the future of a call, because futures are moved when they are boxed or awaited by another one. That of the
/// SDK itself has 5.7 KiB.
const CALL_MAX: usize = 6 << 10;

/// Runs an emulator in a thread until the sender is dropped. Returns its URL, and later the number of requests.
fn emulator() -> (String, oneshot::Sender<()>, mpsc::Receiver<usize>) {
    let (tell_url, url) = mpsc::channel();
    let (tell_count, count) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let emulator = Emulator::builder().start().await.expect("a port");
            tell_url.send(emulator.url()).expect("a listener");
            let _ = stopped.await;
            tell_count.send(emulator.requests().len()).expect("a listener");
        });
    });
    (url.recv().expect("it has started"), stop, count)
}

#[tokio::test]
async fn a_thousand_concurrent_streams_are_complete() {
    // Both ends of each connection are in this process; the default limit of many systems is 1,024 files.
    let files = rlimit::increase_nofile_limit(8 * STREAMS as u64).expect("a limit");
    assert!(files > 3 * STREAMS as u64, "only {files} files may be open here");
    let (url, stop, requests) = emulator();
    let client = client(&Setup::at(url));
    let (start, meter) = (Instant::now(), Meter::start());
    // All streams are open before the first one is read.
    let begin = (0..STREAMS).map(|_| client.invoke_stream(Request::new("my-llm", CHAT)));
    let begun = join_all(begin).await;
    let open = meter.read().held;
    let read = begun.into_iter().map(|stream| async {
        let mut events = stream.expect("a stream").events();
        let (mut text, mut is_finished) = (String::new(), false);
        while let Some(event) = events.next().await {
            match event.expect("whole") {
                Event::TextDelta { text: delta, .. } => text.push_str(&delta),
                Event::Finish { .. } => is_finished = true,
                _ => {}
            }
        }
        assert!(is_finished);
        text
    });
    let texts = join_all(read).await;
    let peak = meter.read().peak;
    assert!(!texts[0].is_empty() && texts.iter().all(|text| *text == texts[0]));
    drop(stop);
    assert_eq!((texts.len(), requests.recv().expect("a count")), (STREAMS, STREAMS));
    let [open, peak] = [open, peak].map(|bytes| bytes / STREAMS as i64);
    println!("{STREAMS} streams, all complete, in {:?}", start.elapsed());
    println!("heap for each on the client's side: {open} bytes when all had begun, {peak} at the peak");
    assert!(open <= OPEN_MAX && peak <= PEAK_MAX, "{open} bytes a stream, {peak} at the peak");
}

/// A future that is passed by value and awaited is stored twice in the outer future.
#[tokio::test]
async fn a_call_is_a_small_future() {
    let client = client(&Setup::at("http://localhost"));
    let len = size_of_val(&client.invoke_stream(Request::new("my-llm", CHAT)));
    println!("a call is a future of {len} bytes");
    assert!(len <= CALL_MAX, "{len} bytes");
}
