//! What a feed of kind `push` has beside what all feeds have: how a server that sends JSON over a WebSocket is spoken to.
//!
//! Plain data; the rules stand in `docs/push.md`. Pointers are relative to the message, those that say so to one of its items; an empty
//! pointer or template means that there is nothing of the kind. What needs what is judged by `values::push`.

use super::section::section;
use super::{FeedConfig, Reading};
use crate::config::message_template::MessageTemplate;
use crate::config::one_or_several::{Tables, Words};
use crate::config::pointer::Pointer;
use crate::config::template::{Part, Template};
use crate::config::units::Dur;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// Seconds between two heartbeats, unless it is configured.
const HEARTBEAT: Dur = Dur::secs(30);

section! {
    pub struct PushConfig {
        /// Topics to follow where there is no list; each is a match with this id.
        topics: Vec<String> = Vec::new(),
        /// A file that names them, one a line, watched; empty: none.
        topics_file: String = String::new(),
        /// Where the matches to follow are found; without `url` and `topic`: nowhere.
        list: PushList = PushList::default(),
        login: PushLogin = PushLogin::default(),
        /// With `{TOPIC}` one topic a message, with `{TOPICS}` an array of up to `batch`.
        subscribe: MessageTemplate = MessageTemplate::default(),
        /// As `subscribe`; empty: topics are given up by closing alone.
        unsubscribe: MessageTemplate = MessageTemplate::default(),
        /// How one topic stands in `{TOPICS}`, with `{TOPIC}`; empty: as a text.
        each: MessageTemplate = MessageTemplate::default(),
        /// Topics of one message at most.
        batch: u32 = 50,
        /// Messages sent per second at most, beside `subscribes_per_s` for topics.
        messages_per_s: f64 = 10.0,
        /// Messages that acknowledge subscriptions.
        acknowledged: Tables<Answer> = Tables::default(),
        /// Messages that refuse subscriptions.
        refused: Tables<Answer> = Tables::default(),
        /// Messages to which the server expects an answer.
        reply: Tables<Reply> = Tables::default(),
        /// After so long without a sign of life the connection is given up; `0s`: never.
        idle_limit: Dur = Dur::secs(90),
        /// What counts as a sign of life.
        alive: Alive = Alive::Frame,
        /// Close codes by which the server refuses the login: it is tried again only after a minute and more.
        refusing_codes: Vec<u16> = vec![1008],
        /// How binary frames are packed.
        packed: Packed = Packed::Auto,
        /// The array of items of a message, or the object of them by topic; empty: the message is one item, or an array of such messages.
        items: Pointer = Pointer::default(),
        /// In an item: its topic, a text or a number. Empty where `items` are an object by topic.
        topic: Pointer = Pointer::default(),
        /// In an item: what the topic's document, or its delta, is.
        body: Pointer = Pointer::default(),
        /// Items that are nothing of any topic. The first of `ignored`, `removed`, `snapshot` and `delta` that holds says what an item is.
        ignored: Tables<When> = Tables::default(),
        /// Items that end a topic.
        removed: Tables<When> = Tables::default(),
        /// Items that are the whole document; without any, the first item of a topic after each subscription.
        snapshot: Tables<When> = Tables::default(),
        /// Items that are deltas; without any, all that are nothing else.
        delta: Tables<When> = Tables::default(),
        /// What a delta does to the document.
        merge: Merge = Merge::Replace,
        /// The number by which a missing or repeated item shows.
        sequence: Sequence = Sequence::default(),
        /// Deltas of one topic that are held until its snapshot comes, at most.
        held_deltas: u32 = 1_000,
        /// How a subscription goes on after a reconnect.
        resume: Resume = Resume::default(),
        /// How documents are read.
        reading: Reading = Reading::default(),
    }
}

section! {
    /// What feeds of kinds `rooms` and `push` have.
    pub struct HeartbeatConfig {
        heartbeat: Heartbeat = Heartbeat::default(),
    }
}

/// Our own sign of life: `"30s"` in the protocol's own form, which for `push` is a WebSocket ping, or `{ every = "10s", send = "…" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// `0s`: never.
    pub every: Dur,
    /// Empty: in the protocol's own form.
    pub send: MessageTemplate,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Heartbeat { every: HEARTBEAT, send: MessageTemplate::default() }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeartbeatTable {
    every: Dur,
    send: MessageTemplate,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "no heartbeat, expected a duration such as \"30s\", or { every = \"10s\", send = \"…\" }"
)]
enum HeartbeatForm {
    Every(Dur),
    Table(HeartbeatTable),
}

impl Serialize for Heartbeat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.send.is_empty() {
            return self.every.serialize(serializer);
        }
        HeartbeatTable { every: self.every, send: self.send.clone() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Heartbeat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match HeartbeatForm::deserialize(deserializer)? {
            HeartbeatForm::Every(every) => Heartbeat { every, send: MessageTemplate::default() },
            HeartbeatForm::Table(HeartbeatTable { every, send }) => Heartbeat { every, send },
        })
    }
}

/// A list of matches: polled from `url`, or a `topic` of the server itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushList {
    /// Empty: it is not polled.
    pub url: String,
    pub every: Dur,
    /// Empty: it is no topic.
    pub topic: String,
    /// The array of matches, in the answer or the topic's document.
    pub items: Pointer,
    /// In an entry of it: the match's id.
    pub id: Pointer,
    /// The topic of a match, of the scalar members of its entry; `{ID}` is its id.
    pub match_topic: Template,
    /// What an entry says of its match.
    pub reading: Reading,
}

impl Default for PushList {
    fn default() -> Self {
        PushList {
            url: String::new(),
            every: Dur::secs(60),
            topic: String::new(),
            items: Pointer::default(),
            id: Pointer::member("id"),
            match_topic: id_template(),
            reading: Reading::default(),
        }
    }
}

impl PushList {
    /// The topic under which the list is followed; empty: there is none.
    pub fn topic(&self) -> &str {
        match (self.topic.as_str(), self.url.is_empty()) {
            ("", true) => "",
            ("", false) => super::LIST_TOPIC,
            (topic, _) => topic,
        }
    }
}

fn id_template() -> Template {
    Template::of("{ID}", &[Part::attribute("ID")])
}

/// What comes before the first subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushLogin {
    /// The server's greeting, which is waited for; none: nothing is.
    #[serde(skip_serializing_if = "Tables::is_empty")]
    pub greeting: Tables<When>,
    /// With `{USERNAME}` and `{PASSWORD}`; empty: there is no login.
    pub send: MessageTemplate,
    /// The answer that lets us in; none: any message.
    #[serde(skip_serializing_if = "Tables::is_empty")]
    pub accepted: Tables<When>,
    /// The answer that does not.
    #[serde(skip_serializing_if = "Tables::is_empty")]
    pub refused: Tables<Answer>,
    /// Greeting and answer must have come in this time.
    pub deadline: Dur,
}

impl Default for PushLogin {
    fn default() -> Self {
        PushLogin {
            greeting: Tables::default(),
            send: MessageTemplate::default(),
            accepted: Tables::default(),
            refused: Tables::default(),
            deadline: Dur::secs(10),
        }
    }
}

/// Where a pointer begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    #[default]
    Item,
    Message,
}

/// Holds where `at` leads to one of the words of `is`; without any, where it leads to something but null and false.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    pub at: Pointer,
    #[serde(skip_serializing_if = "Words::is_empty")]
    pub is: Words,
    pub of: Of,
}

/// A message that answers subscriptions, or a login. Pointers are relative to the message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    pub at: Pointer,
    /// As of [`When`].
    #[serde(skip_serializing_if = "Words::is_empty")]
    pub is: Words,
    /// The topic that is answered, or the array of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Pointer>,
    /// The `{N}` of the message that is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<Pointer>,
    /// Why, of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Pointer>,
}

/// What is sent when a message comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reply {
    pub at: Pointer,
    /// As of [`When`].
    #[serde(skip_serializing_if = "Words::is_empty")]
    pub is: Words,
    /// With `{VALUE}`: what `at` leads to.
    pub send: MessageTemplate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alive {
    /// Anything, pings and pongs too.
    Frame,
    /// Messages only.
    Message,
}

/// How a binary frame is packed. What a text frame has is never packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packed {
    /// By its first bytes.
    Auto,
    None,
    Gzip,
    Zlib,
    /// Neither head nor checksum.
    Deflate,
}

/// What a delta does to a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Merge {
    /// It takes its place.
    #[default]
    Replace,
    /// RFC 7396: `null` removes a member.
    Merge,
    /// As `merge`, but `null` is a value.
    DeepMerge,
    /// RFC 6902.
    Patch,
    /// `{ key = "id", amount = "size" }`: as `deep-merge`; items of arrays are known by `key`, or are pairs whose first is their key, and
    /// an `amount` (of pairs the second) of zero or null removes them.
    Keyed(KeyedBy),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyedBy {
    pub key: String,
    #[serde(default)]
    pub amount: String,
}

/// The forms that are one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MergeWord {
    Replace,
    Merge,
    DeepMerge,
    Patch,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "no form of deltas, expected \"replace\", \"merge\", \"deep-merge\", \"patch\" or { key = \"…\", amount = \"…\" }"
)]
enum MergeForm {
    Word(MergeWord),
    Keyed(KeyedBy),
}

impl Serialize for Merge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Replace => MergeWord::Replace.serialize(serializer),
            Self::Merge => MergeWord::Merge.serialize(serializer),
            Self::DeepMerge => MergeWord::DeepMerge.serialize(serializer),
            Self::Patch => MergeWord::Patch.serialize(serializer),
            Self::Keyed(keyed) => keyed.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match MergeForm::deserialize(deserializer)? {
            MergeForm::Word(MergeWord::Replace) => Merge::Replace,
            MergeForm::Word(MergeWord::Merge) => Merge::Merge,
            MergeForm::Word(MergeWord::DeepMerge) => Merge::DeepMerge,
            MergeForm::Word(MergeWord::Patch) => Merge::Patch,
            MergeForm::Keyed(keyed) => Merge::Keyed(keyed),
        })
    }
}

/// The numbers of a topic's items. Whole numbers up to 2^64 - 1, or texts of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sequence {
    /// Where an item's number is; empty: items have none.
    pub at: Pointer,
    pub rule: SequenceRule,
    /// Of rule `previous`: where the number of the item before is. Of rule `next`: where the first number is of an item that stands
    /// for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Pointer>,
    pub of: Of,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SequenceRule {
    /// Each is one more than the last.
    #[default]
    Next,
    /// Each names the one before.
    Previous,
    /// Each is more than the last: what is repeated shows, what is missing does not.
    Rising,
}

/// A subscription that goes on where the connection before was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resume {
    /// Tokens, by the word that stands for them in `subscribe`: `{ CLK = "/clk" }`. The newest of each is kept, of the message for the
    /// connection, of the item for its topic.
    pub tokens: BTreeMap<String, Pointer>,
    pub of: Of,
    /// What is sent instead of the feed's `subscribe` once all tokens are known; empty: nothing is resumed.
    pub subscribe: MessageTemplate,
    /// As the feed's `each`, with tokens.
    pub each: MessageTemplate,
}

impl PushConfig {
    /// Whether the list is asked for by HTTP.
    pub fn has_polled_list(&self) -> bool {
        !self.list.url.is_empty()
    }
}

/// Fills in what all feeds have.
pub(super) fn derive(feed: &mut FeedConfig) {
    feed.diffusion.time_topic.clear();
    feed.diffusion.match_id = id_template();
    feed.diffusion.match_topics = vec![match feed.push.list.topic() {
        "" => id_template(),
        _ => feed.push.list.match_topic.clone(),
    }];
    feed.diffusion.list_topic = feed.push.list.topic().to_owned();
}
