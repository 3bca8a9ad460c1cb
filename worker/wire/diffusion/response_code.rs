//! The server's answer to a handshake, in a number.
//!
//! Codes of later versions of the protocol are named too, so that a refusal by a newer server reads well.

use super::bytes::named_bytes;
use std::fmt;

named_bytes! {
    ResponseCode {
        Ok = 100, "connected";
        InvalidProtocol = 101, "the server does not speak this version of the protocol";
        Downgrade = 102, "the server wants an older version of the protocol";
        InvalidTopics = 103, "a login topic is not valid";
        Reconnected = 105, "connected again to the same session";
        ReconnectedWithLoss = 106, "connected again, messages were lost";
        TopicExists = 110, "the topic exists already";
        Rejected = 111, "the server rejects the connection";
        ConnectionType = 112, "the server's connector does not take this type of connection";
        LicenceLimit = 113, "the server's licence allows no more connections";
        ReconnectUnsupported = 114, "the server's connector does not take reconnections";
        ProtocolError = 115, "the server met an error in the protocol";
        AuthenticationFailed = 116, "user name or password is wrong";
        UnknownSession = 117, "the server does not know the session any more";
        ReconnectLoss = 118, "the session cannot go on, messages were lost";
        UndefinedError = 127, "the server met an error that it does not name";
    }
}

impl ResponseCode {
    pub const fn is_accepted(self) -> bool {
        matches!(self, ResponseCode::Ok | ResponseCode::Reconnected | ResponseCode::ReconnectedWithLoss)
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text().unwrap_or("a reason that the protocol does not name");
        write!(f, "{text} (code {})", self.byte())
    }
}
