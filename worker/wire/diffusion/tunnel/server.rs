//! The server's side, for a server that speaks DPT inside.

use super::pipe::{self, EncodingByte, End, Next, Outgoing, Pipe};
use super::query::Query;
use super::{Form, TunnelError, ZAP_PROTOCOL};
use crate::wire::diffusion::{ConnectResponse, FD, MD, NUL};
use crate::wire::websocket::{
    Answer, CloseCode, Compress, DeflatePolicy, Limits, Role, ServerRequest, UpgradeError,
};

/// How many messages stand in one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    Alone,
    /// Those that are sent together, until the text has this many bytes.
    UpTo(usize),
}

#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub limits: Limits,
    pub deflate: Option<DeflatePolicy>,
    pub compress: Compress,
    /// How many messages stand in one text.
    pub joining: Joining,
    /// Texts are sent in frames of so many bytes; `usize::MAX` for one frame.
    pub frame: usize,
    pub refuse: Option<(u16, String)>,
    pub client_type: u8,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            limits: Limits::default(),
            deflate: Some(DeflatePolicy::default()),
            compress: Compress::From(64),
            joining: Joining::UpTo(16 * 1024),
            frame: usize::MAX,
            refuse: None,
            client_type: 0x10,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Waiting,
    /// In the text form: the first text, which is the connect request, is to come.
    Asking,
    /// The session's answer is to be pushed.
    Answering,
    Open,
}

/// A WebSocket of a server, seen as a byte stream.
#[derive(Debug)]
pub struct ServerTunnel {
    config: ServerConfig,
    form: Form,
    state: State,
    request: Option<ServerRequest>,
    pipe: Pipe,
    text: Vec<u8>,
}

impl ServerTunnel {
    pub fn new(config: ServerConfig) -> ServerTunnel {
        let pipe = Pipe::new(Role::Server, config.limits, config.compress, EncodingByte::Absent);
        ServerTunnel { config, form: Form::V4, state: State::Waiting, request: None, pipe, text: Vec::new() }
    }

    /// What the client asked, once it has.
    pub fn request(&self) -> Option<&ServerRequest> {
        self.request.as_ref()
    }

    /// How the client writes messages, once it has asked.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Room for what the socket reads; empty while [`ServerTunnel::pull`] has more to give.
    pub fn spare(&mut self) -> &mut [u8] {
        self.pipe.spare()
    }

    /// `count` bytes were read into [`ServerTunnel::spare`].
    pub fn filled(&mut self, count: usize) {
        self.pipe.filled(count);
    }

    /// Whether [`ServerTunnel::pull`] has nothing to give before more is read.
    pub fn is_drained(&self) -> bool {
        self.pipe.is_drained()
    }

    /// Fills `room` with DPT bytes, the connect request first; how many.
    ///
    /// # Errors
    /// [`TunnelError`], once all that came before is pulled, and again at each call. What the other side is to get is in
    /// [`ServerTunnel::output`].
    pub fn pull(&mut self, room: &mut [u8]) -> Result<usize, TunnelError> {
        pipe::pull(self, room)
    }
}

impl End for ServerTunnel {
    fn pipe(&mut self) -> &mut Pipe {
        &mut self.pipe
    }

    fn step(&mut self) -> Result<Next, TunnelError> {
        if self.state == State::Waiting {
            return self.upgrade();
        }
        if self.pipe.next_text()? == Next::Nothing {
            return Ok(Next::Nothing);
        }
        if self.state == State::Asking {
            let first = self.pipe.text().to_vec();
            self.pipe.stage(|staged| {
                staged.extend_from_slice(&first);
                Ok::<(), TunnelError>(())
            })?;
            self.state = State::Answering;
        } else {
            self.pipe.give_text_from(0);
        }
        Ok(Next::Text)
    }
}

impl ServerTunnel {
    fn upgrade(&mut self) -> Result<Next, TunnelError> {
        let (request, used) = match ServerRequest::parse(self.pipe.reader.unread()) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(Next::Nothing),
            Err(error) => {
                Answer::Refuse { code: 400, reason: "Bad Request" }.encode(None, self.pipe.raw());
                return Err(error.into());
            }
        };
        self.pipe.reader.skip(used);
        if let Some((code, reason)) = &self.config.refuse {
            Answer::Refuse { code: *code, reason }.encode(Some(&request), self.pipe.raw());
            let line = format!("{code} {reason}");
            return Err(UpgradeError::Status { code: *code, line, location: None }.into());
        }
        self.form = if request.protocols.iter().any(|p| p == ZAP_PROTOCOL) { Form::Zap } else { Form::V4 };
        let answer = Answer::Accept { protocol: self.form.subprotocol(), deflate: self.config.deflate };
        let upgraded = answer.encode(Some(&request), self.pipe.raw());
        self.pipe.agreed(upgraded.deflate);
        match self.form {
            Form::V4 => {
                let query = Query::parse(&request.target);
                let client_type = self.config.client_type;
                self.pipe.stage(|staged| query.request(client_type).encode(staged))?;
                self.state = State::Answering;
            }
            Form::Zap => {
                self.pipe.set_encoding_byte(EncodingByte::There);
                self.state = State::Asking;
            }
        }
        self.request = Some(request);
        Ok(Next::Text)
    }

    /// Takes the answer to the connect request, then whole messages; how many bytes.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        match self.state {
            State::Waiting | State::Asking => 0,
            State::Answering => {
                let used = self.answer(bytes);
                let more = match bytes.get(used..) {
                    Some(rest) if self.state == State::Open => self.send(rest),
                    Some(_) | None => 0,
                };
                used + more
            }
            State::Open => self.send(bytes),
        }
    }

    fn answer(&mut self, bytes: &[u8]) -> usize {
        let Ok(Some((response, used))) = ConnectResponse::parse(bytes) else { return 0 };
        let (version, code, id, used) = match response {
            ConnectResponse::Accepted { version, code, client_id } => (version, code, client_id, used),
            // It is read without what follows its code; here it was written whole.
            ConnectResponse::Refused { version, code } => (version, code, &[][..], bytes.len()),
        };
        let mut text = match self.form {
            Form::V4 => format!("{version}\u{2}{}", code.byte()).into_bytes(),
            Form::Zap => code.byte().to_string().into_bytes(),
        };
        if code.is_accepted() {
            text.push(FD);
            text.extend_from_slice(id);
        }
        match self.form {
            Form::V4 => {}
            Form::Zap => text.push(NUL),
        }
        self.pipe.send_text(&text);
        if code.is_accepted() {
            self.state = State::Open;
        } else {
            self.pipe.close(CloseCode::NORMAL);
        }
        used
    }

    fn send(&mut self, bytes: &[u8]) -> usize {
        let most = match self.config.joining {
            Joining::Alone => 0,
            Joining::UpTo(most) => most,
        };
        let mut text = std::mem::take(&mut self.text);
        let mut rest = bytes;
        while let Some((message, after)) = Outgoing::split(rest) {
            rest = after;
            if !text.is_empty() && text.len() + message.content.len() + 2 > most {
                self.pipe.send_text_in(self.config.frame, &text);
                text.clear();
            }
            if !text.is_empty() {
                text.push(MD);
            }
            text.push(message.kind);
            text.extend_from_slice(message.content);
            if message.ends_session() {
                self.pipe.send_text_in(self.config.frame, &text);
                self.pipe.close(CloseCode::NORMAL);
                text.clear();
            }
        }
        if !text.is_empty() {
            self.pipe.send_text_in(self.config.frame, &text);
            text.clear();
        }
        self.text = text;
        bytes.len() - rest.len()
    }

    pub fn output(&self) -> &[u8] {
        self.pipe.output()
    }

    /// The first `count` bytes of [`ServerTunnel::output`] were written.
    pub fn output_sent(&mut self, count: usize) {
        self.pipe.output_sent(count);
    }
}
