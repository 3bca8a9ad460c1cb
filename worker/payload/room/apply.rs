//! A command of a room: what it changes, and what of that is told.
//!
//! A line is handed on in the order of the commands, whatever is known of its id: copies are the recorder's affair. A room that was
//! never joined has no commands. State and statistics are told when they change; popularity at most once in ten seconds, then its newest value.

use super::command::Command;
use super::held::{COUNTS_NS, Dirty, Followed, POPULARITY_NS, State, Statistic};
use super::kind::Kind;
use super::{Rooms, line};
use crate::payload::observe::{Received, Seen, Sink};
use crate::payload::{MatchSlot, Result, TreeError};
use touchline_common::model::{Change, ChatLine, Phase, Register, RegisterChange};

impl Rooms {
    /// Takes a command, or the popularity.
    ///
    /// # Errors
    /// [`TreeError::MissingTarget`]: the room was not joined yet; [`TreeError::Command`].
    pub(super) fn apply(
        &mut self,
        slot: MatchSlot,
        body: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let Some(room) = self.room(slot) else { return Ok(()) };
        if room.followed != Followed::Joined {
            return Err(TreeError::MissingTarget { path: room.topic.to_string() });
        }
        if let Ok(four) = <[u8; 4]>::try_from(body) {
            sink.touched(slot);
            self.popularity(slot, u32::from_be_bytes(four).into(), received, sink);
            return Ok(());
        }
        let command = Command::parse(body).map_err(|error| self.unreadable(slot, error.to_string()))?;
        if command.name().is_empty() {
            return Err(self.unreadable(slot, "it is no object with a cmd".to_owned()));
        }
        sink.touched(slot);
        self.command(slot, &command, received, sink);
        Ok(())
    }

    fn unreadable(&self, slot: MatchSlot, why: String) -> TreeError {
        let topic = self.rooms.get(slot.0 as usize).map(|room| room.topic.to_string());
        TreeError::Command { topic: topic.unwrap_or_default(), why }
    }

    fn command(&mut self, slot: MatchSlot, command: &Command<'_>, received: Received, sink: &mut dyn Sink) {
        let data = command.data();
        let Some(kind) = Kind::of(command.name()) else {
            return self.unknown(slot, command.name(), received);
        };
        match kind {
            Kind::Comment => {
                let line = line::comment(&command.info, &self.people);
                self.say(slot, &[line], received, sink);
            }
            Kind::Gift => {
                let line = line::gift(data, &self.people);
                self.say(slot, &[line], received, sink);
            }
            Kind::Guard => {
                let line = line::guard(data, &self.people);
                self.say(slot, &[line], received, sink);
            }
            Kind::SuperChat => {
                let line = line::super_chat(data, &self.people);
                self.say(slot, &[line], received, sink);
            }
            Kind::Retract => {
                let lines: Vec<ChatLine<'_>> = line::taken_back(command).collect();
                self.say(slot, &lines, received, sink);
            }
            Kind::Viewers => self.statistic(slot, Statistic::Viewers, data.num.0, received, sink),
            Kind::Likes => self.statistic(slot, Statistic::Likes, data.click_count.0, received, sink),
            Kind::Online => self.statistic(slot, Statistic::Online, data.count.0, received, sink),
            Kind::Title => self.title(slot, &data.title.0, received),
            Kind::Live => self.state(slot, State::Live, received, sink),
            Kind::Preparing => self.state(slot, State::Preparing, received, sink),
            Kind::CutOff => self.state(slot, State::CutOff, received, sink),
            Kind::Twin | Kind::Ignored => {}
        }
    }

    fn say(&mut self, slot: MatchSlot, lines: &[ChatLine<'_>], received: Received, sink: &mut dyn Sink) {
        if lines.is_empty() {
            return;
        }
        if let Some(room) = self.room(slot) {
            lines.iter().for_each(|line| room.counts.add(line.kind));
        }
        sink.chat(slot, lines, received);
        self.counted(slot, received);
    }

    fn unknown(&mut self, slot: MatchSlot, name: &str, received: Received) {
        if let Some(room) = self.room(slot) {
            room.count_unknown(name);
        }
        self.counted(slot, received);
    }

    fn title(&mut self, slot: MatchSlot, title: &str, received: Received) {
        if self.room(slot).is_some_and(|room| room.title_is(title)) {
            self.changed(slot, Dirty::HEAD, received);
        }
    }

    fn state(&mut self, slot: MatchSlot, state: State, received: Received, sink: &mut dyn Sink) {
        let Some(room) = self.room(slot) else { return };
        let before = room.state();
        if room.state_is(state) {
            self.changed(slot, Dirty::HEAD, received);
            self.report_state(slot, before, received, sink);
        }
    }

    /// Tells a state that is another than `before`: of a room that is live for the first time, the phase. That alone if nothing else was
    /// known before.
    pub(super) fn report_state(
        &mut self,
        slot: MatchSlot,
        before: Option<State>,
        received: Received,
        sink: &mut dyn Sink,
    ) {
        let Some(room) = self.room(slot).filter(|room| room.followed == Followed::Joined) else { return };
        let Some(state) = room.state().filter(|state| before != Some(*state)) else { return };
        let begins = room.begins();
        let phase = RegisterChange { register: Register::Phase, value: Phase::playing(1).0 };
        let status = Change::Stat { key: "status".into(), side: None, text: state.as_str().into() };
        let registers: &[RegisterChange] = if begins { std::slice::from_ref(&phase) } else { &[] };
        let changes: &[Change<'_>] =
            if begins && before.is_none() { &[] } else { std::slice::from_ref(&status) };
        sink.observed(slot, &Seen { registers, changes, clock: None, received });
    }

    fn statistic(
        &mut self,
        slot: MatchSlot,
        statistic: Statistic,
        value: Option<i64>,
        received: Received,
        sink: &mut dyn Sink,
    ) {
        let Some(value) = value.filter(|value| *value >= 0) else { return };
        if !self.room(slot).is_some_and(|room| room.value_is(statistic, value)) {
            return;
        }
        self.changed(slot, Dirty::TAIL, received);
        let change =
            Change::Stat { key: statistic.as_str().into(), side: None, text: value.to_string().into() };
        sink.observed(slot, &Seen { registers: &[], changes: &[change], clock: None, received });
    }

    fn popularity(&mut self, slot: MatchSlot, value: i64, received: Received, sink: &mut dyn Sink) {
        let Some(room) = self.room(slot) else { return };
        let same = room.value(Statistic::Popularity) == Some(value);
        let early = received.mono_ns < room.popularity_from;
        room.popularity = (!same && early).then_some(value);
        if !same && !early {
            room.popularity_from = received.mono_ns.saturating_add(POPULARITY_NS);
            self.statistic(slot, Statistic::Popularity, Some(value), received, sink);
        }
        self.schedule(slot);
    }

    /// Counts rose: they are shown now, if that was not done in the last second, else once it is over.
    fn counted(&mut self, slot: MatchSlot, received: Received) {
        let Some(room) = self.room(slot) else { return };
        let early = received.mono_ns < room.counts_from;
        if !early {
            room.counts_from = received.mono_ns.saturating_add(COUNTS_NS);
        }
        if std::mem::replace(&mut room.counted, early) != early {
            self.schedule(slot);
        }
        if !early {
            self.changed(slot, Dirty::TAIL, received);
        }
    }

    /// Tells and shows what waited.
    pub(super) fn tell_due(&mut self, slot: MatchSlot, now: Received, sink: &mut dyn Sink) {
        let Some(room) = self.room(slot) else { return };
        sink.approached(slot);
        room.due = None;
        if room.counted && now.mono_ns >= room.counts_from {
            room.counted = false;
            room.counts_from = now.mono_ns.saturating_add(COUNTS_NS);
            self.changed(slot, Dirty::TAIL, now);
        }
        let due = self.room(slot).filter(|room| now.mono_ns >= room.popularity_from);
        if let Some(value) = due.and_then(|room| room.popularity) {
            self.popularity(slot, value, now, sink);
        }
        self.schedule(slot);
    }
}
