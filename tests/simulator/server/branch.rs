//! Matches as branches of topics: a load for each topic to whoever subscribes, then a delta for each value that changed.

use super::listen::alias;
use super::run::Server;
use crate::model::branch;
use crate::model::state::Match;
use crate::model::world::World;
use touchline_worker::wire::diffusion::{MessageType, TopicRef};

/// What was last sent of a branch.
pub(super) struct LastSent {
    top: String,
    values: Vec<(String, String)>,
}

impl Server {
    /// Every topic of a match to one connection.
    pub(super) fn load_branch(&mut self, at: usize, world: &World, slot: usize) {
        let Some(m) = world.matches.get(slot) else { return };
        for (place, (key, value)) in m.sent.iter().enumerate() {
            let (name, short) = (format!("{}/{key}", branch::top(m)), short(m, place));
            let alias = self.aliases.then_some(short.as_bytes());
            let topic = TopicRef::Named { name: name.as_bytes(), alias };
            self.forms.deliver(&mut self.connections, &[at], MessageType::TopicLoad, topic, value.as_bytes());
        }
        self.report.loads += 1;
        // Whoever follows it got every change so far.
        self.last_sent
            .entry(slot)
            .or_insert_with(|| LastSent { top: branch::top(m), values: m.sent.clone() });
    }

    /// Every value of a match that changed, to its followers. Returns how many were followed.
    pub(super) fn offer_branch(&mut self, world: &World, slot: usize) -> u64 {
        let (Some(m), Some(last)) = (world.matches.get(slot), self.last_sent.get_mut(&slot)) else {
            return 0;
        };
        let now = &m.sent;
        let before = std::mem::replace(&mut last.values, now.clone());
        let followers = self.followers.get(slot).map_or(&[][..], Vec::as_slice);
        let mut sent = 0;
        for (place, (key, value)) in
            now.iter().enumerate().filter(|(place, one)| before.get(*place) != Some(one))
        {
            let (name, short) = (format!("{}/{key}", branch::top(m)), short(m, place));
            let topic = if self.aliases {
                TopicRef::Alias(short.as_bytes())
            } else {
                TopicRef::Named { name: name.as_bytes(), alias: None }
            };
            self.forms.deliver(&mut self.connections, followers, MessageType::Delta, topic, value.as_bytes());
            sent += u64::from(!followers.is_empty());
        }
        self.report.messages += sent;
        sent
    }

    /// The topics of a match that is no more: those of its branch, or its own, which is called `name`.
    pub(super) fn names(&mut self, slot: usize, name: &str) -> Vec<String> {
        match self.last_sent.remove(&slot) {
            Some(last) => last.values.iter().map(|(key, _)| format!("{}/{key}", last.top)).collect(),
            None => vec![name.to_owned()],
        }
    }
}

fn short(m: &Match, place: usize) -> String {
    format!("{}-{place}", alias(m.ident.number))
}
