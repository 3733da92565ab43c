use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

const HEAD: Duration = Duration::from_millis(300);
const SEND: Duration = Duration::from_millis(400);

/// Counts what the service has not finished.
#[derive(Clone, Default)]
struct Open(Arc<AtomicUsize>);

struct OpenGuard(Open);

impl Open {
    fn guard(&self) -> OpenGuard {
        self.0.fetch_add(1, Ordering::SeqCst);
        OpenGuard(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Waits until it is this many; says how long that took.
    async fn wait_for(&self, count: usize) -> Duration {
        let start = Instant::now();
        while self.count() != count {
            assert!(start.elapsed() < Duration::from_secs(10), "{} are open, not {count}", self.count());
            sleep(Duration::from_millis(2)).await;
        }
        start.elapsed()
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A body of this many parts, with a pause before each.
struct Parts {
    left: usize,
    part: Bytes,
    pause: Duration,
    timer: Pin<Box<tokio::time::Sleep>>,
    _open: OpenGuard,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if !self.pause.is_zero() {
            std::task::ready!(self.timer.as_mut().poll(cx));
            let next = tokio::time::Instant::now() + self.pause;
            self.timer.as_mut().reset(next);
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(self.part.clone()))))
    }
}

/// `/hang` never responds, `/endless` sends without end, `/slow` sends ten parts in half a second, anything else one part.
async fn respond(request: Request<Incoming>, open: Open) -> Result<Response<Parts>, Infallible> {
    let guard = open.guard();
    let (left, len, pause) = match request.uri().path() {
        "/hang" => std::future::pending().await,
        "/endless" => (usize::MAX, 16 << 10, Duration::ZERO),
        "/slow" => (10, 1, Duration::from_millis(50)),
        _ => (1, 1, Duration::ZERO),
    };
    let timer = Box::pin(sleep(pause));
    Ok(Response::new(Parts { left, part: vec![b'x'; len].into(), pause, timer, _open: guard }))
}

struct Running {
    address: SocketAddr,
    open: Open,
    phase: watch::Sender<Phase>,
    tls: Option<Arc<Tls>>,
    gauge: prometheus_client::metrics::gauge::Gauge,
    task: JoinHandle<()>,
}

fn start(tls: Option<config::Tls>) -> Running {
    let listener =
        Listener::bind(&config::Listen { address: ([127, 0, 0, 1], 0).into(), tls }).expect("a free port");
    let (sender, receiver) = watch::channel(Phase::Serve);
    let shared = Shared {
        patience: Arc::new(ArcSwap::from_pointee(Patience { head: HEAD, send: SEND })),
        connections: Arc::new(Semaphore::new(100)),
        open: Default::default(),
        phase: receiver,
    };
    let open = Open::default();
    let (address, gauge) = (listener.address().expect("it is bound"), shared.open.clone());
    let (tls, service_open) = (listener.tls().cloned(), open.clone());
    let service = tower::service_fn(move |request| respond(request, service_open.clone()));
    let task = tokio::spawn(listener.serve(service, shared));
    Running { address, open, phase: sender, tls, gauge, task }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    async fn request(&self, path: &str) -> TcpStream {
        let mut stream = self.connect().await;
        send(&mut stream, path).await;
        stream
    }

    async fn http2(&self) -> (h2::client::SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
        let mut builder = h2::client::Builder::new();
        // One stream that is not read does not stop the others.
        builder.initial_connection_window_size(1 << 20);
        let (client, connection) = builder.handshake(self.connect().await).await.expect("h2c");
        (client, tokio::spawn(connection))
    }
}

async fn send(stream: &mut TcpStream, path: &str) {
    let head = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the connection is open");
}

/// Reads until the body of a chunked response has ended.
async fn read_response(stream: &mut TcpStream) -> String {
    let mut response = Vec::new();
    while !response.ends_with(b"0\r\n\r\n") {
        assert_ne!(
            stream.read_buf(&mut response).await.expect("a response"),
            0,
            "the response ends too early"
        );
    }
    String::from_utf8(response).expect("ASCII")
}

/// Reads until the connection ends; says how long that took.
async fn read_to_end(stream: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let mut buffer = [0; 4096];
    while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
    start.elapsed()
}

async fn http2_get(client: &h2::client::SendRequest<Bytes>, path: &str) -> Result<h2::RecvStream, h2::Error> {
    let request = Request::get(format!("http://test{path}")).body(()).expect("a request");
    let mut client = client.clone().ready().await?;
    Ok(client.send_request(request, true)?.0.await?.into_body())
}

async fn read_http2(mut body: h2::RecvStream) -> Result<usize, h2::Error> {
    let mut len = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        len += data.len();
        body.flow_control().release_capacity(data.len())?;
    }
    Ok(len)
}

#[tokio::test]
async fn slow_head_is_closed_and_idle_connection_is_not() {
    let server = start(None);
    let mut nothing = server.connect().await;
    let mut partial = server.connect().await;
    partial.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let mut idle = server.request("/").await;
    read_response(&mut idle).await;
    let (client, _connection) = server.http2().await;

    let (first, second) = tokio::join!(read_to_end(&mut nothing), read_to_end(&mut partial));
    for time in [first, second] {
        assert!((HEAD / 2..HEAD * 4).contains(&time), "{time:?}");
    }
    sleep(HEAD).await;
    send(&mut idle, "/").await;
    assert!(read_response(&mut idle).await.starts_with("HTTP/1.1 200"));
    assert_eq!(read_http2(http2_get(&client, "/").await.unwrap()).await.unwrap(), 1);

    // The second request of a connection has as much time for its head as the first one.
    idle.write_all(b"GET / ").await.unwrap();
    let time = read_to_end(&mut idle).await;
    assert!((HEAD / 2..HEAD * 4).contains(&time), "{time:?}");
}

#[tokio::test]
async fn large_head_is_refused() {
    let server = start(None);
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    // The connection may be reset while this is written.
    let _ = stream.write_all(&vec![b'x'; HEAD_LEN_MAX + 1024]).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    let response = String::from_utf8_lossy(&response);
    assert!(response.starts_with("HTTP/1.1 431"), "{response}");
}

#[tokio::test]
async fn client_that_does_not_read_is_closed() {
    let server = start(None);
    let stream = server.request("/endless").await;
    server.open.wait_for(1).await;
    let time = server.open.wait_for(0).await;
    assert!(time < SEND * 4, "{time:?}");
    drop(stream);
}

#[tokio::test]
async fn http2_stream_that_is_not_read_ends_alone() {
    let server = start(None);
    let (client, _connection) = server.http2().await;
    let unread = http2_get(&client, "/endless").await.unwrap();
    server.open.wait_for(1).await;
    server.open.wait_for(0).await;
    // The connection and its other requests are not harmed.
    assert_eq!(read_http2(http2_get(&client, "/slow").await.unwrap()).await.unwrap(), 10);
    // It is no complete response.
    assert!(read_http2(unread).await.is_err());
}

#[tokio::test]
async fn client_that_leaves_drops_the_handler() {
    let server = start(None);
    for path in ["/hang", "/endless", "/slow"] {
        let stream = server.request(path).await;
        server.open.wait_for(1).await;
        drop(stream);
        let time = server.open.wait_for(0).await;
        assert!(time < Duration::from_millis(100), "{path} {time:?}");
    }
    let (client, connection) = server.http2().await;
    let response = tokio::spawn(async move { http2_get(&client, "/hang").await.map(drop) });
    server.open.wait_for(1).await;
    response.abort();
    assert!(server.open.wait_for(0).await < Duration::from_millis(100), "reset of a stream");
    connection.abort();
    let start = Instant::now();
    while server.gauge.get() != 0 {
        assert!(start.elapsed() < SEND, "connections are still open");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn draining_finishes_the_requests_in_progress() {
    let server = start(None);
    let mut http1 = server.request("/slow").await;
    let mut idle = server.request("/").await;
    read_response(&mut idle).await;
    let (client, connection) = server.http2().await;
    let body = http2_get(&client, "/slow").await.unwrap();
    server.open.wait_for(2).await;
    let phase = server.phase;
    phase.send(Phase::Drain).unwrap();
    server.task.await.unwrap();
    let (time, response, len) = tokio::join!(
        read_to_end(&mut idle),
        read_response(&mut http1),
        timeout(Duration::from_secs(5), read_http2(body))
    );
    assert!(time < HEAD, "idle connections end at once: {time:?}");
    assert_eq!(response.matches("1\r\nx\r\n").count(), 10);
    assert_eq!(len.expect("GOAWAY does not end a stream").unwrap(), 10);
    assert!(http2_get(&client, "/").await.is_err(), "no new request after GOAWAY");
    drop(client);
    connection.await.unwrap().unwrap();
    timeout(HEAD, phase.closed()).await.expect("all connections have ended");
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn connections_over_the_bound_wait() {
    let server = start(None);
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(server.request("/hang").await);
    }
    server.open.wait_for(100).await;
    let mut waiting = server.request("/").await;
    assert!(timeout(HEAD, waiting.read_u8()).await.is_err());
    streams.pop();
    assert!(read_response(&mut waiting).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn handler_sees_the_end_of_a_stuck_connection_on_abort() {
    let server = start(None);
    let mut stream = server.request("/hang").await;
    server.open.wait_for(1).await;
    server.phase.send(Phase::Drain).unwrap();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(server.open.count(), 1);
    server.phase.send(Phase::Abort).unwrap();
    server.open.wait_for(0).await;
    read_to_end(&mut stream).await;
    poll_fn(|cx| Pin::new(&mut Box::pin(server.phase.closed())).poll(cx)).await;
}

mod tls {
    use std::path::PathBuf;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    struct Files {
        folder: PathBuf,
        authority: Authority,
    }

    impl Files {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("sagewire-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let mut params = CertificateParams::new([]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            let files = Self { folder, authority };
            std::fs::write(files.path("ca.pem"), files.authority.pem()).unwrap();
            files.issue("server");
            files
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.join(name)
        }

        /// Writes a new certificate and its key.
        fn issue(&self, name: &str) {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &self.authority).unwrap();
            std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        }

        fn server(&self, client_ca: Option<PathBuf>) -> Running {
            start(Some(config::Tls {
                cert: self.path("server.pem"),
                key: self.path("server.key"),
                client_ca,
            }))
        }

        async fn connect(
            &self,
            server: &Running,
            alpn: &[&str],
            identity: Option<&str>,
        ) -> io::Result<TlsStream<TcpStream>> {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots);
            let mut config = match identity {
                None => builder.with_no_client_auth(),
                Some(name) => {
                    let certificate =
                        CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap();
                    let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                    builder.with_client_auth_cert(vec![certificate], key).unwrap()
                }
            };
            config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
            let name = ServerName::try_from("localhost").unwrap();
            let stream = TcpStream::connect(server.address).await?;
            TlsConnector::from(Arc::new(config)).connect(name, stream).await
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    async fn get(mut stream: TlsStream<TcpStream>) -> io::Result<String> {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        Ok(response)
    }

    fn certificate(stream: &TlsStream<TcpStream>) -> Vec<u8> {
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    #[tokio::test]
    async fn protocol_is_negotiated() {
        let files = Files::new("alpn");
        let server = files.server(None);
        let stream = files.connect(&server, &["h2", "http/1.1"], None).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        // Like a connection without TLS, it is not closed between requests.
        for _ in 0..2 {
            assert_eq!(read_http2(http2_get(&client, "/").await.unwrap()).await.unwrap(), 1);
            sleep(HEAD * 2).await;
        }
        for alpn in [&["http/1.1"][..], &[]] {
            let stream = files.connect(&server, alpn, None).await.unwrap();
            assert!(get(stream).await.unwrap().starts_with("HTTP/1.1 200"));
        }
        // A client that begins no handshake is closed.
        assert!(read_to_end(&mut server.connect().await).await < HEAD * 4);
    }

    #[tokio::test]
    async fn certificate_is_read_again() {
        let files = Files::new("renewed");
        let server = files.server(None);
        let tls = server.tls.clone().unwrap();
        let old = files.connect(&server, &[], None).await.unwrap();
        let first = certificate(&old);
        let stamp = tls.stamp();
        assert_eq!(stamp, tls.stamp());

        std::fs::write(files.path("server.pem"), "-----BEGIN CERT").unwrap();
        assert_ne!(stamp, tls.stamp());
        let error = tls.reload().unwrap_err().to_string();
        assert!(error.contains("server.pem"), "{error}");
        assert_eq!(certificate(&files.connect(&server, &[], None).await.unwrap()), first);

        files.issue("server");
        tls.reload().unwrap();
        assert_ne!(certificate(&files.connect(&server, &[], None).await.unwrap()), first);
        assert!(get(old).await.unwrap().starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn client_certificate_is_required() {
        let files = Files::new("client");
        let server = files.server(Some(files.path("ca.pem")));
        files.issue("client");
        let stream = files.connect(&server, &[], Some("client")).await.unwrap();
        assert!(get(stream).await.unwrap().starts_with("HTTP/1.1 200"));
        // With TLS 1.3 the client learns after its handshake that it was refused.
        let refused = match files.connect(&server, &[], None).await {
            Ok(stream) => get(stream).await,
            Err(error) => Err(error),
        };
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(server.open.count(), 0);
    }
}
