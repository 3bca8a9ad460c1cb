//! What a feed of kind `poll` has beside what all feeds have: what is asked for, how often, and how many requests at once.
//!
//! The form of a source says what it is, see [`Role`]. The rest of the program knows a feed's list, matches and topics by the fields that all
//! feeds have; [`derive`] fills these from the sources.

use super::section::section;
use super::socket::SocketConfig;
use super::{
    ClockReading, EventReading, ExtraRule, FeedConfig, MarketReading, OverCap, SidesReading, StatReading,
    Status,
};
use crate::config::pointer::{Pointer, TextOrPointer};
use crate::config::template::Template;
use crate::config::units::Dur;
use crate::config::url_template::UrlTemplate;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The topic of the match list: of all sources with a `list` together.
pub const LIST_TOPIC: &str = "list";

/// However seldom something is asked for.
const STALE_MAX: Duration = Duration::from_secs(366 * 86_400);

/// At most.
const PERMITS_PER_DAY: u64 = 2_880;

section! {
    pub struct PollConfig {
        /// Requests of one worker in flight at most, and three times as many beside them that take long.
        window: u32 = 20,
        /// In flight to one host at most, whether they take long or not.
        per_host: u32 = 4,
        /// How often a source is asked that does not say so itself.
        interval: Dur = Dur::secs(5),
        /// A match is asked for at the latest after this time, though its entry in the list did not change.
        full_every: Dur = Dur::secs(60),
        /// Requests of all workers in a day of UTC, redirects included; 0: any number. They are spread over the day: what was not made is
        /// not saved up. Each start of a worker counts a batch of 1 in 2,880 of them.
        quota_per_day: u64 = 0,
        /// `http://host:port`, `https://…`, `socks5://…`; empty: none.
        proxy: String = String::new(),
        /// A WebSocket that pushes what would be asked for otherwise; without a `url`: none.
        socket: SocketConfig = SocketConfig::default(),
        source: Vec<PollSource> = Vec::new(),
    }
}

/// Something that is asked for again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PollSource {
    /// Unique in its feed.
    pub name: String,
    /// `{ID}`: a match's id; `{NAME:/pointer}`: from the newest answer of the source that `after` names.
    pub url: UrlTemplate,
    /// How often it is asked; left out: the feed's `interval`. Where it is asked match by match with a list beside it: how often of a match in
    /// play; of another, and of all if left out, only when the match's entry in the list changed, and each `full_every`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Dur>,
    /// JSON pointer (RFC 6901) of the array of matches; empty: the answer itself. Left out: this is no list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// JSON pointer, in an entry of the list; empty: unknown.
    pub id: String,
    /// How a list goes on beyond its first answer; left out: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    pub join: Join,
    /// The source from whose newest answer the url is filled, one after the other; empty: none.
    pub after: String,
    /// How long an answer may take.
    pub whole: Dur,
    /// The longest without a byte.
    pub idle: Dur,
    // What an answer, or an entry of the list, says of a match: as in [`Reading`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sport: Option<TextOrPointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub competition: Option<TextOrPointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Pointer>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<String, Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockReading>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<SidesReading>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stats: BTreeMap<String, StatReading>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventReading>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub markets: Option<MarketReading>,
    pub extra: ExtraRule,
}

impl Default for PollSource {
    fn default() -> Self {
        PollSource {
            name: String::new(),
            url: UrlTemplate::default(),
            every: None,
            list: None,
            id: "/id".to_owned(),
            page: None,
            join: Join::Each,
            after: String::new(),
            whole: Dur::secs(300),
            idle: Dur::secs(30),
            title: None,
            sport: None,
            competition: None,
            home: None,
            away: None,
            state: None,
            states: BTreeMap::new(),
            time: None,
            period: None,
            clock: None,
            score: None,
            stats: BTreeMap::new(),
            events: None,
            event: None,
            markets: None,
            extra: ExtraRule::default(),
        }
    }
}

/// How the next page of a list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    pub by: PageBy,
    /// The parameter of the url that names the page; not for `link`.
    pub param: String,
    /// Entries of a full page: one with fewer is the last. 0: only an empty one is.
    pub size: u32,
    /// By cursor: JSON pointer of the next page's.
    pub next: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PageBy {
    /// `param` counts pages from 1.
    #[default]
    Number,
    /// `param` counts entries from 0.
    Offset,
    Cursor,
    /// The answer has a Link header with rel="next".
    Link,
}

/// When the answers of a match's sources are published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// As they arrive.
    #[default]
    Each,
    /// Once all are there.
    All,
}

/// Whether a match is in play, as the list says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    InPlay,
    /// Not yet, or no more; also where no list says so.
    Scheduled,
}

/// What a source is, by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its array's entries are matches.
    List,
    /// Asked for each match.
    PerMatch,
    /// A match of its own, with the source's name as its id.
    Document,
    /// What it answers is only for the urls of others.
    Step,
}

impl PollConfig {
    pub fn has_list(&self) -> bool {
        self.source.iter().any(|source| source.list.is_some())
    }

    /// Requests for each permit, of which there is one each 30 s, or fewer if that is not a whole request; 0: no permits are needed.
    pub fn batch(&self) -> u32 {
        match self.quota_per_day {
            0 => 0,
            quota => u32::try_from(quota / PERMITS_PER_DAY).unwrap_or(u32::MAX).max(1),
        }
    }

    /// How long it takes at most from the start of one request for a topic of `source` to the start of its next, failures apart.
    pub fn every(&self, source: &PollSource, role: Role, play: Play) -> Duration {
        let (interval, full) = (self.interval.get(), self.full_every.get());
        match (role, source.every, play) {
            // A change of its entry in the list has it asked for before.
            (Role::PerMatch, Some(every), Play::InPlay) if self.has_list() => every.get().min(full),
            (Role::PerMatch, ..) if self.has_list() => full,
            (Role::List | Role::PerMatch | Role::Document | Role::Step, every, _) => {
                every.map_or(interval, Dur::get)
            }
        }
    }

    /// What each source is, in their order.
    pub fn roles(&self) -> Vec<Role> {
        let is_per_match = self.source.iter().any(|source| source.list.is_some() || source.url.has_id());
        let needed: BTreeSet<&str> = self.source.iter().map(|source| source.after.as_str()).collect();
        let role = |source: &PollSource| {
            if source.list.is_some() {
                Role::List
            } else if source.url.has_id() {
                Role::PerMatch
            } else if is_per_match && needed.contains(source.name.as_str()) {
                Role::Step
            } else {
                Role::Document
            }
        };
        self.source.iter().map(role).collect()
    }
}

/// Fills in what all feeds have: the topics; the budget, by the quota; that a match is stale no sooner than a second answer is due, and is over
/// no sooner than a last one; and that it is given up before another worker takes it, since both would be asking.
pub(super) fn derive(feed: &mut FeedConfig) {
    let poll = &feed.poll;
    let roles = poll.roles();
    let names = |role: Role| {
        let numbered = poll.source.iter().zip(&roles);
        numbered.filter(move |(_, of)| **of == role).map(|(source, _)| source.name.as_str())
    };
    let of = |template: &str| template.parse::<Template>().ok();
    feed.diffusion.time_topic.clear();
    feed.diffusion.match_id = of("{ID}").unwrap_or_else(|| feed.diffusion.match_id.clone());
    feed.diffusion.list_topic = if poll.has_list() { LIST_TOPIC.to_owned() } else { String::new() };
    let per_match: Vec<Template> =
        names(Role::PerMatch).filter_map(|name| of(&format!("{name}/{{ID}}"))).collect();
    let longest =
        poll.source.iter().zip(&roles).filter(|(_, role)| matches!(role, Role::PerMatch | Role::Document));
    let longest =
        longest.map(|(source, role)| poll.every(source, *role, Play::Scheduled)).max().unwrap_or_default();
    // What is asked for so seldom says nothing in between: it is stale once an answer is overdue.
    feed.stale_after = feed.stale_after.max(Dur(longest.saturating_mul(2).min(STALE_MAX)));
    if poll.has_list() {
        // How a match ended is asked for once more after it left the list.
        feed.end_linger = feed.end_linger.max(Dur(longest.min(STALE_MAX)));
    }
    let documents: Vec<String> = names(Role::Document).map(str::to_owned).collect();
    if per_match.is_empty() && !poll.has_list() {
        feed.diffusion.match_topics = of("{ID}").into_iter().collect();
        feed.matches = documents;
    } else {
        feed.diffusion.match_topics = per_match;
    }
    feed.break_before_make = true;
    if poll.quota_per_day > 0 {
        // The budget of connections, which there are none of, is that of the batches.
        feed.connects_per_s = poll.quota_per_day as f64 / f64::from(poll.batch()) / 86_400.0;
    }
    // There is no connection whose cap could be learned.
    feed.over_cap = OverCap::Ignore;
}
