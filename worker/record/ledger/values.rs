//! The last known values of a match, and what follows where a report differs from them.
//!
//! A value that equals the last known one is no event. What a new owner's load shows otherwise is not believed at once: a
//! counter or phase *below* its last known value only after it stood unchanged for `settle`, anything else by its next
//! observation or after `settle`. Until lower counters are decided a gap stays open: the owner may be behind what was recorded.

use super::steps::{Mode, Seen};
use super::{Ledger, NewEvent, Outcome, Report};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;
use touchline_common::model::{Change, Epoch, Phase, Register, RegisterChange, Registers, Side};

/// Values of a match, as last reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) registers: Registers,
    stats: BTreeMap<String, Statistic>,
    /// Empty: there is none; `None`: not known.
    comment: Option<String>,
}

/// What a statistic was last reported as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Statistic {
    home: Option<String>,
    away: Option<String>,
    /// Of the whole: it has no side.
    whole: Option<String>,
}

/// Values that wait to be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    values: Values,
    /// Since when they stand unchanged.
    pub(super) since: Instant,
    n: u64,
}

/// Which values of a load are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// All: it continues what its source reported.
    All,
    /// What is higher; the rest waits.
    Higher,
}

/// The place in its message of what is believed later, beyond the places that the message itself used,
const SETTLED_PLACE: u32 = 1 << 31;
/// and of what is believed because the recorder starts: the rest of the same message may settle after it.
const RESTORED_PLACE: u32 = SETTLED_PLACE + (1 << 30);

impl Values {
    pub(super) fn new(registers: &Registers, values: &[Change<'_>]) -> Values {
        let known = registers.iter().filter(|(register, value)| is_known(**register, **value));
        let mut new = Values { registers: known.map(|(r, v)| (*r, *v)).collect(), ..Values::default() };
        new.comment = Some(String::new());
        values.iter().for_each(|value| _ = new.set(value));
        new
    }

    pub(super) fn fold(&mut self, registers: &[RegisterChange], changes: &[Change<'_>]) {
        let known = registers.iter().filter(|change| is_known(change.register, change.value));
        self.registers.extend(known.map(|change| (change.register, change.value)));
        changes.iter().for_each(|change| _ = self.set(change));
    }

    fn is_empty(&self) -> bool {
        self.registers.is_empty() && self.stats.is_empty() && self.comment.is_none()
    }

    fn place(&mut self, change: &Change<'_>) -> &mut Option<String> {
        match change {
            Change::Comment { .. } => &mut self.comment,
            Change::Stat { key, side, .. } => {
                self.stats.entry(key.clone().into_owned()).or_default().place(*side)
            }
        }
    }

    fn get(&self, change: &Change<'_>) -> Option<&str> {
        match change {
            Change::Comment { .. } => self.comment.as_deref(),
            Change::Stat { key, side, .. } => self.stats.get(&**key)?.get(*side),
        }
    }

    /// Sets a text; whether it is another than before.
    fn set(&mut self, change: &Change<'_>) -> bool {
        let text = text_of(change);
        let differs = self.get(change) != Some(text);
        if differs {
            *self.place(change) = Some(text.to_owned());
        }
        differs
    }

    fn texts(&self) -> impl Iterator<Item = Change<'_>> {
        let stats = self.stats.iter().flat_map(|(key, statistic)| {
            [Some(Side::Home), Some(Side::Away), None].into_iter().filter_map(|side| {
                let text = Cow::Borrowed(statistic.get(side)?);
                Some(Change::Stat { key: Cow::Borrowed(key), side, text })
            })
        });
        let comment = self.comment.as_deref().map(|text| Change::Comment { text: Cow::Borrowed(text) });
        stats.chain(comment)
    }
}

impl Statistic {
    fn place(&mut self, side: Option<Side>) -> &mut Option<String> {
        match side {
            Some(Side::Home) => &mut self.home,
            Some(Side::Away) => &mut self.away,
            None => &mut self.whole,
        }
    }

    fn get(&self, side: Option<Side>) -> Option<&str> {
        match side {
            Some(Side::Home) => self.home.as_deref(),
            Some(Side::Away) => self.away.as_deref(),
            None => self.whole.as_deref(),
        }
    }
}

/// Whether a value says anything; what is out of range is unknown and changes nothing.
pub(super) fn is_known(register: Register, value: i64) -> bool {
    value >= 0 && (register != Register::Phase || value <= Phase::ABANDONED.0)
}

/// Whether a register only rises, unless something is taken back.
fn is_counter(register: Register) -> bool {
    !matches!(register, Register::Points | Register::Suspended)
}

fn text_of<'a>(change: &'a Change<'_>) -> &'a str {
    match change {
        Change::Comment { text } | Change::Stat { text, .. } => text,
    }
}

impl Waiting {
    /// The number of its load and its registers, for the store; nothing where only texts wait.
    pub(super) fn saved(&self) -> Option<(u64, Vec<(Register, i64)>)> {
        let registers = &self.values.registers;
        (!registers.is_empty())
            .then(|| (self.n, registers.iter().map(|(register, value)| (*register, *value)).collect()))
    }

    pub(super) fn restored(n: u64, registers: Vec<(Register, i64)>) -> Waiting {
        let values = Values { registers: registers.into_iter().collect(), ..Values::default() };
        Waiting { values, since: Instant::now(), n }
    }
}

impl Ledger {
    /// Compares a load with the last known values.
    pub(super) fn merge(&mut self, load: &Values, trust: Trust, seen: &mut Seen<'_>, now: Instant) {
        let first = seen.events.len();
        let mut waiting = Values::default();
        for (register, value) in &load.registers {
            let known = self.known.registers.get(register);
            let differs = known.is_some_and(|known| known != value);
            if trust == Trust::Higher && differs && (!is_counter(*register) || known > Some(value)) {
                waiting.registers.insert(*register, *value);
            } else if *register == Register::Points {
                // A load does not show how many points were played.
                let mode = std::mem::replace(&mut seen.mode, Mode::Recovered);
                self.step(*register, *value, seen);
                seen.mode = mode;
            } else {
                self.step(*register, *value, seen);
            }
        }
        if trust == Trust::Higher {
            // What the load does not know may come from before it was known: it waits with its last known value.
            let unknown =
                |register: &Register| is_counter(*register) && !load.registers.contains_key(register);
            let unknown = self.known.registers.iter().filter(|(register, _)| unknown(register));
            waiting.registers.extend(unknown);
        }
        for text in load.texts() {
            match (self.known.get(&text), trust) {
                (None, _) => _ = self.known.set(&text),
                (Some(known), Trust::Higher) if known != text_of(&text) => _ = waiting.set(&text),
                (Some(_), _) => self.change(&text, seen),
            }
        }
        self.waiting =
            (!waiting.is_empty()).then_some(Waiting { values: waiting, since: now, n: seen.report.n });
        if seen.mode == Mode::Recovered {
            score_on_the_last_only(seen.events.get_mut(first..).unwrap_or_default());
        }
    }

    /// Compares what the owner's observation changed.
    pub(super) fn compare(
        &mut self,
        registers: &[RegisterChange],
        changes: &[Change<'_>],
        report: Report,
        now: Instant,
        out: &mut Outcome,
    ) {
        let held = self.may_be_behind();
        let mut seen = Seen::new(report, Mode::Seen, &mut out.events);
        for RegisterChange { register, value } in registers {
            let waited =
                self.waiting.as_ref().and_then(|waiting| waiting.values.registers.get(register).copied());
            out.changed |= waited.is_some_and(|waited| waited != *value);
            if !self.goes_on_waiting(*register, *value, report.n, now) {
                out.changed |= waited.is_some();
                out.changed |= self.known.registers.get(register) != Some(value);
                self.step(*register, *value, &mut seen);
            }
        }
        for change in changes {
            if let Some(waiting) = &mut self.waiting {
                *waiting.values.place(change) = None;
            }
            self.change(change, &mut seen);
        }
        if held {
            self.close_gap_if_followed(report.at, out);
        }
    }

    fn change(&mut self, change: &Change<'_>, seen: &mut Seen<'_>) {
        // A comment that was taken away is no event, but the same one again is.
        let is_taken_away = matches!(change, Change::Comment { text } if text.is_empty());
        if self.known.set(change) && !is_taken_away {
            self.report_change(change, seen);
        }
    }

    /// Whether a counter or phase waits that is below its last known value.
    pub(super) fn may_be_behind(&self) -> bool {
        let lower = |(register, value): (&Register, &i64)| {
            is_counter(*register) && self.known.registers.get(register).is_some_and(|known| value < known)
        };
        self.waiting.as_ref().is_some_and(|waiting| waiting.values.registers.iter().any(lower))
    }

    /// Whether a register that waits to be believed goes on waiting with this value.
    fn goes_on_waiting(&mut self, register: Register, value: i64, n: u64, now: Instant) -> bool {
        let Some(waiting) = &mut self.waiting else { return false };
        let Some(before) = waiting.values.registers.remove(&register) else { return false };
        let lower = self.known.registers.get(&register).is_some_and(|known| value < *known);
        if !(is_counter(register) && lower && is_known(register, value)) {
            return false;
        }
        if before != value {
            (waiting.since, waiting.n) = (now, n);
        }
        waiting.values.registers.insert(register, value);
        true
    }

    /// Believes what stood for long enough.
    pub(super) fn settle(&mut self, at: i64, now: Instant, out: &mut Outcome) {
        let settle = self.settle;
        let stood = self.waiting.take_if(|waiting| now >= waiting.since + settle);
        let (Some(Waiting { values, n, .. }), Some(owner)) = (stood, self.owner) else { return };
        self.believe(&values, (n, SETTLED_PLACE), owner.epoch, at, out);
        self.close_gap_if_followed(at, out);
    }

    /// A recorder ended while values waited. What is no counter is believed at once, before what workers send again: the next value
    /// may be the last known one, and what stood between would be lost. A lower counter waits on.
    pub(super) fn believe_what_waited(&mut self, at: i64, out: &mut Outcome) {
        let (Some(waiting), Some(owner)) = (&mut self.waiting, self.owner) else { return };
        let believed = waiting.values.registers.extract_if(.., |register, _| !is_counter(*register));
        let values = Values { registers: believed.collect(), ..Values::default() };
        let n = waiting.n;
        self.waiting.take_if(|waiting| waiting.values.is_empty());
        if !values.is_empty() {
            self.believe(&values, (n, RESTORED_PLACE), owner.epoch, at, out);
        }
    }

    /// `place`: the number of their message, and the first place in it.
    fn believe(&mut self, values: &Values, (n, place): (u64, u32), epoch: Epoch, at: i64, out: &mut Outcome) {
        let report = Report { n, ..Report::unstated(epoch, at) };
        let mut seen = Seen { place, ..Seen::new(report, Mode::Recovered, &mut out.events) };
        for (register, value) in &values.registers {
            self.step(*register, *value, &mut seen);
        }
        for text in values.texts() {
            self.change(&text, &mut seen);
        }
        out.changed = true;
    }
}

/// What was found after a gap has no known order across the sides: only the last shows the score.
fn score_on_the_last_only(found: &mut [NewEvent]) {
    let mut scores = found.iter_mut().rev().filter(|event| event.kind.changes_score());
    scores.next();
    scores.for_each(|event| event.score = None);
}
