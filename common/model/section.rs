//! Documents travel as what changed: a head and one section per market, each JSON text.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SectionKey {
    /// Everything but the markets: a JSON object without `match`, `feed`, `source`, `epoch`, `version`,
    /// `received_at`, `updated_at`, `stale`, `markets`, which the recorder adds.
    Head,
    /// The market with this topic id: the value under that key in `markets`.
    Market(String),
}

/// A part of a document, rendered anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    pub key: SectionKey,
    /// A JSON object; `None` when the part is gone.
    pub body: Option<String>,
}
