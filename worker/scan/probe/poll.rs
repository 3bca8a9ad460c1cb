//! The steps of a polled feed: its requests, each once, with what came and what the source's pointers lead to in it.
//!
//! There is no schedule here: the sources are asked one after the other, those first whose answers others need; of a list the first page, of
//! what is asked match by match one match, of many documents some. Caller: `probe`.

use super::{Finding, MarketKeys, Outcome, Probed, first_named, topics};
use crate::feed::poll::{Plan, SourceIndex};
use crate::net::Readiness;
use crate::net::http::{Answer, Http, HttpError, Outcome as Came, Urgency};
use crate::payload::json::{Found, explain, text_at};
use crate::payload::{Limits, Received, Trees};
use crate::scan::error::ScanError;
use crate::scan::setup::trees;
use mio::{Events, Poll, Token};
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use touchline_common::config::{Config, FeedConfig, Page, PageBy, PollSource, Role};
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Listing, MatchId};

const TOKEN: Token = Token(0);
/// How long a request may take here, whatever `whole` allows.
const PATIENCE: Duration = Duration::from_secs(30);
/// Documents that are asked for.
const DOCUMENTS_MAX: usize = 20;

/// As [`super::probe`], of a polled feed.
pub(super) fn probe(
    config: &Config,
    feed: &FeedConfig,
    report: &mut dyn FnMut(Finding),
) -> Result<(Outcome, Probed), ScanError> {
    let plan = Plan::new(config, feed).map_err(ScanError::config)?;
    let http = Http::new(TOKEN, 1, 1).map_err(|error| ScanError::config(error.to_string()))?;
    let mut probe = PollProbe {
        feed,
        limits: Limits { nodes: config.limits.nodes as usize, ..Limits::default() },
        plan,
        trees: trees(config, feed)?,
        poll: Poll::new().map_err(ScanError::system("making the loop"))?,
        http,
        answers: HashMap::new(),
        worst: Outcome::Good,
        probed: Probed::default(),
        report,
    };
    probe.run();
    Ok((probe.worst, probe.probed))
}

struct PollProbe<'a> {
    feed: &'a FeedConfig,
    limits: Limits,
    plan: Plan,
    trees: Trees,
    poll: Poll,
    http: Http,
    /// The useful ones.
    answers: HashMap<SourceIndex, Vec<u8>>,
    worst: Outcome,
    probed: Probed,
    report: &'a mut dyn FnMut(Finding),
}

impl PollProbe<'_> {
    fn run(&mut self) {
        let roles = self.feed.poll.roles();
        let order = self.order();
        let of = |wanted: fn(Role) -> bool| {
            let role = |at: &SourceIndex| roles.get(at.0).copied().is_some_and(wanted);
            order.iter().copied().filter(role).collect::<Vec<SourceIndex>>()
        };
        let mut documents = 0;
        for at in of(|role| role != Role::PerMatch) {
            documents += usize::from(roles.get(at.0) == Some(&Role::Document));
            if documents <= DOCUMENTS_MAX {
                self.ask(at, "");
            }
        }
        if documents > DOCUMENTS_MAX {
            let found = format!("{} more documents are not asked for here", documents - DOCUMENTS_MAX);
            self.tell("request", Outcome::Good, Duration::ZERO, found, String::new());
        }
        let lists = of(|role| role == Role::List);
        let chosen = if lists.is_empty() { self.named() } else { self.listed(&lists) };
        let Some((id, listing)) = chosen else { return };
        for at in of(|role| role == Role::PerMatch) {
            self.ask(at, id.as_str());
        }
        self.take_match(&id, listing);
    }

    /// Who is needed stands before who needs it.
    fn order(&self) -> Vec<SourceIndex> {
        let sources = &self.plan.sources;
        let depth = |at: usize| {
            let mut next = sources.get(at).and_then(|source| source.after);
            let mut depth = 0;
            while let Some(before) = next.filter(|_| depth < sources.len()) {
                depth += 1;
                next = sources.get(before.0).and_then(|source| source.after);
            }
            depth
        };
        let mut order: Vec<usize> = (0..sources.len()).collect();
        order.sort_by_key(|at| depth(*at));
        order.into_iter().map(SourceIndex).collect()
    }

    /// Asks once, and says what came of it.
    fn ask(&mut self, at: SourceIndex, id: &str) {
        let Some(source) = self.feed.poll.source.get(at.0) else { return };
        let began = Instant::now();
        let (outcome, found, advice) = match self.url(at, id) {
            Err(why) => {
                (Outcome::Failed, why, format!("see whether {} answers, and the pointer", source.after))
            }
            Ok(url) => match self.fetch(at, &url) {
                Err(why) => (Outcome::Failed, format!("{}: {why}", shown(&url)), String::new()),
                Ok(answer) => self.judge(at, source, &url, answer),
            },
        };
        let found = format!("{}: {found}", source.name);
        self.tell("request", outcome, began.elapsed(), found, advice);
    }

    fn url(&self, at: SourceIndex, id: &str) -> Result<String, String> {
        let source = self.plan.sources.get(at.0).ok_or("there is no such source")?;
        let value = |name: &str, pointer: &str| {
            let body = self.answers.get(self.plan.places.get(name)?)?;
            text_at(body, pointer, &self.limits).map(Cow::Owned)
        };
        let url = source.url.fill(id, value);
        let url = url.map_err(|(name, pointer)| format!("`{{{name}:{pointer}}}` has no value"))?;
        Ok(match &source.page {
            Some(page) => first_page(url, page),
            None => url,
        })
    }

    fn fetch(&mut self, at: SourceIndex, url: &str) -> Result<Answer, HttpError> {
        let request = self.plan.request(at, url.to_owned(), Urgency::Normal, std::iter::empty());
        let request = request.ok_or_else(|| HttpError::Other("there is no such source".to_owned()))?;
        let wanted = self.http.start(request, Instant::now())?;
        let until = Instant::now() + PATIENCE;
        let mut events = Events::with_capacity(8);
        loop {
            let now = Instant::now();
            self.http.advance(self.poll.registry(), now);
            match self.http.next() {
                Some((id, Came::Answered(answer))) if id == wanted => return Ok(answer),
                Some((id, Came::Failed(why))) if id == wanted => return Err(why),
                Some(_) => continue,
                None => {}
            }
            if now >= until {
                self.http.cancel(wanted);
                return Err(HttpError::Timeout);
            }
            let due = self.http.deadline().map_or(until, |due| due.min(until));
            // An interrupted wait is a short one.
            let _ = self.poll.poll(&mut events, Some(due.saturating_duration_since(now)));
            for event in &events {
                self.http.note(event.token(), Readiness::of(event));
            }
        }
    }

    /// What an answer is worth; a useful one is kept.
    fn judge(
        &mut self,
        at: SourceIndex,
        source: &PollSource,
        url: &str,
        answer: Answer,
    ) -> (Outcome, String, String) {
        let Answer { status, body, first_byte, .. } = answer;
        let came = format!(
            "{}\nstatus {status}, {} bytes, the first after {:.1} ms",
            shown(url),
            body.len(),
            first_byte.as_secs_f64() * 1e3
        );
        if !(200..=299).contains(&status) {
            return (Outcome::Failed, came, of_status(status).to_owned());
        }
        match explain(source, &body, &self.limits) {
            Err(error) => {
                let advice = "check the url: this is not the JSON that was promised".to_owned();
                (Outcome::Failed, format!("{came}; {error}"), advice)
            }
            Ok(found) => {
                self.answers.insert(at, body);
                let (used, nowhere) = told(&found);
                let outcome = if nowhere.is_empty() { Outcome::Good } else { Outcome::Odd };
                let found = format!("{came}{used}");
                (outcome, found, nowhere)
            }
        }
    }

    /// A match of the lists, one in play if there is any.
    fn listed(&mut self, lists: &[SourceIndex]) -> Option<(MatchId, Listing)> {
        let began = Instant::now();
        let follows = self.feed.follows();
        let added = self.trees.add_list(&follows.list_topic, follows.match_id, &follows.match_topics);
        let body = self.list_body(lists);
        let loaded = added.and_then(|()| {
            let (topic, received) = (follows.list_topic.as_bytes(), Received::default());
            self.trees.load(topic, body.as_bytes(), received, &mut MarketKeys::default())
        });
        if let Err(error) = loaded {
            let advice = "check `list` and `id`".to_owned();
            self.tell("list", Outcome::Failed, began.elapsed(), error.to_string(), advice);
            return None;
        }
        let listed = self.drain_list();
        let playing = listed.iter().filter(|(_, listing)| listing.in_play).count();
        let chosen = listed.iter().find(|(_, listing)| listing.in_play).or_else(|| listed.first()).cloned();
        let found = format!("{} matches on the first pages, {playing} in play", listed.len());
        let (outcome, advice) = match &chosen {
            Some(_) => (Outcome::Good, ""),
            None => (Outcome::Odd, "check `list` and `id`, or try again when there are matches"),
        };
        self.tell("list", outcome, began.elapsed(), found, advice.to_owned());
        chosen
    }

    fn drain_list(&mut self) -> Vec<(MatchId, Listing)> {
        let mut listed = Vec::new();
        loop {
            let mut changes = Vec::new();
            self.trees.drain_lists(&mut changes);
            if changes.is_empty() {
                return listed;
            }
            listed.extend(changes.into_iter().filter_map(|change| match change {
                ListChange::Present { id, listing } => Some((id, listing)),
                ListChange::Gone { .. } | ListChange::LoadBegin | ListChange::LoadEnd | ListChange::Lost => {
                    None
                }
            }));
        }
    }

    /// The lists that came, as the worker puts them together.
    fn list_body(&self, lists: &[SourceIndex]) -> String {
        let array = |at: &SourceIndex| {
            let source = self.feed.poll.source.get(at.0)?;
            let body: serde_json::Value = serde_json::from_slice(self.answers.get(at)?).ok()?;
            let array = body.pointer(source.list.as_deref()?)?.clone();
            Some((source.name.clone(), array))
        };
        serde_json::Value::Object(lists.iter().filter_map(array).collect()).to_string()
    }

    fn named(&mut self) -> Option<(MatchId, Listing)> {
        let id = first_named(self.feed);
        if id.is_none() {
            let found = "no list and no matches".to_owned();
            let advice = "name a source with `list`, or `matches`, or documents".to_owned();
            self.tell("list", Outcome::Failed, Duration::ZERO, found, advice);
        }
        id.map(|id| (id.as_str().into(), Listing::default()))
    }

    /// Puts the answers together as its worker would.
    fn take_match(&mut self, id: &MatchId, listing: Listing) {
        let began = Instant::now();
        let follows = self.feed.follows();
        let topics = topics(&follows, id, &listing);
        let added = topics.map_err(|name| format!("the list gives no {{{name}}}")).and_then(|topics| {
            let slot = self.trees.add_match(&topics, listing).map_err(|error| error.to_string())?;
            Ok((topics, slot))
        });
        let (topics, slot) = match added {
            Ok(added) => added,
            Err(why) => {
                let advice = "check the names in the urls".to_owned();
                return self.tell("match", Outcome::Failed, began.elapsed(), format!("{id}: {why}"), advice);
            }
        };
        let mut markets = MarketKeys::default();
        for topic in &topics {
            let name = topic.split('/').next().unwrap_or_default();
            let body = self.plan.places.get(name).and_then(|at| self.answers.get(at));
            if let Some(body) = body {
                // What is wrong with it was said of its request.
                let _ = self.trees.load(topic.as_bytes(), body, Received::default(), &mut markets);
            }
        }
        if !self.trees.is_live(slot) {
            let advice = "see the requests that failed; with join = \"all\" each must be answered".to_owned();
            let found = format!("{id}: it would not be shown");
            return self.tell("match", Outcome::Failed, began.elapsed(), found, advice);
        }
        let name = self.trees.name(slot).unwrap_or_default();
        let mut sections = Vec::new();
        self.trees.render_whole(slot, &mut markets, &mut sections);
        self.probed.sections = sections.into_iter().filter_map(|section| markets.keyed(section)).collect();
        self.probed.id = Some(id.clone());
        let found = format!("{id} ({name}): made of {}", topics.join(", "));
        self.tell("match", Outcome::Good, began.elapsed(), found, String::new());
    }

    fn tell(&mut self, step: &'static str, outcome: Outcome, took: Duration, found: String, advice: String) {
        if outcome == Outcome::Failed || self.worst == Outcome::Good {
            self.worst = outcome;
        }
        (self.report)(Finding { step, outcome, took, found, advice });
    }
}

/// What was found, and what to change about what was not: a line each.
pub(super) fn told(found: &[Found]) -> (String, String) {
    let value = |one: &Found| Some(format!("\n{} = {}", one.key, one.value.as_ref()?));
    let used: Vec<String> = found.iter().filter_map(value).collect();
    let counted = match found.len() {
        0 => String::new(),
        all => format!("; {} of {all} pointers lead to something", used.len()),
    };
    let nowhere = found.iter().filter(|one| one.value.is_none());
    let nowhere: String =
        nowhere.map(|one| format!("\n{} = {:?}: {}", one.key, one.pointer, one.instead)).collect();
    let advice = match nowhere.is_empty() {
        true => String::new(),
        false => format!("these lead nowhere in this answer; change them, or leave them out:{nowhere}"),
    };
    (counted + &used.concat(), advice)
}

/// A url without its query, which may hold a key.
fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

fn first_page(url: String, page: &Page) -> String {
    let first = match page.by {
        PageBy::Number => "1",
        PageBy::Offset => "0",
        PageBy::Cursor | PageBy::Link => return url,
    };
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}{}={first}", page.param)
}

fn of_status(status: u16) -> &'static str {
    match status {
        300..=399 => "write the address to which it redirects in the url",
        401 | 403 => {
            "the key or the login is refused: check `headers`, `headers_env`, `headers_file` and what the key may read"
        }
        404 | 410 => "there is nothing at this address: check the url, and how the id stands in it",
        429 => "too many requests: raise `interval`, or set `quota_per_day`, and try again later",
        500..=599 => "the server fails: try again, and see whether it wants further parameters or headers",
        _ => "check the url and `headers`",
    }
}
