//! Which messages of a capture are printed.

use touchline_worker::wire::capture::What;
use touchline_worker::wire::diffusion::MessageType;

/// Without a wish everything passes, else the messages alone that fulfil each.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Filter {
    /// A part of the topic's name.
    pub(in crate::cli) topic: Option<String>,
    pub(in crate::cli) kind: Option<MessageType>,
}

impl Filter {
    pub(super) fn passes(&self, what: &What<'_>) -> bool {
        if self.topic.is_none() && self.kind.is_none() {
            return true;
        }
        let (kind, topic) = match what {
            What::Message { message, topic, .. } => (message.kind, topic.as_ref()),
            What::GivenUp { message, topic, .. } => (message.kind, Some(topic)),
            What::Opened { .. }
            | What::Recorded { .. }
            | What::Noted(_)
            | What::Swapped
            | What::ConnectRequest(_)
            | What::ConnectResponse(_)
            | What::Upgrade { .. }
            | What::Ping(_)
            | What::Pong(_)
            | What::Close { .. }
            | What::Undecoded { .. }
            | What::Lost(_)
            | What::Ended(_) => return false,
        };
        let name = String::from_utf8_lossy(topic.and_then(|topic| topic.name).unwrap_or_default());
        self.kind.is_none_or(|wanted| wanted == kind)
            && self.topic.as_deref().is_none_or(|part| name.contains(part))
    }
}
