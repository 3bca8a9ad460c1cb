//! What a branch's values say of the match: period, clock, score, statistics, names.
//!
//! Without a table (a payload that is passed on as it is) only the list's knowledge is left.

use super::Branch;
use super::table::{Counted, Role, Table};
use super::value::{self, Form};
use crate::payload::clock::ClockState;
use crate::payload::json_text::lossy;
use crate::payload::period::{Progress, Status, period_of};
use crate::payload::rules::{both, listed, of_statistic, sides};
use crate::payload::sport::Sport;
use crate::payload::text;
use std::borrow::Cow;
use touchline_common::model::{Change, Facts, Phase, Register, Side};

/// A side's counts, home first; what is unknown is absent.
pub(super) type Counts = [Option<i64>; 2];

pub(super) struct Reading<'a> {
    pub(super) table: Option<&'a Table>,
    pub(super) branch: &'a Branch,
}

impl<'a> Reading<'a> {
    pub(super) fn of(table: Option<&'a Table>, branch: &'a Branch) -> Reading<'a> {
        Reading { table, branch }
    }

    /// The value of a topic within the branch; of several subscriptions the first that has it.
    fn value(&self, key: &[u8]) -> Option<&'a [u8]> {
        if key.is_empty() {
            return None;
        }
        self.branch.asked.iter().find_map(|asked| asked.values.get(key)).map(|value| &**value)
    }

    fn single(&self, topic: impl Fn(&'a Table) -> &'a str) -> Option<&'a [u8]> {
        value::single(self.value(topic(self.table?).as_bytes())?)
    }

    fn words(&self, topic: impl Fn(&'a Table) -> &'a str) -> Option<Cow<'a, str>> {
        self.single(topic).map(lossy)
    }

    pub(super) fn sport_id(&self) -> Option<Cow<'a, str>> {
        let own = self
            .table
            .and_then(|table| self.branch.asked.iter().find_map(|asked| table.sport(&asked.selector.text)));
        own.map(Cow::Borrowed).or_else(|| listed(&self.branch.listing.sport_id))
    }

    pub(super) fn sport(&self) -> Option<&'static Sport> {
        self.sport_id().and_then(|id| Sport::by_id(&id))
    }

    pub(super) fn facts(&self) -> Facts {
        Sport::facts(self.sport())
    }

    pub(super) fn competition(&self) -> Option<Cow<'a, str>> {
        self.words(|table| &table.of_match.competition).or_else(|| listed(&self.branch.listing.competition))
    }

    /// The name; without one the two sides, if both are known.
    pub(super) fn name(&self) -> Option<Cow<'a, str>> {
        let named = self.words(|table| &table.of_match.name);
        named.or_else(|| listed(&self.branch.listing.name)).or_else(|| {
            let home = self.words(|table| &table.of_match.home)?;
            let away = self.words(|table| &table.of_match.away)?;
            Some(Cow::Owned(format!("{home} v {away}")))
        })
    }

    pub(super) fn sides(&self) -> [Option<Cow<'a, str>>; 2] {
        let stated = [self.words(|table| &table.of_match.home), self.words(|table| &table.of_match.away)];
        sides(stated, self.name().as_deref())
    }

    pub(super) fn progress(&self) -> Progress<'a> {
        let code = self.single(|table| &table.of_match.period);
        let sport = self.sport().map(|sport| sport.name);
        let known = code.zip(self.table).and_then(|(code, table)| period_of(&table.periods, code, sport));
        let suspended =
            self.single(|table| &table.of_match.suspended).map(|value| text::suspended(Some(value)));
        let status = known.map_or(Status::Unknown, |(_, status)| status);
        Progress {
            period: code.map(lossy),
            phase: known.map(|(phase, _)| phase),
            status: if suspended == Some(true) { Status::Suspended } else { status },
            suspended,
        }
    }

    /// The clock runs while a period is played: the feed states it again and again, without a time of its own.
    pub(super) fn clock(&self) -> ClockState {
        let stated = self.table.and_then(|table| self.value(table.of_match.clock.as_bytes()));
        let Some(seconds) = stated.and_then(value::number).filter(|n| *n < 1_000_000_000) else {
            return ClockState::default();
        };
        let is_played = |phase: Phase| phase < Phase::FINISHED && phase.0 % 2 == 1;
        let running = self.progress().phase.is_some_and(is_played);
        ClockState { seconds: Some(seconds), running, down: false, at: None }
    }

    pub(super) fn counts(&self, counted: &Counted) -> Counts {
        let [home, away] = &counted.topics;
        let read = |topic: &[u8], of: fn(&[u8]) -> Option<i64>| self.value(topic).and_then(of);
        match counted.form {
            Form::Incidents => [read(home, value::incidents), read(away, value::incidents)],
            Form::Number => [read(home, value::number), read(away, value::number)],
            Form::HomePercent => {
                let home = read(home, value::number).filter(|percent| *percent <= 100);
                [home, home.map(|percent| 100 - percent)]
            }
        }
    }

    /// Name and counts of the statistic that a role stands for.
    pub(super) fn statistic(&self, role: Role) -> Option<(&'a str, Counts)> {
        let Role::Statistic(place) = role else { return None };
        let (name, counted) = self.table?.statistics.get(place)?;
        Some((name.as_str(), self.counts(counted)))
    }

    pub(super) fn score(&self) -> Counts {
        self.table.map_or([None, None], |table| self.counts(&table.score))
    }

    pub(super) fn comment(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        value::newest(value, self.table?.comment_field)
    }

    /// The comment, and the statistics that are no registers.
    pub(super) fn changes(&self) -> Vec<Change<'a>> {
        let Some(table) = self.table else { return Vec::new() };
        let values = self.branch.asked.iter().flat_map(|asked| &asked.values);
        let comment = values.into_iter().find(|(key, _)| table.role(key) == Some(Role::Comment));
        let comment = comment.and_then(|(_, value)| self.comment(value)).filter(|text| !text.is_empty());
        let mut all: Vec<Change<'a>> =
            comment.into_iter().map(|text| Change::Comment { text: lossy(text) }).collect();
        for (key, counted) in &table.statistics {
            for (side, count) in Side::BOTH.into_iter().zip(self.counts(counted)) {
                if let Some(count) = count.filter(|_| of_statistic(key, side).is_none()) {
                    let (key, text) = (key.as_str().into(), count.to_string().into());
                    all.push(Change::Stat { key, side: Some(side), text });
                }
            }
        }
        all
    }

    /// All registers that are known, in the order of [`Register`].
    pub(super) fn registers(&self, out: &mut Vec<(Register, i64)>) {
        out.clear();
        both(out, self.score(), |side| Some(Register::Score(side)));
        for (key, counted) in self.table.map(|table| &*table.statistics).unwrap_or_default() {
            both(out, self.counts(counted), |side| of_statistic(key, side));
        }
        let progress = self.progress();
        out.extend(progress.phase.map(|Phase(phase)| (Register::Phase, phase)));
        out.extend(progress.suspended.map(|suspended| (Register::Suspended, i64::from(suspended))));
        out.sort_unstable_by_key(|(register, _)| *register);
    }
}
