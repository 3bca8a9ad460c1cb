//! What the beginning and the end of a connection mean for the matches that are followed on it.

use super::scanner::{Scanner, wall_us};
use super::upstream::Standing;
use crate::feed::SessionKind;
use crate::feed::diffusion::{LostReason, News};
use std::time::Instant;
use touchline_common::ipc::messages::worker::{ConnectionState, ListChange, LostWith, MatchState};

impl Scanner {
    /// The server accepted the session.
    pub(super) fn opened(&mut self, session: SessionKind, now: Instant) {
        let standing = self.upstream.opened(now);
        match session {
            SessionKind::Fresh => {
                self.parts.trees.connection_lost();
                match standing {
                    Standing::Up => self.say_connection(ConnectionState::Up, String::new(), None),
                    Standing::OnTrial => {}
                }
            }
            SessionKind::Resumed => {
                // The server knows it still.
                self.upstream.served();
                let kept = self.go_on(now);
                let told = format!("the session goes on with {kept} matches");
                self.say_connection(ConnectionState::Up, told, None);
            }
        }
    }

    /// The session serves, or stands for long enough.
    pub(super) fn stands(&mut self, news: Option<Standing>) {
        match news {
            Some(Standing::Up) => self.say_connection(ConnectionState::Up, String::new(), None),
            Some(Standing::OnTrial) | None => {}
        }
    }

    /// The server goes on with the session: what it has and was loaded before is followed again from where it stood. What
    /// came between may be lost without a word, so the gap that began with the loss ends here, with all registers as they
    /// are known. The others are asked for again. How many go on.
    fn go_on(&mut self, now: Instant) -> usize {
        let mut kept = 0;
        let mut again = Vec::new();
        for slot in self.book.slots() {
            let Some(session) = self.upstream.session_ref() else { break };
            let Some(followed) = self.book.get_mut(slot) else { continue };
            let has_all = followed.topics.iter().all(|topic| session.is_loaded(topic.as_bytes()));
            if followed.state != MatchState::Subscribing || !has_all || !self.parts.trees.is_live(slot) {
                again.push(slot);
                continue;
            }
            followed.touched_at = now;
            for topic in &followed.topics {
                self.meter.acknowledged(topic.as_bytes());
                self.meter.loaded(topic.as_bytes());
            }
            self.set_state(slot, MatchState::Live);
            self.report_values(slot);
            self.book.make_due(slot);
            kept += 1;
        }
        for slot in again {
            self.reload_kept(slot);
        }
        kept
    }

    /// The connection is over: for every match a gap begins.
    pub(super) fn lost(&mut self, why: &LostReason, now: Instant) {
        let with = LostWith {
            asked: self.asked(),
            loaded: self.meter.loads_held(),
            quiet_ms: self.meter.quiet_ms(now),
        };
        let (told, news) = self.upstream.lost(why, now);
        let feed = self.parts.feed_name.as_str();
        match (why.is_login(), news) {
            (true, News::Changed) => log::error!(feed = feed, why = told.as_str(); "worker.login_refused"),
            (true, News::Same) => log::debug!(feed = feed, why = told.as_str(); "worker.login_refused"),
            (false, _) => log::warn!(feed = feed, why = told.as_str(); "worker.connection_lost"),
        }
        self.meter.disconnected();
        self.forget_loads();
        let at = wall_us();
        for slot in self.book.slots() {
            if self.book.get(slot).is_some_and(|followed| followed.state == MatchState::Subscribing) {
                continue;
            }
            self.reporter().connection_lost(slot, at);
            if let Some(followed) = self.book.get_mut(slot) {
                followed.asked_at = Instant::now();
            }
            self.set_state(slot, MatchState::Subscribing);
        }
        if self.follows_list {
            self.list_changes.push(ListChange::Lost);
        }
        // Who is refused was not thrown out for what was asked.
        let with = Some(with).filter(|with| with.asked > 0 && !why.is_login());
        self.say_connection(ConnectionState::Down, told, with);
    }
}
