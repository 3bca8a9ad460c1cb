//! What a feed of kind `diffusion` has beside what all feeds have: the wire, the topics, the payload.

use super::section::section;
use crate::config::template::{Part, Template};
use crate::config::units::Dur;
use serde::{Deserialize, Serialize};

section! {
    pub struct DiffusionConfig {
        protocol: Protocol = Protocol::V4,
        /// Topics that the handshake itself asks for, as the server wants them written.
        login_topics: Vec<String> = Vec::new(),
        payload: Payload = Payload::Inplay,
        /// The topic of the match list; empty for a feed without one.
        list_topic: String = "OVInPlay_1_3".to_owned(),
        match_id: Template = Template::of("{ID}", &[Part::attribute("ID")]),
        /// A match's topics, from its event node; the first one wins.
        match_topics: Vec<Template> =
            vec![Template::of("6V{ID}", &[Part::Text("6V".to_owned()), Part::attribute("ID")])],
        /// The topic of the server's clock; empty: none.
        time_topic: String = String::new(),
        /// Under strategy `dumps`: matches that one connection goes round.
        dump_matches: u32 = 250,
        /// Under strategy `dumps`: a match is loaded at most once in this time.
        dump_every: Dur = Dur::secs(1),
        /// Whether a resumed session must subscribe again.
        resubscribe: bool = false,
        /// A file over the built-in table of attributes; empty: none.
        mapping: String = String::new(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Version 4, framed.
    V4,
    Zap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    Inplay,
    TopicTree,
    /// Bytes, passed on as they are.
    Raw,
}
