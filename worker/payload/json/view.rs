//! What the answers of a match say of it: names, state, period, clock, score, statistics.
//!
//! Pure. Each is taken from the first answer that states it, in the order of the match's topics; the list fills names, sport and
//! competition. The rules are in `docs/documents.md`, 'JSON sources'.

use super::find;
use super::node::Node;
use super::values;
use crate::payload::clock::ClockState;
use crate::payload::period::{Period, Progress, Status, period_of};
use crate::payload::rules::{both, listed, of_statistic, sides};
use crate::payload::sport::Sport;
use std::borrow::Cow;
use touchline_common::config::{Pointer, Reading, StatReading, TextOrPointer};
use touchline_common::model::{Change, Facts, Listing, Phase, Register, Side};

/// A side's value each, home first.
pub(super) type Sides<T> = [Option<T>; 2];

pub(super) struct View<'a> {
    /// The answers that are there.
    pub(super) answers: Vec<Answer<'a>>,
    pub(super) listing: &'a Listing,
    pub(super) periods: &'a [Period],
}

#[derive(Clone, Copy)]
pub(super) struct Answer<'a> {
    /// The source's name.
    pub(super) source: &'a str,
    /// Whether it is a document, not one of a match's requests: it is called as its source.
    pub(super) of: Request,
    pub(super) reading: &'a Reading,
    pub(super) body: &'a Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Document,
    Match,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stat<'a> {
    Whole(&'a str),
    Sides(Sides<&'a str>),
}

impl<'a> View<'a> {
    fn words(&self, of: impl Fn(&'a Reading) -> Option<&'a Pointer>) -> Option<&'a str> {
        self.answers.iter().find_map(|answer| find::words(answer.body, of(answer.reading)))
    }

    fn stated(&self, of: impl Fn(&'a Reading) -> Option<&'a TextOrPointer>) -> Option<&'a str> {
        self.answers.iter().find_map(|answer| stated(answer.body, of(answer.reading)))
    }

    pub(super) fn sport_id(&self) -> Option<Cow<'a, str>> {
        let own = self.stated(|reading| reading.sport.as_ref()).map(sport_id);
        own.or_else(|| listed(&self.listing.sport_id))
    }

    pub(super) fn sport(&self) -> Option<&'static Sport> {
        self.sport_id().and_then(|id| Sport::by_id(&id))
    }

    pub(super) fn facts(&self) -> Facts {
        Sport::facts(self.sport())
    }

    pub(super) fn competition(&self) -> Option<Cow<'a, str>> {
        let own = self.stated(|reading| reading.competition.as_ref()).map(Cow::Borrowed);
        own.or_else(|| listed(&self.listing.competition))
    }

    fn stated_sides(&self) -> Sides<&'a str> {
        [self.words(|reading| reading.home.as_ref()), self.words(|reading| reading.away.as_ref())]
    }

    /// The title; without one the two sides, if both are known; of a document its source's name.
    pub(super) fn name(&self) -> Option<Cow<'a, str>> {
        let titled = self.words(|reading| reading.title.as_ref()).map(Cow::Borrowed);
        titled.or_else(|| listed(&self.listing.name)).or_else(|| joined(self.stated_sides())).or_else(|| {
            let document = self.answers.iter().find(|answer| answer.of == Request::Document)?;
            Some(Cow::Borrowed(document.source))
        })
    }

    pub(super) fn sides(&self) -> Sides<Cow<'a, str>> {
        sides(self.stated_sides().map(|side| side.map(Cow::Borrowed)), self.name().as_deref())
    }

    fn state(&self) -> Option<Status> {
        self.answers.iter().find_map(|answer| state(answer.body, answer.reading))
    }

    pub(super) fn progress(&self) -> Progress<'a> {
        let period = self.words(|reading| reading.period.as_ref());
        let sport = self.sport();
        let known = period.and_then(|text| period_named(text, self.periods, sport));
        let stated = self.state();
        let (phase, status) = progress(stated, known);
        let is_one = sport.is_some_and(|sport| sport.scoring.has_sets());
        let phase = phase.map(|phase| if is_one && is_within(phase) { Phase::playing(1) } else { phase });
        Progress {
            period: period.map(Cow::Borrowed),
            phase,
            status,
            suspended: stated
                .filter(|status| *status != Status::Unknown)
                .map(|status| status == Status::Suspended),
        }
    }

    /// It runs while a period is played: the source states it again and again, without a time of its own.
    pub(super) fn clock(&self) -> ClockState {
        let stated = self.answers.iter().find_map(|answer| {
            let clock = answer.reading.clock.as_ref()?;
            let at = |pointer: &'a Option<Pointer>| find::words(answer.body, pointer.as_ref());
            values::clock(at(&clock.minute), at(&clock.second))
        });
        let Some(seconds) = stated.filter(|seconds| *seconds < 1_000_000_000) else {
            return ClockState::default();
        };
        let Progress { phase, status, .. } = self.progress();
        let is_played = |phase: Phase| is_within(phase) && phase.0 % 2 == 1;
        let running = phase.is_some_and(is_played) && status == Status::InPlay;
        ClockState { seconds: Some(i64::from(seconds)), running, down: false, at: None }
    }

    pub(super) fn score(&self) -> Sides<i64> {
        let texts = self.answers.iter().find_map(|answer| {
            let score = answer.reading.score.as_ref()?;
            known([&score.home, &score.away].map(|pointer| find::words(answer.body, Some(pointer))))
        });
        texts.unwrap_or_default().map(|text| values::count(text?))
    }

    /// What is known of statistics, each once.
    pub(super) fn stats(&self) -> Vec<(&'a str, Stat<'a>)> {
        let mut stats: Vec<(&str, Stat<'_>)> = Vec::new();
        for answer in &self.answers {
            for (key, reading) in &answer.reading.stats {
                let at = |pointer| find::words(answer.body, Some(pointer));
                let value = match reading {
                    StatReading::Whole(pointer) => at(pointer).map(Stat::Whole),
                    StatReading::Sides(sides) => known([at(&sides.home), at(&sides.away)]).map(Stat::Sides),
                };
                if let Some(value) = value.filter(|_| !stats.iter().any(|(held, _)| held == key)) {
                    stats.push((key, value));
                }
            }
        }
        stats
    }

    /// The statistics that are no registers.
    pub(super) fn changes(&self) -> Vec<Change<'a>> {
        let mut changes = Vec::new();
        for (key, stat) in self.stats() {
            let mut add =
                |side, text: &'a str| changes.push(Change::Stat { key: key.into(), side, text: text.into() });
            match stat {
                Stat::Whole(text) => add(None, text),
                Stat::Sides(sides) => {
                    for (side, text) in Side::BOTH.into_iter().zip(sides) {
                        let is_register =
                            |text| of_statistic(key, side).is_some() && values::count(text).is_some();
                        if let Some(text) = text.filter(|text| !is_register(text)) {
                            add(Some(side), text);
                        }
                    }
                }
            }
        }
        changes
    }

    /// All registers that are known, in the order of [`Register`].
    pub(super) fn registers(&self) -> Vec<(Register, i64)> {
        let mut out = Vec::new();
        both(&mut out, self.score(), |side| Some(Register::Score(side)));
        for (key, stat) in self.stats() {
            if let Stat::Sides(sides) = stat {
                both(&mut out, sides.map(|text| values::count(text?)), |side| of_statistic(key, side));
            }
        }
        let progress = self.progress();
        out.extend(progress.phase.map(|Phase(phase)| (Register::Phase, phase)));
        out.extend(progress.suspended.map(|suspended| (Register::Suspended, i64::from(suspended))));
        out.sort_unstable_by_key(|(register, _)| *register);
        out
    }
}

/// The text itself, or what stands where it says.
pub(super) fn stated<'a>(body: &'a Node, reading: Option<&'a TextOrPointer>) -> Option<&'a str> {
    match reading? {
        TextOrPointer::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
        TextOrPointer::At(pointer) => find::words(body, Some(pointer)),
    }
}

/// The number of the sport that a word stands for; of an unknown one the word.
pub(super) fn sport_id(word: &str) -> Cow<'_, str> {
    let named = values::sport(word);
    Sport::id_of(&named).map_or(Cow::Borrowed(word), |id| Cow::Owned(id.to_owned()))
}

/// What the word for a match's state stands for; `None` where none is stated.
pub(super) fn state(body: &Node, reading: &Reading) -> Option<Status> {
    let word = find::words(body, reading.state.as_ref())?;
    let own = reading.states.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
    Some(own.map(|(_, status)| *status).or_else(|| values::state(word)).unwrap_or(Status::Unknown))
}

pub(super) fn joined<'a>(sides: Sides<&str>) -> Option<Cow<'a, str>> {
    let [home, away] = sides;
    Some(Cow::Owned(format!("{} v {}", home?, away?)))
}

/// Phase and status of a period's word or number.
pub(super) fn period_named(text: &str, periods: &[Period], sport: Option<&Sport>) -> Option<(Phase, Status)> {
    let numbered = values::whole(text).and_then(|number| u8::try_from(number).ok());
    match numbered {
        Some(number) => (1..=30).contains(&number).then(|| (Phase::playing(number), Status::InPlay)),
        None => period_of(periods, text.as_bytes(), sport.map(|sport| sport.name)),
    }
}

/// What a state and a period that is known together say; where they contradict each other the state counts.
fn progress(stated: Option<Status>, known: Option<(Phase, Status)>) -> (Option<Phase>, Status) {
    let phase = known.map(|(phase, _)| phase);
    match stated {
        Some(Status::NotStarted) => (Some(Phase::NOT_STARTED), Status::NotStarted),
        Some(Status::Finished) => (Some(Phase::FINISHED), Status::Finished),
        Some(Status::Abandoned) => (Some(Phase::ABANDONED), Status::Abandoned),
        Some(Status::Suspended) => (phase, Status::Suspended),
        Some(Status::Break) => {
            let after = |phase: Phase| if phase.0 % 2 == 1 { Phase(phase.0 + 1) } else { phase };
            (phase.filter(|phase| is_within(*phase)).map(after), Status::Break)
        }
        Some(Status::InPlay) => match known {
            Some((phase, status)) if is_within(phase) => (Some(phase), status),
            Some(_) => (None, Status::InPlay),
            None => (Some(Phase::playing(1)), Status::InPlay),
        },
        Some(Status::Unknown) | None => {
            known.map_or((None, Status::Unknown), |(phase, status)| (Some(phase), status))
        }
    }
}

/// Whether it has begun and not ended.
fn is_within(phase: Phase) -> bool {
    phase > Phase::NOT_STARTED && phase < Phase::FINISHED
}

/// Both, unless neither is known.
fn known<T>(sides: Sides<T>) -> Option<Sides<T>> {
    sides.iter().any(Option::is_some).then_some(sides)
}
