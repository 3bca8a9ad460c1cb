//! Matches whose topics are JSON answers: what they say is read by pointers of the configuration.
//!
//! What `Forest` is for object trees, [`JsonDocs`] is for these: bodies in, observations, documents and the match list out, pure. A topic
//! is `SOURCE/ID`, or `SOURCE` of a fixed document; how a source is read is its [`Source`], and the rules are in `docs/documents.md`, 'JSON
//! sources'. A body that cannot be read is an error that changes nothing.

mod document;
mod explain;
mod find;
mod held;
mod incidents;
mod list;
mod node;
mod odds;
mod ops;
mod parse;
mod payload;
mod rest;
mod source;
#[cfg(test)]
mod tests;
mod values;
mod view;
mod write;

pub use explain::{Found, Looked, explain, explain_push, text_at};
pub use ops::{DeltaError, DeltaForm, Keyed};
pub use parse::JsonError;
pub use source::{ListDocument, Source};

use self::held::{Match, Naming, Reporting, view};
use self::list::List;
use self::odds::{MarketNow, Memory};
use self::ops::Tree;
use self::parse::parse;
use crate::payload::json_text::Json;
use crate::payload::observe::{Names, Received, Sink};
use crate::payload::period::{self, MappingError, Period, compile_periods};
use crate::payload::{KEEP, Limits, MatchSlot, Result, TreeError, digest, if_changed};
use foldhash::fast::RandomState;
use slab::Slab;
use std::collections::{BTreeSet, HashMap};
use touchline_common::config::ExtraRule;
use touchline_common::ipc::messages::data::{Section, SectionKey};
use touchline_common::model::Handle;

const PERIODS: &str = include_str!("periods.toml");

pub struct JsonDocs {
    sources: Vec<Source>,
    naming: Naming,
    /// None: a list's body is what `list` says.
    list_document: Option<ListDocument>,
    periods: Vec<Period>,
    limits: Limits,
    topics: HashMap<Box<str>, Place, RandomState>,
    matches: Slab<Match>,
    list: Option<List>,
    /// Matches that wait to be rendered, by the read since which they do.
    dirty: BTreeSet<(u64, u32)>,
    /// Parts of bodies that could not be used and are not reported yet.
    passed_over: u64,
    json: Json,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    slot: u32,
    topic: u16,
}

/// What a body is to what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brought {
    /// The whole, anew.
    Load,
    /// The whole, to be compared.
    Audit,
    Delta,
}

impl JsonDocs {
    /// Holds none yet.
    ///
    /// # Errors
    /// What is wrong with the built-in table of periods.
    pub fn new(sources: Vec<Source>, limits: Limits) -> std::result::Result<JsonDocs, MappingError> {
        let table = period::parse(PERIODS)?;
        let rows = table.get("period").and_then(toml::Value::as_array);
        Ok(JsonDocs {
            sources,
            naming: Naming::BySource,
            list_document: None,
            periods: compile_periods(rows.map(Vec::as_slice).unwrap_or_default())?,
            limits,
            topics: HashMap::default(),
            matches: Slab::new(),
            list: None,
            dirty: BTreeSet::new(),
            passed_over: 0,
            json: Json::default(),
        })
    }

    /// As [`JsonDocs::new`], of topics that all have one source, and a list that is a document.
    ///
    /// # Errors
    /// As [`JsonDocs::new`].
    pub fn of_topics(
        source: Source,
        list: Option<ListDocument>,
        limits: Limits,
    ) -> std::result::Result<JsonDocs, MappingError> {
        let docs = JsonDocs::new(vec![source], limits)?;
        Ok(JsonDocs { naming: Naming::OneSource, list_document: list, ..docs })
    }

    fn place(&self, topic: &[u8]) -> Option<Place> {
        std::str::from_utf8(topic).ok().and_then(|topic| self.topics.get(topic)).copied()
    }

    fn is_list(&self, topic: &[u8]) -> bool {
        self.list.as_ref().is_some_and(|list| list.topic.as_bytes() == topic)
    }

    /// Takes a list's body.
    ///
    /// # Errors
    /// What is wrong with it: what was reported stands.
    fn take_list(&mut self, topic: &[u8], body: &[u8], brought: Brought) -> Result<()> {
        let body = parse(body, &self.limits).map_err(|error| TreeError::json(topic, error))?;
        let JsonDocs { list, sources, list_document, passed_over, limits, .. } = self;
        let Some(list) = list else { return Err(TreeError::not_held(topic)) };
        let stated = match list_document {
            None => list.read(&body, sources)?,
            Some(document) => {
                list.hold(document, body, brought, limits)?;
                list.read_document(document)?
            }
        };
        *passed_over += stated.passed_over;
        match brought {
            Brought::Load | Brought::Audit => list.load(stated),
            Brought::Delta => list.delta(stated),
        }
        Ok(())
    }

    /// Takes the body of one of a match's topics.
    ///
    /// # Errors
    /// What is wrong with it: what is held is as it was.
    fn take(
        &mut self,
        topic: &[u8],
        body: &[u8],
        brought: Brought,
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let place = self.place(topic).ok_or_else(|| TreeError::not_held(topic))?;
        let slot = MatchSlot(place.slot);
        sink.approached(slot);
        let node = parse(body, &self.limits).map_err(|error| TreeError::json(topic, error))?;
        let JsonDocs { sources, matches, limits, .. } = self;
        let Some(held) = matches.get_mut(place.slot as usize) else { return Ok(()) };
        let Some(of) = held.topics.get_mut(usize::from(place.topic)) else { return Ok(()) };
        let form = of.source.and_then(|source| sources.get(source)).map(|source| &source.delta);
        let form = form.filter(|_| brought == Brought::Delta).unwrap_or(&DeltaForm::Replace);
        let is_same =
            *form == DeltaForm::Replace && of.tree.as_ref().is_some_and(|tree| *tree.root() == node);
        match (&mut of.tree, form) {
            (_, DeltaForm::Replace) if is_same => {}
            (tree, DeltaForm::Replace) => *tree = Some(Tree::new(node)),
            (Some(tree), form) => {
                tree.apply(form, node, limits).map_err(|error| TreeError::delta(topic, error))?;
            }
            (None, DeltaForm::Merge | DeltaForm::DeepMerge(_) | DeltaForm::Patch | DeltaForm::Keyed(_)) => {
                return Err(TreeError::MissingTarget { path: String::from_utf8_lossy(topic).into_owned() });
            }
        }
        sink.touched(slot);
        if !is_same || brought == Brought::Load {
            self.taken(place.slot, brought, received, sink);
        }
        Ok(())
    }

    /// Reports what a body brought.
    fn taken(&mut self, slot: u32, brought: Brought, received: Received, sink: &mut dyn Sink) {
        let Some(held) = self.matches.get(slot as usize).filter(|held| held.is_live(&self.sources)) else {
            return;
        };
        match (held.reporting, brought) {
            (Reporting::Awaited, _) | (Reporting::All, Brought::Load) => {
                self.report_base(slot, Memory::Begins, received, sink);
            }
            (Reporting::All, Brought::Audit) => self.report_base(slot, Memory::GoesOn, received, sink),
            (Reporting::All, Brought::Delta) => self.report_changes(slot, received, sink),
        }
        self.changed(slot, received);
    }

    fn report_base(&mut self, slot: u32, memory: Memory, received: Received, sink: &mut dyn Sink) {
        let JsonDocs { sources, periods, matches, .. } = self;
        let Some(held) = matches.get_mut(slot as usize) else { return };
        held.reporting = Reporting::All;
        let Match { topics, listing, reported, .. } = held;
        let view = view(topics, listing, sources, periods);
        reported.base(&view, memory, MatchSlot(slot), received, sink);
    }

    fn report_changes(&mut self, slot: u32, received: Received, sink: &mut dyn Sink) {
        let JsonDocs { sources, periods, matches, .. } = self;
        let Some(Match { topics, listing, reported, .. }) = matches.get_mut(slot as usize) else { return };
        let view = view(topics, listing, sources, periods);
        let facts = view.facts();
        if facts == reported.facts {
            return reported.changes(&view, MatchSlot(slot), received, sink);
        }
        // Its registers mean something else now.
        reported.base(&view, Memory::GoesOn, MatchSlot(slot), received, sink);
    }

    /// Its sections are to be rendered again.
    fn changed(&mut self, slot: u32, received: Received) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        held.received = received;
        if held.dirty_since.is_none() && held.is_live(&self.sources) {
            held.dirty_since = Some(received.mono_ns);
            self.dirty.insert((received.mono_ns, slot));
        }
    }

    fn clean(&mut self, slot: u32) {
        if let Some(held) = self.matches.get_mut(slot as usize)
            && let Some(since) = held.dirty_since.take()
        {
            self.dirty.remove(&(since, slot));
        }
    }

    fn render_changes(&mut self, slot: u32, names: &mut dyn Names, out: &mut Vec<Section<'static>>) {
        let JsonDocs { sources, periods, matches, json, .. } = self;
        let Some(held) = matches.get_mut(slot as usize).filter(|held| held.is_live(sources)) else { return };
        let Match { topics, listing, reported, head_hash, tail_hash, .. } = held;
        let view = view(topics, listing, sources, periods);
        let now = odds::read(&view);
        let markets = &mut reported.markets;
        // Under new handles, if the old ones were forgotten: what that changes was reported.
        markets.update(&now, Memory::GoesOn, MatchSlot(slot), names, &mut Vec::new());
        markets.gone.sort_unstable();
        out.extend(markets.gone.drain(..).map(|gone| Section { key: SectionKey::Market(gone), body: None }));
        json.clear(KEEP);
        document::head(&view, json);
        out.extend(if_changed(SectionKey::Head, head_hash, json));
        // Without a handle there is no saying which market it is.
        let has_handle =
            |market: &&MarketNow<'_>| markets.get(&market.key).is_some_and(|held| held.handle != Handle(0));
        let shown: Vec<&MarketNow<'_>> = now.iter().filter(has_handle).collect();
        document::tail(&view, &shown, json);
        out.extend(if_changed(SectionKey::Tail, tail_hash, json));
        for market in shown {
            let extra = extra_of(&view, market);
            let Some(held) = markets.get_mut(&market.key) else { continue };
            document::market(market, held, extra, json);
            let hash = digest(json.as_bytes());
            if held.published.replace(hash) != Some(hash) {
                let body = Some(json.to_text().into());
                out.push(Section { key: SectionKey::Market(held.handle), body });
            }
            json.truncate(0);
        }
        json.clear(KEEP);
    }
}

/// What becomes of the rest of a market: as of the answer that states it.
fn extra_of(view: &view::View<'_>, market: &MarketNow<'_>) -> ExtraRule {
    let states = |answer: &&view::Answer<'_>| {
        answer.reading.markets.as_ref().is_some_and(|markets| std::ptr::eq(markets, market.reading))
    };
    view.answers.iter().find(states).map_or(ExtraRule::Keep, |answer| answer.reading.extra)
}
