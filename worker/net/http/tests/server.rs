//! A small HTTP server on loopback, a thread a connection; what it answers depends on the path.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

pub struct Server {
    pub url: String,
    shared: Arc<Shared>,
    release: Sender<()>,
}

struct Shared {
    running: AtomicUsize,
    most: AtomicUsize,
    connections: AtomicUsize,
    heads: Mutex<Vec<String>>,
    /// What `/held` waits for.
    released: Mutex<Receiver<()>>,
}

impl Server {
    pub fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (release, released) = channel();
        let shared = Arc::new(Shared {
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            heads: Mutex::default(),
            released: Mutex::new(released),
        });
        let with = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                with.connections.fetch_add(1, Ordering::SeqCst);
                let with = Arc::clone(&with);
                std::thread::spawn(move || serve(&stream, &with));
            }
        });
        Server { url, shared, release }
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Lets one `/held` go on.
    pub fn release(&self) {
        self.release.send(()).unwrap();
    }

    /// Requests that were served at once, at most.
    pub fn most(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    /// Waits until so many are served at once.
    pub fn wait_for(&self, running: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.shared.running.load(Ordering::SeqCst) != running {
            assert!(Instant::now() < end, "{running} are never served at once");
            std::thread::yield_now();
        }
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The heads of all requests, in order.
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(head) = head(&mut reader) {
        let running = shared.running.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most.fetch_max(running, Ordering::SeqCst);
        shared.heads.lock().unwrap().push(head.clone());
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let goes_on = answer(&path, &head, stream, shared);
        shared.running.fetch_sub(1, Ordering::SeqCst);
        if goes_on.is_none() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// None: the connection ends here.
fn answer(path: &str, head: &str, mut stream: &TcpStream, shared: &Shared) -> Option<()> {
    match path {
        "/held" => {
            shared.released.lock().unwrap().recv().ok()?;
            whole(stream, "200 OK", "", b"held")
        }
        "/short" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot all");
            None
        }
        "/trickle" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
            // Ends when the client closes.
            while stream.write_all(b".").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
            None
        }
        "/silent" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n.");
            let _ = stream.read_exact(&mut [0]);
            None
        }
        "/large" => whole(stream, "200 OK", "", &vec![b'x'; 5_000_000]),
        "/endless" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'x'; 65_536]).is_ok() {}
            None
        }
        "/circle" => whole(stream, "302 Found", "Location: /circle\r\n", b""),
        "/to-file" => whole(stream, "302 Found", "Location: file:///etc/passwd\r\n", b""),
        "/hop" => whole(stream, "301 Moved", "Location: /ok\r\n", b""),
        "/gzip" => {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(&[b'z'; 50_000]).unwrap();
            whole(stream, "200 OK", "Content-Encoding: gzip\r\n", &gzip.finish().unwrap())
        }
        "/tagged" if head.to_ascii_lowercase().contains("if-none-match: \"a\"") => {
            let _ = stream.write_all(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n");
            Some(())
        }
        "/tagged" => whole(stream, "200 OK", "ETag: \"a\"\r\n", b"tagged"),
        other => match other.strip_prefix("/to/") {
            Some(to) => whole(stream, "302 Found", &format!("Location: http://{to}/ok\r\n"), b""),
            None => whole(stream, "200 OK", "", other.as_bytes()),
        },
    }
}

fn whole(mut stream: &TcpStream, status: &str, headers: &str, body: &[u8]) -> Option<()> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()
}
