//! What a feed's settings make of its sources.

use super::socket::SocketPlan;
use crate::net::http::{Request, Urgency};
use std::collections::HashMap;
use std::time::Duration;
use touchline_common::config::{Config, FeedConfig, Page, Play, PollSource, Role, UrlTemplate};

/// The place of a source in its feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceIndex(pub usize);

#[derive(Clone, Debug)]
pub struct Plan {
    pub sources: Vec<SourcePlan>,
    /// By name.
    pub places: HashMap<String, SourceIndex>,
    pub window: usize,
    pub per_host: usize,
    /// Requests for each of the coordinator's permits; 0: none is needed.
    pub batch: u32,
    /// Topics that one worker follows at most.
    pub topics_max: usize,
    /// Bytes of an answer at most, and of all pages of a list.
    pub body_limit: usize,
    pub headers: Vec<(String, String)>,
    /// What fails for longer is reported as such.
    pub stale_after: Duration,
    /// What pushes a source's matches, and which source that is.
    pub socket: Option<(SocketPlan, SourceIndex)>,
    pub proxy: String,
    pub ca_file: String,
    pub insecure: bool,
}

#[derive(Clone, Debug)]
pub struct SourcePlan {
    pub name: String,
    pub url: UrlTemplate,
    pub role: Role,
    /// From the start of one request for a topic to the start of its next, at the latest: of a match in play.
    pub every: Duration,
    /// The same of one that is not, and of all else.
    pub every_scheduled: Duration,
    /// The first requests of its topics are spread over this time.
    pub spread: Duration,
    /// JSON pointers: of the array in a list's answer, of the id in its entries.
    pub list: String,
    pub id: String,
    pub page: Option<Page>,
    pub after: Option<SourceIndex>,
    /// JSON pointers of what the urls of others need from its answers.
    pub needed: Vec<String>,
    pub whole: Duration,
    pub idle: Duration,
}

impl Plan {
    /// From the settings of a feed.
    ///
    /// # Errors
    /// A source that names another which is not there.
    pub fn new(config: &Config, feed: &FeedConfig) -> Result<Plan, String> {
        let poll = &feed.poll;
        let places = places(poll.source.iter().map(|source| source.name.as_str()));
        let mut needed: Vec<Vec<String>> = vec![Vec::new(); poll.source.len()];
        for (name, pointer) in poll.source.iter().flat_map(|source| source.url.answers()) {
            if let Some(needed) = places.get(name).and_then(|at| needed.get_mut(at.0))
                && !needed.iter().any(|known| known == pointer)
            {
                needed.push(pointer.to_owned());
            }
        }
        let mut sources = Vec::with_capacity(poll.source.len());
        for ((source, role), needed) in poll.source.iter().zip(poll.roles()).zip(needed) {
            let after = places.get(&source.after).copied();
            if after.is_none() && !source.after.is_empty() {
                return Err(format!("after: there is no source {} in {}", source.after, feed.name));
            }
            sources.push(source_plan(feed, source, role, after, needed));
        }
        let pushed = places.get(&poll.socket.source).copied();
        Ok(Plan {
            sources,
            places,
            window: poll.window as usize,
            per_host: poll.per_host as usize,
            batch: poll.batch(),
            topics_max: feed.worker_capacity() as usize,
            body_limit: config.limits.inflated.len(),
            headers: feed
                .headers
                .expose()
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            stale_after: feed.stale_after.get(),
            socket: SocketPlan::new(config, feed)?.zip(pushed),
            proxy: poll.proxy.clone(),
            ca_file: feed.ca_file.clone(),
            insecure: feed.insecure,
        })
    }

    /// Whether the source's matches are pushed where there is a socket: a whole answer is no delta then.
    pub(super) fn is_pushed(&self, source: SourceIndex) -> bool {
        self.socket.as_ref().is_some_and(|(_, pushed)| *pushed == source)
    }

    /// The request for `url`, of a source.
    pub fn request(
        &self,
        source: SourceIndex,
        url: String,
        urgency: Urgency,
        more_headers: impl Iterator<Item = (String, String)>,
    ) -> Option<Request> {
        let source = self.sources.get(source.0)?;
        Some(Request {
            url,
            headers: self.headers.iter().cloned().chain(more_headers).collect(),
            proxy: self.proxy.clone(),
            ca_file: self.ca_file.clone(),
            insecure: self.insecure,
            whole: source.whole,
            idle: source.idle,
            body_limit: self.body_limit,
            urgency,
        })
    }
}

impl SourcePlan {
    pub(super) fn every(&self, play: Play) -> Duration {
        match play {
            Play::InPlay => self.every,
            Play::Scheduled => self.every_scheduled,
        }
    }

    /// Of a request: what many wait for, and what changes by the second, goes first.
    pub(super) fn urgency(&self, play: Play) -> Urgency {
        match (self.role, play) {
            (Role::List | Role::Step, _) | (Role::PerMatch, Play::InPlay) => Urgency::Urgent,
            (Role::PerMatch, Play::Scheduled) | (Role::Document, _) => Urgency::Normal,
        }
    }
}

/// The places of sources by their names.
pub(super) fn places<'n>(names: impl Iterator<Item = &'n str>) -> HashMap<String, SourceIndex> {
    names.enumerate().map(|(at, name)| (name.to_owned(), SourceIndex(at))).collect()
}

fn source_plan(
    feed: &FeedConfig,
    source: &PollSource,
    role: Role,
    after: Option<SourceIndex>,
    needed: Vec<String>,
) -> SourcePlan {
    let [every, every_scheduled] =
        [Play::InPlay, Play::Scheduled].map(|play| feed.poll.every(source, role, play));
    SourcePlan {
        name: source.name.clone(),
        url: source.url.clone(),
        role,
        every,
        every_scheduled,
        spread: every.min(feed.poll.interval.get()),
        list: source.list.clone().unwrap_or_default(),
        id: source.id.clone(),
        page: source.page.clone(),
        after,
        needed,
        whole: source.whole.get(),
        idle: source.idle.get(),
    }
}
