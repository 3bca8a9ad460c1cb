//! The truth as others may ask for it: shared with the server's thread, which locks it once a tick.

pub(crate) mod expected;
pub(crate) mod http;

use crate::model::Digest;
use crate::model::history::Known;
use crate::model::world::World;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Changes before one that was verified whose states are still kept, for whoever reads a little behind.
const SLACK: u64 = 256;

/// What is true of every match, at this moment.
#[derive(Clone)]
pub struct Truth(Arc<Mutex<World>>);

impl Truth {
    pub(crate) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    /// A lock that outlives a panic elsewhere: the truth is then as it was left, and mismatches will show.
    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn with<T>(&self, ask: impl FnOnce(&World) -> T) -> T {
        ask(&self.lock())
    }

    /// The ids of the live matches.
    pub fn matches(&self) -> Vec<String> {
        self.with(|world| world.matches.iter().map(|(_, m)| m.ident.id.clone()).collect())
    }

    /// The document of a live match, without what a worker or the recorder adds to it, and without the selections'
    /// `open` and `move`.
    pub fn document(&self, id: &str) -> Option<Value> {
        self.with(|world| world.document(id))
    }

    /// Whether there was a match with that id that is over and gone.
    pub fn is_gone(&self, id: &str) -> bool {
        self.with(|world| world.gone.contains_key(id))
    }

    /// Everything that happened since each match's first load, in order within each match, as JSON objects.
    pub fn events(&self) -> Vec<Value> {
        self.with(expected::events)
    }

    /// Whether a match was in this state under this number; none: there is no such match.
    pub(crate) fn knows(&self, id: &str, number: u64, digest: Digest) -> Option<Known> {
        let mut world = self.lock();
        let history = world.remembered(id)?;
        let known = history.knows(number, digest);
        if known == Known::True {
            history.verified(number, SLACK);
        }
        Some(known)
    }
}
