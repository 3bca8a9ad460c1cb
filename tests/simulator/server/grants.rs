//! What a server does with a subscription above its cap: refuse it in one way or another, or give less. And less of what is granted,
//! where a test asks for it.

use super::connection::{End, Topic};
use super::moment;
use super::run::Server;
use crate::options::OverCap;
use foldhash::HashMap;
use touchline_worker::wire::diffusion::{self as wire, TopicRef};

/// Of so many deltas one comes to who is served thinly.
const THIN: u32 = 10;
/// The status of a topic that was refused. The protocol names only the removal.
const REFUSED: &[u8] = b"cap";

/// What a client gets above the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    /// Every delta, but no load.
    NoLoad,
    /// The load, and a delta now and then; so many were due.
    Thin(u32),
}

/// Who gets less than all, by topic.
#[derive(Debug, Default)]
pub(super) struct Partly {
    grants: HashMap<Topic, Vec<(usize, Grant)>>,
    due: Vec<usize>,
}

impl Partly {
    /// Who gets the next delta of a topic.
    pub(super) fn due(&mut self, topic: &Topic) -> &[usize] {
        self.due.clear();
        if !self.grants.is_empty()
            && let Some(grants) = self.grants.get_mut(topic)
        {
            for (at, grant) in grants {
                match grant {
                    Grant::NoLoad => self.due.push(*at),
                    Grant::Thin(count) => {
                        *count = count.wrapping_add(1);
                        if count.is_multiple_of(THIN) {
                            self.due.push(*at);
                        }
                    }
                }
            }
        }
        &self.due
    }

    pub(super) fn remove(&mut self, topic: &Topic, at: usize) {
        if let Some(grants) = self.grants.get_mut(topic) {
            grants.retain(|(one, _)| *one != at);
            if grants.is_empty() {
                self.grants.remove(topic);
            }
        }
    }

    /// Takes a topic from every client that had it; returns those.
    pub(super) fn remove_topic(&mut self, topic: &Topic) -> Vec<usize> {
        self.grants.remove(topic).into_iter().flatten().map(|(at, _)| at).collect()
    }
}

/// Whether a subscription is answered with a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    Load,
    Nothing,
}

impl Server {
    /// A connection that holds as many as it may asks for one more.
    pub(super) fn above_cap(&mut self, at: usize, name: &[u8], topic: &Topic) -> Result<Granted, End> {
        let again = self.connections.get(at).is_some_and(|connection| connection.partly.contains(topic));
        if !again {
            self.report.denied += 1;
        }
        match self.over_cap {
            OverCap::Close => Err(End::OverCap),
            OverCap::Error => {
                let topic = TopicRef::Named { name, alias: None };
                if let Some(connection) = self.connections.get_mut(at) {
                    connection.send(|out| wire::topic_status(out, topic, REFUSED)).map_err(|_| End::Bad)?;
                }
                Ok(Granted::Nothing)
            }
            OverCap::Ignore => Ok(Granted::Nothing),
            OverCap::NoLoad => {
                self.grant(at, topic, Grant::NoLoad);
                Ok(Granted::Nothing)
            }
            OverCap::Thin => {
                self.grant(at, topic, Grant::Thin(0));
                Ok(Granted::Load)
            }
        }
    }

    /// Who follows a match that was named for it gets little of it from now on.
    pub(super) fn thin_out(&mut self) {
        for id in self.control.take_thinned() {
            let Some(slot) = self.truth.with(|world| world.slot(&id)) else { continue };
            let topic = Topic::Match(slot);
            let followers = self.followers(&topic).map(std::mem::take).unwrap_or_default();
            for at in followers {
                self.grant(at, &topic, Grant::Thin(0));
            }
        }
    }

    /// Who subscribes again to what it has, and gets little of it, gets all again.
    pub(super) fn serve_in_full(&mut self, at: usize, topic: &Topic) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        if connection.partly.remove(topic) {
            self.partly.remove(topic, at);
            self.followers(topic).into_iter().for_each(|followers| followers.push(at));
        }
    }

    fn grant(&mut self, at: usize, topic: &Topic, grant: Grant) {
        // A topic without clients would be kept for ever.
        if matches!(topic, Topic::Unknown(_)) {
            return;
        }
        if let Some(connection) = self.connections.get_mut(at)
            && connection.partly.insert(topic.clone())
        {
            self.partly.grants.entry(topic.clone()).or_default().push((at, grant));
        }
        // What is not followed would not change.
        if let Topic::Match(slot) = topic {
            self.truth.lock().stir(*slot, moment());
        }
    }
}
