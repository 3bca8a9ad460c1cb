//! A store that is full before a daemon reads it, for what is about many rows.

use rusqlite::Connection;
use std::path::Path;

/// Fills `touchline.db` of a folder, which a daemon has made and nobody has open, with events of a feed, of 500 matches, up to this number.
///
/// # Errors
/// When it cannot be written.
pub fn fill_events(folder: &Path, feed: &str, events: i64) -> rusqlite::Result<()> {
    let mut store = Connection::open(folder.join("touchline.db"))?;
    let filling = store.transaction()?;
    filling.execute(
        "WITH RECURSIVE n(i) AS (SELECT (SELECT coalesce(max(seq), 0) FROM events) + 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO events SELECT i, printf('e%019d', i), 0, NULL, ?2, printf('m%04d', i % 500), 'soccer', 'corner', 'normal',
             'home', i % 90, i % 60, 'first_half', strftime('%Y-%m-%dT%H:%M:%S.000000Z', 'now'), NULL, 1, i % 1000, (i / 500 + 1) << 20,
             '{\"home\":0,\"away\":0}', 0, 0, '{\"count\":3}'
         FROM n",
        (events, feed),
    )?;
    filling.execute("INSERT OR REPLACE INTO meta VALUES ('seq', ?1), ('events', ?1)", [events])?;
    filling.commit()
}

/// The name of the event of this number.
pub fn name_of(number: i64) -> String {
    format!("e{number:019}")
}
