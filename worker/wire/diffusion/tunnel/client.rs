//! The client's side: what a session says in DPT becomes an upgrade and masked texts.

use super::pipe::{self, EncodingByte, End, Next, Outgoing, Pipe};
use super::{Form, TunnelError, query};
use crate::wire::diffusion::{ConnectRequest, ConnectResponse, FD, MD, NUL, ResponseCode, VERSION};
use crate::wire::websocket::{ClientRequest, CloseCode, Compress, Key, Limits, Role, Upgraded, printable};
use memchr::memchr;

/// The text form's version, client type and capabilities, as its clients send them.
const ZAP_VERSION: u8 = 3;
const ZAP_CLIENT_TYPE: u8 = b'P';
const ZAP_CAPABILITIES: u8 = 1;
/// Digits of the text form's `uid`.
const UID_RANGE: u64 = 10_000_000_000_000_000;

#[derive(Clone, Debug)]
pub struct TunnelConfig {
    pub form: Form,
    /// `host:port`, for the request.
    pub host: String,
    /// Path and query of the address; empty for the form's own.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub limits: Limits,
    pub compress: Compress,
}

#[derive(Debug)]
enum State {
    /// The session has not asked yet.
    Idle,
    /// The upgrade is asked for; in the text form the connect request waits for it.
    Upgrading {
        target: String,
        first: Option<Vec<u8>>,
    },
    /// The first text is to come.
    Shaking,
    Open,
}

/// A WebSocket of a client, seen as a byte stream.
#[derive(Debug)]
pub struct ClientTunnel {
    config: TunnelConfig,
    key: Key,
    uid: u64,
    state: State,
    pipe: Pipe,
}

impl ClientTunnel {
    /// A tunnel for one connection. `random` is to be beyond prediction.
    pub fn new(config: TunnelConfig, random: [u8; 16]) -> ClientTunnel {
        let pipe = Pipe::new(Role::Client, config.limits, config.compress, EncodingByte::Absent);
        let uid = u128::from_le_bytes(random) % u128::from(UID_RANGE);
        let uid = u64::try_from(uid).unwrap_or_default();
        ClientTunnel { config, key: Key::new(random), uid, state: State::Idle, pipe }
    }

    /// Room for what the socket reads; empty while [`ClientTunnel::pull`] has more to give.
    pub fn spare(&mut self) -> &mut [u8] {
        self.pipe.spare()
    }

    /// `count` bytes were read into [`ClientTunnel::spare`].
    pub fn filled(&mut self, count: usize) {
        self.pipe.filled(count);
    }

    /// Whether [`ClientTunnel::pull`] has nothing to give before more is read.
    pub fn is_drained(&self) -> bool {
        self.pipe.is_drained()
    }

    pub fn is_upgraded(&self) -> bool {
        match self.state {
            State::Idle | State::Upgrading { .. } => false,
            State::Shaking | State::Open => true,
        }
    }

    /// Fills `room` with DPT bytes, as far as there are any; how many.
    ///
    /// # Errors
    /// [`TunnelError`], once all that came before is pulled, and again at each call.
    pub fn pull(&mut self, room: &mut [u8]) -> Result<usize, TunnelError> {
        pipe::pull(self, room)
    }
}

impl End for ClientTunnel {
    fn pipe(&mut self) -> &mut Pipe {
        &mut self.pipe
    }

    fn step(&mut self) -> Result<Next, TunnelError> {
        match &mut self.state {
            State::Idle => return Ok(Next::Nothing),
            State::Upgrading { .. } => return self.upgrade(),
            State::Shaking | State::Open => {}
        }
        if self.pipe.next_text()? == Next::Nothing {
            return Ok(Next::Nothing);
        }
        match self.state {
            State::Shaking => self.shake()?,
            State::Idle | State::Upgrading { .. } | State::Open => self.pipe.give_text_from(0),
        }
        Ok(Next::Text)
    }
}

impl ClientTunnel {
    fn upgrade(&mut self) -> Result<Next, TunnelError> {
        let State::Upgrading { target, first } = &mut self.state else { return Ok(Next::Nothing) };
        let request = request(&self.config, target);
        let Some((upgraded, used)) = Upgraded::parse(self.pipe.reader.unread(), &request, &self.key)? else {
            return Ok(Next::Nothing);
        };
        self.pipe.reader.skip(used);
        self.pipe.agreed(upgraded.deflate);
        if let Some(first) = first.take() {
            self.pipe.send_text(&first);
        }
        self.state = State::Shaking;
        Ok(Next::Text)
    }

    /// The first text: `4 FD code FD id`, or in the text form `code FD id NUL`.
    fn shake(&mut self) -> Result<(), TunnelError> {
        let text = self.pipe.text();
        let wrong = || TunnelError::Handshake { start: printable(text, 32) };
        let (head, rest) = match self.config.form {
            Form::V4 => until(MD, text),
            Form::Zap => until(NUL, text),
        };
        let mut fields = head.split(|byte| *byte == FD);
        let version = match self.config.form {
            Form::V4 => fields.next().and_then(number).ok_or_else(wrong)?,
            Form::Zap => VERSION,
        };
        let code = fields.next().and_then(number).map(ResponseCode::from_byte).ok_or_else(wrong)?;
        let response = match (code.is_accepted(), fields.next()) {
            (true, Some(id)) => ConnectResponse::Accepted { version, code, client_id: id },
            (true, None) => return Err(wrong()),
            (false, _) => ConnectResponse::Refused { version, code },
        };
        let mut bytes = Vec::new();
        response.encode(&mut bytes)?;
        self.pipe.stage(|staged| {
            staged.extend_from_slice(&bytes);
            Ok::<(), TunnelError>(())
        })?;
        self.pipe.give_text_from(rest);
        self.state = State::Open;
        Ok(())
    }

    /// Takes whole messages of the session's output; how many bytes.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        match self.state {
            State::Idle => self.ask(bytes),
            // The session has nothing to send before it is answered.
            State::Upgrading { .. } | State::Shaking => 0,
            State::Open => self.send(bytes),
        }
    }

    fn ask(&mut self, bytes: &[u8]) -> usize {
        let (asked, used) = match ConnectRequest::parse(bytes) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return 0,
            Err(error) => {
                self.pipe.fail(error.into());
                return bytes.len();
            }
        };
        let path =
            if self.config.path.is_empty() { self.config.form.default_path() } else { &self.config.path };
        let (target, first) = match self.config.form {
            Form::V4 => (Ok(query::target(path, &asked)), None),
            Form::Zap => {
                let mut first = Vec::new();
                let zap = ConnectRequest {
                    version: ZAP_VERSION,
                    client_type: ZAP_CLIENT_TYPE,
                    capabilities: ZAP_CAPABILITIES,
                    // How this form goes on with a session is not known: it begins a new one.
                    client_id: None,
                    ..asked
                };
                (zap.encode(&mut first).map(|()| query::with_uid(path, self.uid)), Some(first))
            }
        };
        let written = target.map_err(TunnelError::from).and_then(|target| {
            request(&self.config, &target).encode(&self.key, self.pipe.raw())?;
            Ok(target)
        });
        match written {
            Ok(target) => self.state = State::Upgrading { target, first },
            Err(error) => {
                self.pipe.fail(error);
            }
        }
        used
    }

    fn send(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        let mut text = Vec::new();
        while let Some((message, after)) = Outgoing::split(rest) {
            rest = after;
            // Servers of the text form were never seen to answer pings of its own; every WebSocket answers this one.
            if self.config.form == Form::Zap && message.is_ping() {
                self.pipe.ping(message.content);
                continue;
            }
            text.clear();
            text.push(message.kind);
            match self.config.form {
                Form::V4 => {}
                Form::Zap => text.push(message.encoding),
            }
            text.extend_from_slice(message.content);
            self.pipe.send_text(&text);
            if message.ends_session() {
                self.pipe.close(CloseCode::NORMAL);
            }
        }
        bytes.len() - rest.len()
    }

    pub fn output(&self) -> &[u8] {
        self.pipe.output()
    }

    /// The first `count` bytes of [`ClientTunnel::output`] were written.
    pub fn output_sent(&mut self, count: usize) {
        self.pipe.output_sent(count);
    }
}

fn request<'a>(config: &'a TunnelConfig, target: &'a str) -> ClientRequest<'a> {
    ClientRequest {
        host: &config.host,
        target,
        protocol: config.form.subprotocol(),
        headers: &config.headers,
        compress: config.compress,
    }
}

/// What stands before `end`, and where what follows it begins.
fn until(end: u8, text: &[u8]) -> (&[u8], usize) {
    let at = memchr(end, text).unwrap_or(text.len());
    (text.get(..at).unwrap_or_default(), (at + 1).min(text.len()))
}

fn number(text: &[u8]) -> Option<u8> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}
