//! What the recorder publishes: when each rendering was applied, and which change is the newest in it.
//!
//! The only place that knows how documents leave the recorder: its audit tap, a frame for each applied rendering.

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
use touchline_common::ipc::{FrameReader, decode};
use touchline_common::model::Section;
use touchline_worker::record::audit::{self, AuditRecord};

/// The longest record, bytes: a whole document.
const RECORD_LIMIT: u32 = 64 * 1024 * 1024;

/// Reads on a thread, which ends with the recorder, what the daemon that `command` starts will publish.
///
/// # Errors
/// When it cannot listen.
pub fn attach(command: &mut Command, folder: &Path, ledger: &Arc<Ledger>) -> Result<(), BenchError> {
    let socket = folder.join("audit.sock");
    let listener = UnixListener::bind(&socket).during("listening for the audit tap")?;
    command.env(audit::VARIABLE, &socket);
    ledger.has_reader();
    let ledger = Arc::clone(ledger);
    thread::Builder::new()
        .name("feed".to_owned())
        .spawn(move || {
            if let Ok((stream, _)) = listener.accept() {
                read(stream, &ledger);
            }
        })
        .during("listening for the audit tap")?;
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
            let Ok(AuditRecord { publish, .. }) = decode::<AuditRecord>(&header, body) else { return };
            let newest = publish.sections.iter().filter_map(newest).max();
            let Some(number) = number_of(publish.key.id.as_str()) else { continue };
            ledger.followed(number, publish.epoch.0, at);
            if let Some(newest) = newest {
                ledger.seen(number, newest, at);
            }
        }
    }
}

/// The highest change number in a section.
fn newest(section: &Section) -> Option<u64> {
    const MARK: &str = "\"ZC\":\"";
    let body = section.body.as_deref()?;
    let numbers = body.match_indices(MARK).filter_map(|(at, _)| {
        let digits = body.get(at + MARK.len()..)?;
        digits.get(..digits.find('"')?)?.parse().ok()
    });
    numbers.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::model::SectionKey;

    #[test]
    fn the_newest_change_of_a_section_is_its_highest_number() {
        let body = r#"{"a":{"extra":{"ZC":"9"}},"b":{"extra":{"ZC":"12","N":"99"}}}"#;
        let section = |body: Option<&str>| Section { key: SectionKey::Head, body: body.map(str::to_owned) };
        assert_eq!(newest(&section(Some(body))), Some(12));
        assert_eq!(newest(&section(Some("{}"))), None);
        assert_eq!(newest(&section(None)), None);
    }
}
