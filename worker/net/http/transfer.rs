//! One request on the wire: what libcurl is told of it, and what comes back.

use super::{HttpError, Request};
use curl::easy::{Easy2, Handler, HttpVersion, List, WriteError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a connection may take, TLS included, within the whole of a request.
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// Headers of an answer that are kept, and their bytes.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 * 1024;
const USER_AGENT: &str = concat!("touchline/", env!("CARGO_PKG_VERSION"));

/// The time of the turn, for callbacks that are given none.
#[derive(Clone, Debug)]
pub(super) struct TurnTime {
    start: Instant,
    micros: Arc<AtomicU64>,
}

impl TurnTime {
    pub(super) fn new() -> TurnTime {
        TurnTime { start: Instant::now(), micros: Arc::default() }
    }

    pub(super) fn set(&self, now: Instant) {
        let micros = now.saturating_duration_since(self.start).as_micros();
        self.micros.store(u64::try_from(micros).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> Instant {
        self.start + Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}

/// What came of an answer so far.
#[derive(Debug)]
pub(super) struct Collector {
    pub(super) body: Vec<u8>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) first_byte: Option<Instant>,
    pub(super) last_byte: Option<Instant>,
    pub(super) size: Size,
    body_limit: usize,
    header_bytes: usize,
    time: TurnTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Fits,
    TooLarge,
}

impl Collector {
    fn new(body_limit: usize, time: TurnTime) -> Collector {
        Collector {
            body: Vec::new(),
            headers: Vec::new(),
            first_byte: None,
            last_byte: None,
            size: Size::Fits,
            body_limit,
            header_bytes: 0,
            time,
        }
    }

    fn received(&mut self) {
        let now = self.time.get();
        self.first_byte.get_or_insert(now);
        self.last_byte = Some(now);
    }
}

impl Handler for Collector {
    fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        self.received();
        if data.len() > self.body_limit.saturating_sub(self.body.len()) {
            self.size = Size::TooLarge;
            // Fewer than were given: that ends the transfer.
            return Ok(0);
        }
        self.body.extend_from_slice(data);
        Ok(data.len())
    }

    fn header(&mut self, data: &[u8]) -> bool {
        self.received();
        if data.starts_with(b"HTTP/") {
            // An interim answer or a proxy's came before.
            self.headers.clear();
            self.header_bytes = 0;
            return true;
        }
        let line = String::from_utf8_lossy(data);
        if let Some((name, value)) = line.split_once(':') {
            self.header_bytes = self.header_bytes.saturating_add(line.len());
            if self.headers.len() < HEADERS_MAX && self.header_bytes <= HEADER_BYTES_MAX {
                self.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        true
    }
}

/// What headers a request goes out with: those of the configuration are for the server that it names alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Headers {
    OfRequest,
    None,
}

/// A handle that asks for `url` as `request` says.
///
/// # Errors
/// [`HttpError`]: libcurl does not take an option.
pub(super) fn easy(
    request: &Request,
    url: &str,
    headers: Headers,
    time: TurnTime,
) -> Result<Easy2<Collector>, HttpError> {
    let mut easy = Easy2::new(Collector::new(request.body_limit, time));
    easy.url(url)?;
    // Said even where they are empty: else the environment is asked.
    easy.proxy(&request.proxy)?;
    easy.noproxy("")?;
    easy.useragent(USER_AGENT)?;
    easy.accept_encoding("gzip, deflate")?;
    easy.http_version(HttpVersion::V2TLS)?;
    easy.connect_timeout(request.whole.min(CONNECT_MAX))?;
    easy.max_filesize(u64::try_from(request.body_limit).unwrap_or(u64::MAX).min(i64::MAX as u64))?;
    if !request.ca_file.is_empty() {
        // The folder with the system's authorities counts beside it.
        easy.cainfo(&request.ca_file)?;
    }
    if request.insecure {
        easy.ssl_verify_peer(false)?;
        easy.ssl_verify_host(false)?;
    }
    match headers {
        Headers::OfRequest => easy.http_headers(list(&request.headers)?)?,
        Headers::None => {}
    }
    Ok(easy)
}

fn list(headers: &[(String, String)]) -> Result<List, HttpError> {
    let mut list = List::new();
    for (name, value) in headers {
        if name.contains([':', ';'])
            || [name, value].into_iter().any(|text| text.chars().any(char::is_control))
        {
            return Err(HttpError::Other("a header of the request is not plain text".to_owned()));
        }
        // Without a value libcurl would leave its own header of that name out instead.
        let line = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        list.append(&line)?;
    }
    Ok(list)
}
