//! The file that names a feed's matches, one a line, watched: who changes it changes what is followed.
//!
//! Blank lines and lines that begin with `#` say nothing. A change is read once the file has stood still for one look,
//! so that a half-written one is not believed; a file that cannot be read changes nothing. The caller looks each tick.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use touchline_common::model::{FeedId, MatchId};

/// The longest file that is read, bytes.
const LONGEST: u64 = 16 << 20;
const MOST: usize = 100_000;
/// Bytes of one match's id, as in the configuration.
const ID_LONGEST: usize = 256;

#[derive(Debug)]
pub struct MatchesFile {
    pub feed: FeedId,
    /// The feed's name.
    pub name: String,
    path: PathBuf,
    /// What stands in the configuration, followed whatever the file says.
    fixed: Vec<MatchId>,
    /// As it was when it was last read, or found to be unreadable.
    read: Option<Stamp>,
    /// As it was at the last look.
    looked: Option<Stamp>,
}

/// What a file looks like from outside: changed at, nanoseconds; bytes; which file. Or why it cannot be asked.
type Stamp = Result<(i64, i64, u64, u64), String>;

#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing new, or nothing that stands still.
    Nothing,
    Matches {
        /// Each once, in order.
        ids: Vec<MatchId>,
        /// Lines that name no match, from 1; the first few.
        odd: Vec<usize>,
    },
    /// It cannot be read: what was followed still is.
    Unreadable(String),
}

impl MatchesFile {
    /// A file that was not looked at. `fixed` are followed beside what it names.
    pub fn new(feed: FeedId, name: &str, path: &Path, fixed: Vec<MatchId>) -> MatchesFile {
        let name = name.to_owned();
        MatchesFile { feed, name, path: path.to_owned(), fixed, read: None, looked: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks for the first time: what it says now counts.
    pub fn first(&mut self) -> Found {
        let now = self.stamp();
        self.looked = Some(now.clone());
        self.take(now)
    }

    pub fn look(&mut self) -> Found {
        let now = self.stamp();
        let before = self.looked.replace(now.clone());
        if before.as_ref() != Some(&now) || self.read.as_ref() == Some(&now) {
            return Found::Nothing;
        }
        self.take(now)
    }

    fn take(&mut self, now: Stamp) -> Found {
        self.read = Some(now.clone());
        match now.and_then(|_| read(&self.path).map_err(|error| error.to_string())) {
            Ok(text) => named(&text, &self.fixed),
            Err(error) => Found::Unreadable(error),
        }
    }

    fn stamp(&self) -> Stamp {
        let data = std::fs::metadata(&self.path).map_err(|error| error.to_string())?;
        Ok((data.mtime(), data.mtime_nsec(), data.len(), data.ino()))
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it is longer than 16 MiB"));
    }
    Ok(text)
}

fn named(text: &str, fixed: &[MatchId]) -> Found {
    let mut ids: Vec<MatchId> = fixed.to_vec();
    let mut known: BTreeSet<MatchId> = fixed.iter().cloned().collect();
    let mut odd = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let id = line.trim();
        if id.is_empty() || id.starts_with('#') {
            continue;
        }
        if id.len() > ID_LONGEST || id.chars().any(char::is_control) || ids.len() >= MOST {
            odd.push(place + 1);
        } else if known.insert(id.into()) {
            ids.push(id.into());
        }
    }
    odd.truncate(10);
    Found::Matches { ids, odd }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(found: Found) -> Vec<String> {
        match found {
            Found::Matches { ids, .. } => ids.iter().map(MatchId::to_string).collect(),
            other @ (Found::Nothing | Found::Unreadable(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_matches() {
        let long = "x".repeat(257);
        let text = format!("a\n\n  b \r\n# no\na\n{long}\nc\u{7}d\ne");
        let Found::Matches { ids, odd } = named(&text, &["f".into(), "e".into()]) else { panic!() };
        let ids: Vec<&str> = ids.iter().map(MatchId::as_str).collect();
        assert_eq!((ids, odd), (vec!["f", "e", "a", "b"], vec![6, 7]));
    }

    #[test]
    fn a_change_counts_once_it_stands_still_and_a_lost_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("matches");
        std::fs::write(&path, "a\n").unwrap();
        let mut file = MatchesFile::new(FeedId(0), "a", &path, Vec::new());
        assert_eq!(ids(file.first()), ["a"]);
        assert_eq!(file.look(), Found::Nothing);
        std::fs::write(&path, "").unwrap();
        assert_eq!(file.look(), Found::Nothing, "it may be half written");
        std::fs::write(&path, "a\nb\n").unwrap();
        assert_eq!(file.look(), Found::Nothing);
        assert_eq!(ids(file.look()), ["a", "b"]);
        assert_eq!(file.look(), Found::Nothing);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.look(), Found::Nothing);
        assert!(matches!(file.look(), Found::Unreadable(_)));
        assert_eq!(file.look(), Found::Nothing, "reported once");
        std::fs::write(&path, [0xff, b'\n']).unwrap();
        file.look();
        assert!(matches!(file.look(), Found::Unreadable(_)));
        let next = folder.path().join("next");
        std::fs::write(&next, "b\n").unwrap();
        std::fs::rename(&next, &path).unwrap();
        file.look();
        assert_eq!(ids(file.look()), ["b"]);
    }
}
