//! A sink that writes each row as a line of JSON, to a file or to standard output.
//!
//! Invariant of the file: it ends with a whole line whenever nothing is being written, so a line that could not be completed (a full disk,
//! an end in the middle) is cut off before anything else is written. The mark is the file and its length at the position: what is found
//! behind that at the next start was written since and not told to `places`, and is not written again. A pipe knows no such thing: after
//! a crash the last lines may come twice there.

use super::{Delivery, Position, Row, Sink};
use serde_json::Value;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use touchline_common::config::SinkLane;

/// Bytes behind the mark that are looked through; there is no more than one delivery.
const BEHIND: u64 = 256 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    File(PathBuf),
    Output,
}

#[derive(Debug)]
pub(super) struct Ndjson {
    target: Target,
    file: Option<File>,
    /// The rest of a line that a pipe took in part.
    rest: Vec<u8>,
}

impl Ndjson {
    /// To this file, or to standard output if it is `-`.
    pub(super) fn new(file: &str) -> Ndjson {
        let target = if file == "-" {
            Target::Output
        } else {
            let path = PathBuf::from(file);
            Target::File(std::path::absolute(&path).unwrap_or(path))
        };
        Ndjson { target, file: None, rest: Vec::new() }
    }

    fn open(&self) -> io::Result<File> {
        match &self.target {
            Target::Output => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
            // As the log's file.
            Target::File(path) => File::options().read(true).append(true).create(true).mode(0o640).open(path),
        }
    }

    fn failed(&self, doing: &str, error: &io::Error) -> String {
        match &self.target {
            Target::Output => format!("{doing} standard output: {error}"),
            Target::File(path) => format!("{doing} {}: {error}", path.display()),
        }
    }

    /// Opens it, and finds what was written behind the mark.
    fn resume(&mut self, held: &Position) -> io::Result<Position> {
        let mut file = self.open()?;
        let mut position = held.clone();
        if let Target::File(_) = self.target {
            let behind = behind(&mut file, &held.mark)?;
            if let Some((lane, seq)) = behind {
                let place = position.seq.of(lane.stream());
                *place = seq.max(*place);
            }
            position.mark = mark(&file)?;
        }
        self.file = Some(file);
        Ok(position)
    }

    /// Writes whole lines; how many were, and what ended it before the last.
    fn write(&mut self, bytes: &[u8]) -> (usize, Option<io::Error>) {
        let Some(file) = &mut self.file else { return (0, Some(ErrorKind::NotConnected.into())) };
        if let Err(error) = write_rest(file, &mut self.rest) {
            return (0, Some(error));
        }
        let (written, error) = write_all(file, bytes);
        let (done, after) = bytes.split_at(written);
        let lines = memchr::memchr_iter(b'\n', done).count();
        let begun = done.len() - memchr::memrchr(b'\n', done).map_or(0, |at| at + 1);
        if begun == 0 {
            return (lines, error);
        }
        match self.target {
            Target::File(_) => {
                let cut = file.metadata().and_then(|found| file.set_len(found.len() - begun as u64));
                (lines, cut.err().or(error))
            }
            Target::Output => {
                // What is begun counts as written: its rest goes first whenever there is room again.
                let end = memchr::memchr(b'\n', after).map_or(after.len(), |at| at + 1);
                self.rest = after.get(..end).unwrap_or_default().to_vec();
                (lines + 1, error)
            }
        }
    }
}

impl Sink for Ndjson {
    fn connect(&mut self, held: &Position) -> Result<Position, String> {
        self.resume(held).map_err(|error| self.failed("opening", &error))
    }

    fn deliver(&mut self, rows: &[Row], _meanwhile: &mut dyn FnMut()) -> Delivery {
        let mut bytes = Vec::with_capacity(rows.iter().map(|row| row.json.len() + 1).sum());
        for row in rows {
            bytes.extend_from_slice(row.json.as_bytes());
            bytes.push(b'\n');
        }
        let (settled, error) = self.write(&bytes);
        let is_file = matches!(self.target, Target::File(_));
        let mark = self.file.as_ref().filter(|_| is_file).and_then(|file| mark(file).ok());
        let failure = error.map(|error| self.failed("writing", &error));
        Delivery { settled, mark, failure, ..Delivery::default() }
    }

    fn reopen(&mut self) -> Result<Option<String>, String> {
        if self.target == Target::Output {
            return Ok(None);
        }
        let opened = self.open().and_then(|file| {
            let mark = mark(&file)?;
            self.file = Some(file);
            Ok(Some(mark))
        });
        opened.map_err(|error| self.failed("opening", &error))
    }

    fn disconnect(&mut self) {
        self.file = None;
    }
}

/// The file and its length, so that both are known again.
fn mark(file: &File) -> io::Result<String> {
    let found = file.metadata()?;
    Ok(format!("{}:{}:{}", found.dev(), found.ino(), found.len()))
}

/// The newest row of the whole lines behind a mark, if it is one of this file; what follows the last of them is cut off.
fn behind(file: &mut File, mark: &str) -> io::Result<Option<(SinkLane, i64)>> {
    let found = file.metadata()?;
    let mut parts = mark.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let mut part = || parts.next().flatten();
    let (dev, ino, length) = (part(), part(), part());
    let Some(length) = length
        .filter(|length| (dev, ino) == (Some(found.dev()), Some(found.ino())) && *length <= found.len())
    else {
        return Ok(None);
    };
    file.seek(SeekFrom::Start(length))?;
    let mut bytes = Vec::new();
    Read::take(&mut *file, BEHIND).read_to_end(&mut bytes)?;
    let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
    if whole < bytes.len() {
        file.set_len(length + whole as u64)?;
    }
    let lines = bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
    // A line that is none of ours says nothing.
    Ok(lines.rev().find_map(row_of))
}

fn row_of(line: &[u8]) -> Option<(SinkLane, i64)> {
    let row: Value = serde_json::from_slice(line).ok()?;
    let lane = SinkLane::by_name(row.get("lane")?.as_str()?)?;
    Some((lane, row.get("seq")?.as_i64()?))
}

fn write_rest(file: &mut File, rest: &mut Vec<u8>) -> io::Result<()> {
    let (written, error) = write_all(file, rest);
    rest.drain(..written);
    error.map_or(Ok(()), Err)
}

/// How many bytes were written, and what ended it before the last.
fn write_all(file: &mut File, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while let Some(left) = bytes.get(written..).filter(|left| !left.is_empty()) {
        match file.write(left) {
            Ok(0) => return (written, Some(ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn row(seq: i64) -> Row {
        let json = format!("{{\"seq\":{seq},\"lane\":\"normal\"}}");
        let (feed, id, kind) = ("inplay".into(), "M1".into(), "goal".into());
        Row { seq, feed, id, kind, lane: SinkLane::Normal, json }
    }

    fn lines(path: &Path) -> Vec<i64> {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
        text.lines().map(|line| row_of(line.as_bytes()).unwrap().1).collect()
    }

    #[test]
    fn what_was_written_and_not_stored_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.ndjson");
        let mut sink = Ndjson::new(path.to_str().unwrap());
        let start = sink.connect(&Position::default()).unwrap();
        assert_eq!(start.seq.matches, 0);
        let delivery = sink.deliver(&[row(1), row(2)], &mut || ());
        assert_eq!((delivery.settled, delivery.failure.as_deref()), (2, None));
        let mut stored = start.clone();
        stored.seq.matches = 2;
        stored.mark = delivery.mark.unwrap();
        // Killed after a write whose position was not stored, and within another.
        assert_eq!(sink.deliver(&[row(3), row(4)], &mut || ()).settled, 2);
        sink.file.as_mut().unwrap().write_all(b"{\"seq\":5,\"la").unwrap();
        let mut again = Ndjson::new(path.to_str().unwrap());
        let position = again.connect(&stored).unwrap();
        assert_eq!(position.seq.matches, 4);
        assert_eq!(again.deliver(&[row(5)], &mut || ()).settled, 1);
        assert_eq!(lines(&path), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_rotated_file_is_left_where_it_is_and_another_one_begins() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("rows"), folder.path().join("rows.1"));
        let mut sink = Ndjson::new(path.to_str().unwrap());
        sink.connect(&Position::default()).unwrap();
        let first = sink.deliver(&[row(1)], &mut || ());
        fs::rename(&path, &old).unwrap();
        assert_eq!(sink.deliver(&[row(2)], &mut || ()).settled, 1);
        let mark = sink.reopen().unwrap();
        assert!(mark.is_some() && mark != first.mark);
        assert_eq!(sink.deliver(&[row(3)], &mut || ()).settled, 1);
        assert_eq!((lines(&old), lines(&path)), (vec![1, 2], vec![3]));
        // What was left behind in another file is not looked for in this one.
        let position = Position { mark: first.mark.unwrap(), ..Position::default() };
        assert_eq!(Ndjson::new(path.to_str().unwrap()).connect(&position).unwrap().seq.matches, 0);
    }

    #[test]
    fn a_full_disk_leaves_whole_lines_and_says_how_many() {
        let mut sink = Ndjson::new("/dev/full");
        sink.connect(&Position::default()).unwrap();
        let delivery = sink.deliver(&[row(1)], &mut || ());
        assert_eq!(delivery.settled, 0);
        assert!(delivery.failure.is_some_and(|error| error.contains("/dev/full")));
    }

    #[test]
    fn a_line_that_cannot_be_completed_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let mut sink = Ndjson::new(path.to_str().unwrap());
        sink.connect(&Position::default()).unwrap();
        // The last line lacks its end, as if the disk had been full then.
        let (lines_written, _) = sink.write(b"{\"seq\":1,\"lane\":\"normal\"}\n{\"seq\":2,");
        assert_eq!(lines_written, 1);
        assert_eq!(lines(&path), [1]);
    }

    #[test]
    fn only_rows_are_understood() {
        assert_eq!(row_of(b"{\"seq\":7,\"lane\":\"odds\"}"), Some((SinkLane::Odds, 7)));
        for line in [&b""[..], b"{}", b"hello", b"{\"seq\":7,\"lane\":\"x\"}"] {
            assert_eq!(row_of(line), None);
        }
    }
}
