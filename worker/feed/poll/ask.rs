//! What is asked for again and again: each topic, or each source of the list, one ask; and the table of them.
//!
//! Invariants: an ask has at most one request at a time; who waits for a time stands in `waiting`, whose turn has come in `ready`, who is
//! asked in `running`, and [`AskTable::go`] alone moves it. A request's number is used once, so an answer that comes too late finds nobody.
//! Of those whose turn has come an urgent one goes before the [`HEAD_START`] that came before it, and no others.

use super::chain::ChainKey;
use super::plan::SourceIndex;
use super::round::Round;
use super::schedule::Number;
use super::verdict::Validators;
use crate::net::http::Urgency;
use std::collections::{BTreeSet, HashMap};
use std::time::Instant;
use touchline_common::config::Play;

/// Asks.
const HEAD_START: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct AskId(u64);

#[derive(Debug)]
pub(super) struct Ask {
    pub(super) source: SourceIndex,
    /// The id of its match; empty where it is not of one.
    pub(super) id: String,
    pub(super) topic: String,
    pub(super) play: Play,
    pub(super) urgency: Urgency,
    /// Who of its chain it must not run beside; none where it stands alone.
    pub(super) chain: Option<ChainKey>,
    pub(super) state: State,
    pub(super) again: Again,
    pub(super) held: Held,
    pub(super) health: Health,
    /// Why it failed the last time.
    pub(super) why: String,
    /// In a row.
    pub(super) failures: u32,
    pub(super) round: Round,
    /// When the round began that is under way, or was the last.
    pub(super) since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting(Instant),
    /// Its turn has come.
    Due,
    /// Its turn has come, but another ask must be answered before.
    Blocked,
    Running(Number),
    /// A socket pushes it: it is not asked.
    Pushed,
}

/// When it is asked again, once it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    AtInterval,
    /// Something happened while it was asked that the answer may not have.
    AtOnce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Unknown,
    Up,
    /// Its newest round took longer than its interval.
    Slow,
    /// Since then.
    Failing(Instant),
}

impl Health {
    pub(super) fn is_failing(self) -> bool {
        matches!(self, Health::Failing(_))
    }
}

/// What is known of the newest answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) validators: Validators,
    /// Of its body; none if the next body is to be given in any case.
    pub(super) hash: Option<u64>,
    pub(super) given: Given,
    /// What others need of it, in the order in which its plan names it; none before the first answer.
    pub(super) values: Option<Vec<Option<String>>>,
}

impl Held {
    /// The next answer is given as a snapshot, whatever was before.
    pub(super) fn forget_given(&mut self) {
        self.validators = Validators::default();
        self.hash = None;
        self.given = Given::No;
    }
}

/// Whether the topic has a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Given {
    #[default]
    No,
    Yes,
}

impl Ask {
    pub(super) fn new(
        source: SourceIndex,
        id: String,
        topic: String,
        chain: Option<ChainKey>,
        due: Instant,
    ) -> Ask {
        Ask {
            source,
            id,
            topic,
            play: Play::Scheduled,
            urgency: Urgency::Normal,
            chain,
            state: State::Waiting(due),
            again: Again::AtInterval,
            held: Held::default(),
            health: Health::Unknown,
            why: String::new(),
            failures: 0,
            round: Round::default(),
            since: due,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct AskTable {
    asks: HashMap<AskId, Ask>,
    places: HashMap<(SourceIndex, String), AskId>,
    waiting: BTreeSet<(Instant, AskId)>,
    /// By turn.
    ready: BTreeSet<(u64, AskId)>,
    running: HashMap<Number, AskId>,
    inserted: u64,
    /// Turns that came.
    turns: u64,
}

impl AskTable {
    pub(super) fn insert(&mut self, ask: Ask) -> AskId {
        self.inserted += 1;
        let id = AskId(self.inserted);
        self.places.insert((ask.source, ask.id.clone()), id);
        let state = ask.state;
        self.asks.insert(id, ask);
        self.go(id, state);
        id
    }

    pub(super) fn remove(&mut self, id: AskId) -> Option<Ask> {
        let ask = self.asks.remove(&id)?;
        self.places.remove(&(ask.source, ask.id.clone()));
        self.leave(id, ask.state);
        Some(ask)
    }

    pub(super) fn get(&self, id: AskId) -> Option<&Ask> {
        self.asks.get(&id)
    }

    /// Not for its state, which [`AskTable::go`] changes.
    pub(super) fn get_mut(&mut self, id: AskId) -> Option<&mut Ask> {
        self.asks.get_mut(&id)
    }

    pub(super) fn find(&self, source: SourceIndex, id: &str) -> Option<AskId> {
        self.places.get(&(source, id.to_owned())).copied()
    }

    pub(super) fn of_source(&self, source: SourceIndex) -> Vec<AskId> {
        self.asks.iter().filter(|(_, ask)| ask.source == source).map(|(id, _)| *id).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Ask> {
        self.asks.values()
    }

    pub(super) fn ids(&self) -> Vec<AskId> {
        self.asks.keys().copied().collect()
    }

    pub(super) fn asked_as(&self, number: Number) -> Option<AskId> {
        self.running.get(&number).copied()
    }

    /// When the next one's turn comes; of those that are ready it is past.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Whether somebody's turn has come.
    pub(super) fn has_due(&self, now: Instant) -> bool {
        !self.ready.is_empty() || self.deadline().is_some_and(|at| at <= now)
    }

    /// The turn has come of those that waited until now.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some((_, id)) = self.waiting.first().copied().filter(|(at, _)| *at <= now) {
            self.go(id, State::Due);
        }
    }

    /// The next whose turn has come. It is for the caller to let it go on.
    pub(super) fn next_ready(&mut self) -> Option<AskId> {
        loop {
            let (_, id) = self.ready.pop_first()?;
            if self.get(id).is_some_and(|ask| ask.state == State::Due) {
                return Some(id);
            }
        }
    }

    /// The one transition.
    pub(super) fn go(&mut self, id: AskId, to: State) {
        let Some(ask) = self.asks.get_mut(&id) else { return };
        let from = std::mem::replace(&mut ask.state, to);
        let urgency = ask.urgency;
        self.leave(id, from);
        match to {
            State::Waiting(at) => {
                self.waiting.insert((at, id));
            }
            State::Due => {
                self.turns += 1;
                let turn = match urgency {
                    Urgency::Urgent => self.turns.saturating_sub(HEAD_START),
                    Urgency::Normal => self.turns,
                };
                self.ready.insert((turn, id));
            }
            State::Blocked | State::Pushed => {}
            State::Running(number) => {
                self.running.insert(number, id);
            }
        }
    }

    fn leave(&mut self, id: AskId, from: State) {
        match from {
            State::Waiting(at) => {
                self.waiting.remove(&(at, id));
            }
            // In `ready` it is passed over.
            State::Due | State::Blocked | State::Pushed => {}
            State::Running(number) => {
                self.running.remove(&number);
            }
        }
    }
}
