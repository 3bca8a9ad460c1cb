//! The truth as others may ask for it: shared with the server's thread, locked once a tick.

use serde_json::Value;
use std::sync::{Arc, Mutex};

/// What is true of every match, at this moment.
#[derive(Clone, Default)]
pub struct Truth(Arc<Mutex<Vec<(String, Value)>>>);

impl Truth {
    /// The ids of the live matches.
    pub fn matches(&self) -> Vec<String> {
        self.0.lock().map(|all| all.iter().map(|(id, _)| id.clone()).collect()).unwrap_or_default()
    }

    /// The document of a live match, without what a worker or the recorder adds to it.
    pub fn document(&self, id: &str) -> Option<Value> {
        let all = self.0.lock().ok()?;
        all.iter().find(|(known, _)| known == id).map(|(_, document)| document.clone())
    }
}
