//! What a session met, in numbers since its start.

/// Each counts messages, unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// All that were taken, the skipped among them.
    pub messages: u64,
    /// Bytes that arrived.
    pub bytes: u64,
    /// Loads told.
    pub loads: u64,
    /// Deltas told.
    pub deltas: u64,
    /// Topics told as removed.
    pub removed: u64,
    /// Acknowledgements sent.
    pub acks: u64,
    /// Pings of the server echoed.
    pub echoes: u64,
    /// Skipped: the alias is not known.
    pub unknown_alias: u64,
    /// Skipped: the type is not known.
    pub unknown_type: u64,
    /// Skipped: a type that a server does not send, or that answers nothing we asked.
    pub unexpected: u64,
    /// Skipped: the body is encrypted, compressed or base64, which we never offered to take.
    pub encoded: u64,
    /// Skipped: fragments.
    pub fragments: u64,
    /// A header is missing or makes no sense: skipped, or taken without what the header was for.
    pub malformed: u64,
    /// Aliases that were not kept.
    pub alias_refused: u64,
}

impl Counters {
    /// All that was skipped or not right.
    pub fn errors(&self) -> u64 {
        self.unknown_alias
            + self.unknown_type
            + self.unexpected
            + self.encoded
            + self.fragments
            + self.malformed
            + self.alias_refused
    }
}
