//! AWS's own client passes the signature check, and receives the same bytes from both operations.

use std::io::ErrorKind;

use sagewire_emulator::Emulator;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn boto3_reads_what_was_sent() {
    let emulator = Emulator::builder().session_token("boto3-token").start().await.unwrap();
    let mut command = std::process::Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boto3_client.py")).arg(emulator.url());
    let output = match tokio::task::spawn_blocking(move || command.output()).await.unwrap() {
        Err(error) if error.kind() == ErrorKind::NotFound => return println!("skipped: no python3"),
        output => output.unwrap(),
    };
    if output.status.code() == Some(77) {
        return println!("skipped: python3 has no boto3");
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let (unary, streamed) = stdout.trim_end().split_once('\n').unwrap();
    assert_eq!(unary, streamed);
    assert!(unary.len() > 2 * 10_000);
    assert_eq!(emulator.requests().len(), 4);
}
