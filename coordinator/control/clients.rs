//! The control socket and the conversations on it, byte by byte; what the lines mean is not known here.

use crate::file_error::FileError;
use crate::sources::{Source, Sources};
use mio::{Interest, Token};
use nix::sys::socket::{MsgFlags, getsockopt, recv, sockopt::PeerCredentials};
use nix::sys::stat::{Mode, umask};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use touchline_common::control::{Access, Answer, Code, LineReader, MAX_REQUEST, Request};
use touchline_common::failpoint::{self, Point};

/// Conversations at once. For one more the one gives way that has been without a whole request for the longest time.
pub const MAX_CLIENTS: usize = 64;
/// Of them, those whose commands are at work: all others can give way, so that a whole request always gets in.
const MAX_AT_WORK: usize = 16;
/// So long nobody has to give way: who has just connected is about to ask.
const GRACE: Duration = Duration::from_secs(1);
/// A conversation in which nothing moves for this long is ended, unless an answer is being made.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes of answers that may wait for a client; one that reads slower is cut off.
const OUT_LIMIT: usize = 64 << 20;
const MAX_PENDING: usize = 64;
/// Bytes that one client may send within a turn; whoever sends more asks nothing that a person would.
const MAX_TURN: usize = 1 << 20;
/// How long no further client is accepted when the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub struct Permissions {
    pub read: Vec<u32>,
    pub operate: Vec<u32>,
}

impl Permissions {
    /// The same, and root and our own uid may do everything.
    pub fn with_ourselves(mut self) -> Permissions {
        self.operate.extend([0, nix::unistd::geteuid().as_raw()]);
        self
    }
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    token: Token,
    uid: u32,
    lines: LineReader,
    out: Vec<u8>,
    written: usize,
    /// Requests that are being answered elsewhere.
    pending: usize,
    moved: Instant,
    /// When it connected, last sent a whole request or last got an answer.
    heard: Instant,
    closing: bool,
}

#[derive(Debug)]
pub struct Clients {
    listener: UnixListener,
    path: PathBuf,
    permissions: Permissions,
    clients: BTreeMap<u32, Client>,
    last: u32,
    /// Who has connected and waits for another client to give way.
    newcomer: Option<UnixStream>,
    /// Set while accepting pauses for want of descriptors or places.
    paused: Option<Instant>,
}

impl Clients {
    /// Binds the socket at `path`, 0660 from its first instant. The caller holds the instance lock, so what stands there is stale.
    pub fn listen(path: &Path, permissions: Permissions) -> Result<Clients, FileError> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FileError::of("removing the stale file of the control socket", path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let before = umask(Mode::from_bits_truncate(0o117));
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound.map_err(FileError::of("binding the control socket", path))?;
        listener.set_nonblocking(true).map_err(FileError::of("preparing the control socket", path))?;
        Ok(Clients {
            listener,
            path: path.to_owned(),
            permissions,
            clients: BTreeMap::new(),
            last: 0,
            newcomer: None,
            paused: None,
        })
    }

    pub fn listener_fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }

    pub fn accept(&mut self, sources: &mut Sources) {
        while let Some(stream) = self.newcomer.take().or_else(|| self.next_newcomer()) {
            if self.clients.len() >= MAX_CLIENTS && !self.make_room(sources) {
                // Those behind it wait in the kernel's queue; the next tick looks again.
                self.newcomer = Some(stream);
                self.paused = Some(Instant::now());
                return;
            }
            self.admit(stream, sources);
        }
    }

    fn next_newcomer(&mut self) -> Option<UnixStream> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Some(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // No descriptors: the ones who wait stay in the queue, and the loop must not spin on them.
                    log::warn!(error:% = error; "control.accept_failed");
                    self.paused = Some(Instant::now() + PAUSE);
                    return None;
                }
            }
        }
    }

    /// Ends the conversation that has been without a whole request for the longest time; `false` if none has been for [`GRACE`].
    fn make_room(&mut self, sources: &mut Sources) -> bool {
        let quiet = self.clients.iter().filter(|(_, client)| client.can_give_way());
        let Some(number) = quiet.min_by_key(|(_, client)| client.heard).map(|(number, _)| *number) else {
            return false;
        };
        if let Some(mut client) = self.clients.remove(&number) {
            client.give_way();
            client.close(sources);
        }
        true
    }

    fn admit(&mut self, stream: UnixStream, sources: &mut Sources) {
        let Ok(credentials) = getsockopt(&stream, PeerCredentials) else { return };
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        self.last = self.last.wrapping_add(1);
        let both = Interest::READABLE | Interest::WRITABLE;
        let Ok(token) = sources.watch(stream.as_raw_fd(), Source::Client(self.last), both) else { return };
        let client = Client {
            stream,
            token,
            uid: credentials.uid(),
            lines: LineReader::new(MAX_REQUEST),
            out: Vec::new(),
            written: 0,
            pending: 0,
            moved: Instant::now(),
            heard: Instant::now(),
            closing: false,
        };
        self.clients.insert(self.last, client);
    }

    /// What the client asks now, in order; a line that is no request is answered here, and who asks more at once than
    /// [`MAX_PENDING`] or writes more than [`MAX_TURN`] bytes is text so and cut off.
    pub fn requests(&mut self, number: u32) -> Vec<Request> {
        let Some(client) = self.clients.get_mut(&number) else { return Vec::new() };
        let mut requests = Vec::new();
        let mut buffer = [0; 16 << 10];
        let mut taken = 0;
        while !client.closing {
            match client.stream.read(&mut buffer) {
                Ok(0) => {
                    client.closing = true;
                    break;
                }
                Ok(n) => {
                    taken += n;
                    client.moved = Instant::now();
                    client.lines.push(buffer.get(..n).unwrap_or_default());
                    if !client.take_lines(&mut requests) {
                        break;
                    }
                    if taken > MAX_TURN || client.pending + requests.len() > MAX_PENDING {
                        client.cut_off(&mut requests);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    client.closing |= error.kind() != io::ErrorKind::WouldBlock;
                    break;
                }
            }
        }
        client.pending += requests.len();
        requests
    }

    pub fn may(&self, number: u32, access: Access) -> bool {
        let Some(client) = self.clients.get(&number) else { return false };
        let operates = self.permissions.operate.contains(&client.uid);
        match access {
            Access::Look => operates || self.permissions.read.contains(&client.uid),
            Access::Act => operates,
        }
    }

    pub fn uid(&self, number: u32) -> Option<u32> {
        self.clients.get(&number).map(|client| client.uid)
    }

    /// Whether this client's command may be at work beside those of others.
    pub fn may_wait(&self, number: u32) -> bool {
        let waits = |(other, client): &(&u32, &Client)| **other != number && client.pending > 0;
        self.clients.iter().filter(waits).count() < MAX_AT_WORK
    }

    pub fn answer(&mut self, number: u32, answer: &Answer) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.pending = client.pending.saturating_sub(1);
        client.moved = Instant::now();
        client.heard = client.moved;
        client.out.extend_from_slice(&answer.to_line());
        failpoint::hit(Point::ReplyQueued);
        client.closing |= client.out.len() - client.written > OUT_LIMIT;
    }

    /// Gives the socket of a client away, with the one request that is to be answered there; `None` if it still has other answers to
    /// get, or other requests to make here.
    pub fn hand_over(&mut self, number: u32, sources: &mut Sources) -> Option<OwnedFd> {
        let client = self.clients.get_mut(&number)?;
        client.flush();
        let is_all = client.pending <= 1 && client.out.is_empty() && client.lines.rest().is_empty();
        if !is_all {
            return None;
        }
        let client = self.clients.remove(&number)?;
        client.close(sources);
        Some(client.stream.into())
    }

    /// Writes to every client as much as it takes and ends the conversations that are over.
    pub fn flush_all(&mut self, sources: &mut Sources) {
        self.keep(Client::flush, sources);
    }

    /// Ends idle conversations, and accepts again after a pause.
    pub fn expire(&mut self, sources: &mut Sources) {
        let now = Instant::now();
        let is_alive =
            |client: &mut Client| client.pending > 0 || now.saturating_duration_since(client.moved) < IDLE;
        self.keep(is_alive, sources);
        if self.paused.is_some_and(|until| now >= until) {
            self.paused = None;
            self.accept(sources);
        }
    }

    /// Ends the conversations that are not to be kept.
    fn keep(&mut self, is_kept: impl Fn(&mut Client) -> bool, sources: &mut Sources) {
        for (_, client) in self.clients.extract_if(.., |_, client| !is_kept(client)) {
            client.close(sources);
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Client {
    /// Asks too much at once: nothing of it is done, and the conversation ends.
    fn cut_off(&mut self, requests: &mut Vec<Request>) {
        requests.clear();
        self.closing = true;
        let text = format!("more than {MAX_PENDING} requests or {MAX_TURN} bytes at once: wait for answers");
        self.out.extend_from_slice(&Answer::refused(Code::Usage, text).to_line());
    }

    /// Whether it has been idle, in mid-line or not reading its answers for a while, and nothing that just came may be its request.
    fn can_give_way(&self) -> bool {
        self.pending == 0 && self.heard.elapsed() >= GRACE && (self.closing || !self.has_unread())
    }

    fn has_unread(&self) -> bool {
        recv(self.stream.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK).is_ok_and(|bytes| bytes > 0)
    }

    /// Says why it ends, unless that would stand within an answer.
    fn give_way(&mut self) {
        if self.out.is_empty() {
            let text = format!(
                "no whole request for {GRACE:?} while more than {MAX_CLIENTS} clients are connected: closed to make room"
            );
            let _ = self.stream.write(&Answer::refused(Code::Failed, text).to_line());
        }
    }

    fn take_lines(&mut self, requests: &mut Vec<Request>) -> bool {
        loop {
            let text = match self.lines.next_line() {
                Ok(None) => return true,
                Ok(Some(line)) => match Request::parse(line) {
                    Ok(request) => {
                        self.heard = Instant::now();
                        requests.push(request);
                        continue;
                    }
                    Err(error) => error,
                },
                Err(error) => {
                    self.closing = true;
                    error.to_string()
                }
            };
            self.out.extend_from_slice(&Answer::refused(Code::Usage, text).to_line());
            if self.closing {
                return false;
            }
        }
    }

    fn flush(&mut self) -> bool {
        while self.written < self.out.len() {
            match self.stream.write(self.out.get(self.written..).unwrap_or_default()) {
                Ok(0) => return false,
                Ok(n) => {
                    self.written += n;
                    self.moved = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.out.len() - self.written <= OUT_LIMIT;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.out.clear();
        self.written = 0;
        !(self.closing && self.pending == 0)
    }

    fn close(&self, sources: &mut Sources) {
        sources.forget(self.stream.as_raw_fd(), self.token);
    }
}
