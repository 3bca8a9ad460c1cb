//! What the recorder publishes: when each state of a document came, and which change is the newest in it.
//!
//! The only place that knows how documents leave the recorder: its document feed.

use super::cpu::monotonic;
use super::ledger::Ledger;
use super::pulse::number_of;
use crate::error::{BenchError, While};
use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use touchline_common::ipc::messages::feed::{FeedDocument, VARIABLE};
use touchline_common::ipc::{FrameReader, decode_borrowed};

/// The longest record, bytes: a whole document.
const RECORD_LIMIT: u32 = 64 * 1024 * 1024;

/// Reads on a thread, which ends with the recorder, what the daemon that `command` starts will publish.
///
/// # Errors
/// When it cannot listen.
pub fn attach(command: &mut Command, folder: &Path, ledger: &Arc<Ledger>) -> Result<(), BenchError> {
    let socket = folder.join("feed.sock");
    let listener = UnixListener::bind(&socket).during("listening for the document feed")?;
    command.env(VARIABLE, &socket);
    ledger.has_reader();
    let ledger = Arc::clone(ledger);
    thread::Builder::new()
        .name("feed".to_owned())
        .spawn(move || {
            if let Ok((stream, _)) = listener.accept() {
                read(stream, &ledger);
            }
        })
        .during("listening for the document feed")?;
    Ok(())
}

/// A bad frame ends it, which shows as diffs that are never seen.
fn read(mut stream: UnixStream, ledger: &Ledger) {
    let mut reader = FrameReader::new(RECORD_LIMIT);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        let at = monotonic();
        reader.extend(buffer.get(..count).unwrap_or_default());
        while let Ok(Some((header, body))) = reader.next_frame() {
            let Ok(document) = decode_borrowed::<FeedDocument<'_>>(&header, body) else { return };
            let newest = document.sections.iter().filter_map(|(_, text)| newest(text.as_deref()?)).max();
            let Some(number) = number_of(document.key.id.as_str()) else { continue };
            ledger.followed(number, document.epoch.0, at);
            if let Some(newest) = newest {
                ledger.seen(number, newest, at);
            }
        }
    }
}

/// The highest change number in a section.
fn newest(body: &str) -> Option<u64> {
    const MARK: &str = "\"ZC\":\"";
    let numbers = body.match_indices(MARK).filter_map(|(at, _)| {
        let digits = body.get(at + MARK.len()..)?;
        digits.get(..digits.find('"')?)?.parse().ok()
    });
    numbers.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_change_of_a_section_is_its_highest_number() {
        let body = r#"{"a":{"extra":{"ZC":"9"}},"b":{"extra":{"ZC":"12","N":"99"}}}"#;
        assert_eq!(newest(body), Some(12));
        assert_eq!(newest("{}"), None);
    }
}
