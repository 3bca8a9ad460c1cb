//! The server's side, for a server that speaks DPT inside.

use super::pipe::{EncodingByte, End, Next, Outgoing, Pipe, Tunnel};
use super::{Form, TunnelError, ZAP_PROTOCOL, query};
use crate::wire::diffusion::{ConnectResponse, FD, MD, NUL};
use crate::wire::websocket::{CloseCode, Deflate, Limits, Role, ServerRequest, refuse};

#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub limits: Limits,
    pub deflate: Option<Deflate>,
    /// Messages of so many bytes and more are compressed, where that was agreed upon.
    pub compress_from: usize,
    /// Messages that are sent together stand in one text until it has this many bytes; 0: each in its own.
    pub joining: usize,
    /// Texts are sent in frames of so many bytes; `usize::MAX` for one frame.
    pub frame: usize,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            limits: Limits::default(),
            deflate: Some(Deflate::default()),
            compress_from: 64,
            joining: 16 * 1024,
            frame: usize::MAX,
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

/// What makes a tunnel a server's.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    form: Form,
    state: State,
    text: Vec<u8>,
}

pub type ServerTunnel = Tunnel<Server>;

impl ServerTunnel {
    pub fn new(config: ServerConfig) -> ServerTunnel {
        let pipe = Pipe::new(Role::Server, config.limits, config.compress_from);
        Tunnel { end: Server { config, form: Form::V4, state: State::Waiting, text: Vec::new() }, pipe }
    }

    /// How the client writes messages, once it has asked.
    pub fn form(&self) -> Option<Form> {
        (self.end.state != State::Waiting).then_some(self.end.form)
    }
}

impl End for Server {
    fn step(&mut self, pipe: &mut Pipe) -> Result<Next, TunnelError> {
        if self.state == State::Waiting {
            return self.upgrade(pipe);
        }
        if pipe.next_text()? == Next::Nothing {
            return Ok(Next::Nothing);
        }
        if self.state == State::Asking {
            pipe.staged.extend_from_slice(pipe.reader.payload());
            self.state = State::Answering;
        } else {
            pipe.give_text_from(0);
        }
        Ok(Next::Text)
    }

    fn push(&mut self, bytes: &[u8], pipe: &mut Pipe) -> usize {
        match self.state {
            State::Waiting | State::Asking => 0,
            State::Answering => {
                let used = self.answer(bytes, pipe);
                let more = match bytes.get(used..) {
                    Some(rest) if self.state == State::Open => self.send(rest, pipe),
                    Some(_) | None => 0,
                };
                used + more
            }
            State::Open => self.send(bytes, pipe),
        }
    }
}

impl Server {
    fn upgrade(&mut self, pipe: &mut Pipe) -> Result<Next, TunnelError> {
        let (request, used) = match ServerRequest::parse(pipe.reader.unread()) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(Next::Nothing),
            Err(error) => {
                refuse(400, "Bad Request", &mut pipe.out);
                return Err(error.into());
            }
        };
        pipe.reader.skip(used);
        let wants_zap = request.protocols.split(',').any(|protocol| protocol.trim() == ZAP_PROTOCOL);
        self.form = if wants_zap { Form::Zap } else { Form::V4 };
        let wanted = self.config.deflate.as_ref();
        let deflate = request.accept(self.form.subprotocol(), wanted, &mut pipe.out);
        pipe.agreed(deflate);
        match self.form {
            Form::V4 => {
                query::encode_request(&request.target, &mut pipe.staged)?;
                self.state = State::Answering;
            }
            Form::Zap => {
                pipe.encoding_byte = EncodingByte::There;
                self.state = State::Asking;
            }
        }
        Ok(Next::Text)
    }

    fn answer(&mut self, bytes: &[u8], pipe: &mut Pipe) -> usize {
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
        pipe.send_text(&text);
        if code.is_accepted() {
            self.state = State::Open;
        } else {
            pipe.close(CloseCode::NORMAL);
        }
        used
    }

    fn send(&mut self, bytes: &[u8], pipe: &mut Pipe) -> usize {
        let mut text = std::mem::take(&mut self.text);
        let mut rest = bytes;
        while let Some((message, after)) = Outgoing::split(rest) {
            rest = after;
            if !text.is_empty() && text.len() + message.content.len() + 2 > self.config.joining {
                pipe.send_text_in(self.config.frame, &text);
                text.clear();
            }
            if !text.is_empty() {
                text.push(MD);
            }
            text.push(message.kind);
            text.extend_from_slice(message.content);
            if message.ends_session() {
                pipe.send_text_in(self.config.frame, &text);
                pipe.close(CloseCode::NORMAL);
                text.clear();
            }
        }
        if !text.is_empty() {
            pipe.send_text_in(self.config.frame, &text);
            text.clear();
        }
        self.text = text;
        bytes.len() - rest.len()
    }
}
