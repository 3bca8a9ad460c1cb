//! A change as data: the delta messages it causes, in order. One buffer, used again for each change.

use std::ops::Range;

/// Which of the server's topics a message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// The match's own.
    Match,
    /// The list.
    List,
}

/// A delta message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// Whose subscribers get it.
    pub(crate) channel: Channel,
    /// The topic in its header.
    pub(crate) topic: &'a [u8],
    /// `U|…`, `I|…` or `D||`.
    pub(crate) body: &'a [u8],
}

/// The messages of one change, or of several after one another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    text: Vec<u8>,
    parts: Vec<(Channel, Range<usize>, Range<usize>)>,
}

impl Change {
    /// Forgets all messages.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.parts.clear();
    }

    /// The messages, in order.
    pub(crate) fn messages(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        self.parts.iter().map(|(channel, topic, body)| Message {
            channel: *channel,
            topic: self.text.get(topic.clone()).unwrap_or_default(),
            body: self.text.get(body.clone()).unwrap_or_default(),
        })
    }

    /// Adds a message: `topic` and `body` append their text.
    pub(crate) fn add(
        &mut self,
        channel: Channel,
        topic: impl FnOnce(&mut Vec<u8>),
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.text.len();
        topic(&mut self.text);
        let middle = self.text.len();
        body(&mut self.text);
        self.parts.push((channel, start..middle, middle..self.text.len()));
    }
}
