//! The handshake: what is asked for, and what the server makes of it.

use super::{Session, State, Step};
use crate::feed::SessionKind;
use crate::feed::diffusion::LostReason;
use crate::wire::diffusion::{
    self, AliasTable, CAN_BASE64, CAN_COMPRESSED, ConnectRequest, ConnectResponse, Credentials, ResponseCode,
};
use std::time::Instant;

/// A Java client: the type of the recorded conversations.
const CLIENT_TYPE: u8 = 0x15;
/// Never the bit for encryption, whose way is not public.
const CAPABILITIES: u8 = CAN_COMPRESSED | CAN_BASE64;

impl Session {
    pub(super) fn request(&mut self) {
        let topics = self.config.login_topics.join(",");
        let request = ConnectRequest {
            credentials: self.config.login.as_ref().map(|login| Credentials {
                username: login.username.as_bytes(),
                password: login.password.expose().as_bytes(),
            }),
            topics: topics.as_bytes(),
            client_id: self.resuming.as_deref(),
            ..ConnectRequest::new(CLIENT_TYPE, CAPABILITIES)
        };
        let written = request.encode(&mut self.out);
        if let Err(error) = written {
            self.end(LostReason::Handshake(error));
        }
    }

    pub(super) fn shake(&mut self, now: Instant) -> Step {
        let (code, used) = match ConnectResponse::parse(self.buffer.unread()) {
            Ok(None) => return self.wait(),
            Err(error) => return self.end_step(LostReason::Handshake(error)),
            Ok(Some((ConnectResponse::Refused { code, .. }, _))) => {
                return self.end_step(LostReason::Refused(code));
            }
            Ok(Some((ConnectResponse::Accepted { version, .. }, _))) if version != diffusion::VERSION => {
                return self.end_step(LostReason::Version { version });
            }
            Ok(Some((ConnectResponse::Accepted { code, client_id, .. }, used))) => {
                self.client_id = client_id.to_vec();
                (code, used)
            }
        };
        self.buffer.skip(used);
        self.state = State::Open;
        let kind = self.session_kind(code);
        match kind {
            SessionKind::Fresh => {
                self.aliases = AliasTable::new(self.config.max_aliases);
                self.subscriptions.opened_fresh();
            }
            SessionKind::Resumed => {
                self.may_lack_loads = true;
                self.subscriptions.opened_resumed(&mut self.out);
            }
        }
        self.pinged = now;
        self.subscriptions.send(now, &mut self.out);
        Step::Opened(kind)
    }

    /// A server may answer that a session goes on and mean another one: the id decides too.
    fn session_kind(&self, code: ResponseCode) -> SessionKind {
        match &self.resuming {
            Some(id) if *id == self.client_id && code != ResponseCode::Ok => SessionKind::Resumed,
            Some(_) | None => SessionKind::Fresh,
        }
    }
}
