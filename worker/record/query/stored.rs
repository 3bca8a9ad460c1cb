//! Questions about stored data from another process than the recorder: the gateway. Each opens the files to read, for its answer only.

use super::rows;
use crate::record::hours;
use crate::record::hours::read::Reader;
use crate::record::sqlite::{Filter, open_to_read};
use std::path::Path;

/// Event objects of the match stream, ascending: those above `since`, or the newest.
///
/// # Errors
/// What cannot be read, and why.
pub fn events(store: &Path, filter: &Filter, limit: usize) -> Result<Vec<String>, String> {
    let failed = |error: rusqlite::Error| format!("the store cannot be read: {error}");
    let connection = open_to_read(store).map_err(failed)?;
    rows::events(&connection, filter, limit).map(|(rows, _)| rows).map_err(failed)
}

/// Rows of odds as objects, ascending: those above `since`, or the newest.
///
/// # Errors
/// What cannot be read, and why.
pub fn odds(store: &Path, filter: &Filter, limit: usize) -> Result<Vec<String>, String> {
    let reader = Reader::new(hours::folder(store));
    let read = reader.odds(filter, limit).map(|(rows, _)| rows);
    read.map_err(|error| format!("the hour files cannot be read: {error}"))
}

/// What was said in a room, as [`odds`] are found.
///
/// # Errors
/// What cannot be read, and why.
pub fn chat(store: &Path, filter: &Filter, limit: usize) -> Result<Vec<String>, String> {
    let reader = Reader::new(hours::folder(store));
    let read = reader.chat(filter, limit).map(|(rows, _)| rows);
    read.map_err(|error| format!("the hour files cannot be read: {error}"))
}

/// The stored documents of this id, of one feed or of all.
///
/// # Errors
/// What cannot be read, and why.
pub fn documents(store: &Path, feed: Option<&str>, id: &str) -> Result<Vec<String>, String> {
    let failed = |error: rusqlite::Error| format!("the store cannot be read: {error}");
    let connection = open_to_read(store).map_err(failed)?;
    let found = rows::documents(&connection, feed, id).map_err(failed)?;
    Ok(found.into_iter().map(|(_, document)| document).collect())
}
