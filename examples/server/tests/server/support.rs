//! A server on a port of its own, and a client that writes to its socket whatever a test wants.

use std::io::{Cursor, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use venule::candle_core::{Device, Result as TensorResult, Tensor};
use venule::data::{FovPolicy, Preprocess};
use venule::image::{ImageFormat, Rgb, RgbImage};
use venule::nn::{Encoder, FeatureInfo, Features, Mode};
use venule::{PartConfig, Registry, Segmenter, VesselModel};
use venule_server::{Options, Server, router, serve};

/// No encoder, but it counts its calls, and takes its time for each.
struct Slow {
    calls: Arc<AtomicUsize>,
    time: Duration,
}

impl Encoder for Slow {
    fn forward(&self, _: &Tensor, _: Mode) -> TensorResult<Features> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(self.time);
        Ok(Features { maps: Vec::new() })
    }

    fn outputs(&self) -> Vec<FeatureInfo> {
        Vec::new()
    }
}

/// An untrained network over the full frame that takes this time for each tile; and how many it has seen.
pub fn segmenter(time: Duration) -> (Segmenter, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let make = move |_: &Map<String, Value>, _: &_| {
        Ok(Slow {
            calls: counted.clone(),
            time,
        })
    };
    let registry = Registry::built_in().with_encoder("slow", make).unwrap();
    // The network of the fast weights, but for its encoder.
    let fast = Segmenter::bundled_fast().unwrap();
    let mut checkpoint = fast.checkpoint().clone();
    checkpoint.model.encoder = PartConfig::new("slow", &Map::<String, Value>::new()).unwrap();
    checkpoint.preprocess = Preprocess::default();
    checkpoint.fov = FovPolicy::FullFrame;
    let model = VesselModel::from_registry(&registry, &checkpoint.model, 1, &Device::Cpu).unwrap();
    (Segmenter::new(checkpoint, model).unwrap(), calls)
}

/// A running server.
pub struct Running {
    pub address: SocketAddr,
    pub calls: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<bool>>,
}

impl Running {
    /// With these flags, and this time for a tile.
    pub fn new(flags: &str, time: Duration) -> Self {
        let flags = ["venule-server"]
            .into_iter()
            .chain(flags.split_whitespace());
        let options = Options::try_parse_from(flags).unwrap();
        let (segmenter, calls) = segmenter(time);
        let app = router(Server::new(segmenter, options.clone()).unwrap());
        let (stop, stopped) = oneshot::channel();
        let (told, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                serve(listener, app, &options, async { drop(stopped.await) }).await
            })
        });
        Self {
            address: address.recv().unwrap(),
            calls,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Tells it to stop.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops it; whether all was answered in time.
    pub fn end(mut self) -> bool {
        self.stop();
        self.thread.take().unwrap().join().unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    }

    /// The answer to a request of these lines and this body.
    pub fn ask(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        send(&mut stream, head, body);
        Answer::read(&mut stream)
    }

    /// The numbers of `/healthz`: at work, and waiting.
    pub fn health(&self) -> (u64, u64) {
        let health = self.ask("GET /healthz", b"").json();
        (
            health["working"].as_u64().unwrap(),
            health["waiting"].as_u64().unwrap(),
        )
    }
}

/// Waits for what is to become true.
#[track_caller]
pub fn wait(mut until: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !until() {
        assert!(Instant::now() < limit, "it has not become true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Writes a request of these lines, with the length of its body.
pub fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let (first, rest) = head.split_once('\n').unwrap_or((head, ""));
    let mut text = format!("{first} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    for line in rest.lines() {
        text += &format!("{line}\r\n");
    }
    if !rest.contains("Content-Length") && !rest.contains("Transfer-Encoding") {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all(text.as_bytes()).unwrap();
    stream.write_all(b"\r\n").unwrap();
    // It may have answered and closed before all is sent.
    let _ = stream.write_all(body);
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let mut piece = [0; 1 << 14];
        // An answer before the end of an upload is followed by a reset.
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            bytes.extend(&piece[..count]);
        }
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("an answer");
        let head = String::from_utf8(bytes[..end].to_vec())
            .unwrap()
            .to_lowercase();
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub fn json(&self) -> Value {
        assert!(
            self.head.contains("content-type: application/json"),
            "{}",
            self.head
        );
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks that it is this error.
    #[track_caller]
    pub fn expect(&self, status: u16, code: &str, words: &str) {
        let json = self.json();
        let message = json["error"]["message"].as_str().unwrap();
        assert_eq!(
            (self.status, json["error"]["code"].as_str().unwrap()),
            (status, code),
            "{json}"
        );
        assert!(message.contains(words), "{json}");
    }
}

/// A photograph as PNG.
pub fn photograph(width: u32, height: u32) -> (RgbImage, Vec<u8>) {
    let level = |x: u32, y: u32| Rgb([120, ((x * 7 + y * 3) % 200) as u8, 20]);
    let image = RgbImage::from_fn(width, height, level);
    let mut png = Vec::new();
    image
        .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
        .unwrap();
    (image, png)
}
