//! The client's side: what a session says in DPT becomes an upgrade and masked texts.

use super::pipe::{End, Next, Outgoing, Pipe, Tunnel};
use super::{Form, TunnelError, number, query, response};
use crate::wire::diffusion::{ConnectRequest, MD, NUL, VERSION, fields};
use crate::wire::websocket::{ClientRequest, CloseCode, Key, Limits, Offer, Role, printable};
use memchr::memchr;

/// The text form's version, client type and capabilities, as its clients send them.
const ZAP_VERSION: u8 = 3;
const ZAP_CLIENT_TYPE: u8 = b'P';
const ZAP_CAPABILITIES: u8 = 1;
/// What we send is short, and a compressor takes more memory than all of it.
const COMPRESS_FROM: usize = usize::MAX;
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

/// What makes a tunnel a client's.
#[derive(Debug)]
pub struct Client {
    config: TunnelConfig,
    key: Key,
    uid: u64,
    state: State,
}

pub type ClientTunnel = Tunnel<Client>;

impl ClientTunnel {
    /// A tunnel for one connection. `random` is to be beyond prediction.
    pub fn new(config: TunnelConfig, random: [u8; 16]) -> ClientTunnel {
        let pipe = Pipe::new(Role::Client, config.limits, COMPRESS_FROM);
        let uid = u128::from_le_bytes(random) % u128::from(UID_RANGE);
        let uid = u64::try_from(uid).unwrap_or_default();
        Tunnel { end: Client { config, key: Key::new(random), uid, state: State::Idle }, pipe }
    }

    pub fn is_upgraded(&self) -> bool {
        match self.end.state {
            State::Idle | State::Upgrading { .. } => false,
            State::Shaking | State::Open => true,
        }
    }
}

impl End for Client {
    fn step(&mut self, pipe: &mut Pipe) -> Result<Next, TunnelError> {
        match &mut self.state {
            State::Idle => return Ok(Next::Nothing),
            State::Upgrading { .. } => return self.upgrade(pipe),
            State::Shaking | State::Open => {}
        }
        if pipe.next_text()? == Next::Nothing {
            return Ok(Next::Nothing);
        }
        match self.state {
            State::Shaking => self.shake(pipe)?,
            State::Idle | State::Upgrading { .. } | State::Open => pipe.give_text_from(0),
        }
        Ok(Next::Text)
    }

    fn push(&mut self, bytes: &[u8], pipe: &mut Pipe) -> usize {
        match self.state {
            State::Idle => self.ask(bytes, pipe),
            // The session has nothing to send before it is answered.
            State::Upgrading { .. } | State::Shaking => 0,
            State::Open => self.send(bytes, pipe),
        }
    }
}

impl Client {
    fn upgrade(&mut self, pipe: &mut Pipe) -> Result<Next, TunnelError> {
        let State::Upgrading { target, first } = &mut self.state else { return Ok(Next::Nothing) };
        let request = request(&self.config, target);
        let Some((deflate, used)) = request.read_answer(&self.key, pipe.reader.unread())? else {
            return Ok(Next::Nothing);
        };
        pipe.reader.skip(used);
        pipe.agreed(deflate);
        if let Some(first) = first.take() {
            pipe.send_text(&first);
        }
        self.state = State::Shaking;
        Ok(Next::Text)
    }

    /// The first text: `4 FD code FD id`, or in the text form `code FD id NUL`.
    fn shake(&mut self, pipe: &mut Pipe) -> Result<(), TunnelError> {
        let text = pipe.reader.payload();
        let end = match self.config.form {
            Form::V4 => MD,
            Form::Zap => NUL,
        };
        let head = memchr(end, text).and_then(|at| text.get(..at)).unwrap_or(text);
        let mut fields = fields(head);
        let version = match self.config.form {
            Form::V4 => fields.next().and_then(number),
            Form::Zap => Some(VERSION),
        };
        let response = version.and_then(|version| response(version, fields));
        let response = response.ok_or_else(|| TunnelError::Handshake { start: printable(text, 32) })?;
        response.encode(&mut pipe.staged)?;
        let rest = (head.len() + 1).min(text.len());
        pipe.give_text_from(rest);
        self.state = State::Open;
        Ok(())
    }

    fn ask(&mut self, bytes: &[u8], pipe: &mut Pipe) -> usize {
        let (asked, used) = match ConnectRequest::parse(bytes) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return 0,
            Err(error) => {
                pipe.fail(error.into());
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
            request(&self.config, &target).encode(&self.key, &mut pipe.out)?;
            Ok(target)
        });
        match written {
            Ok(target) => self.state = State::Upgrading { target, first },
            Err(error) => {
                pipe.fail(error);
            }
        }
        used
    }

    fn send(&self, bytes: &[u8], pipe: &mut Pipe) -> usize {
        let mut rest = bytes;
        let mut text = Vec::new();
        while let Some((message, after)) = Outgoing::split(rest) {
            rest = after;
            // Servers of the text form were never seen to answer pings of its own; every WebSocket answers this one.
            if self.config.form == Form::Zap && message.is_ping() {
                pipe.ping(message.content);
                continue;
            }
            text.clear();
            text.push(message.kind);
            match self.config.form {
                Form::V4 => {}
                Form::Zap => text.push(message.encoding),
            }
            text.extend_from_slice(message.content);
            pipe.send_text(&text);
            if message.ends_session() {
                pipe.close(CloseCode::NORMAL);
            }
        }
        bytes.len() - rest.len()
    }
}

fn request<'a>(config: &'a TunnelConfig, target: &'a str) -> ClientRequest<'a> {
    ClientRequest {
        host: &config.host,
        target,
        protocol: config.form.subprotocol(),
        offer: Offer::Deflate,
        headers: &config.headers,
    }
}
