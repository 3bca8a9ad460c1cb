//! What `record_raw` has written, record by record.

use super::Lines;
use crate::cli::output::Failure;
use std::io::Read;
use touchline_worker::raw::{Content, Mark, RawError, Record, Records};
use touchline_worker::wire::capture::{Recorded, Summary};

/// Prints what is in a recording; what it could not be read on for, if anything.
pub(super) fn recording(
    input: impl Read,
    lines: &mut Lines<'_, '_>,
) -> Result<(Summary, Option<RawError>), Failure> {
    let mut recorded = Recorded::default();
    let mut fault = None;
    match Records::new(input) {
        Err(error) => fault = Some(error),
        Ok(records) => {
            for record in records {
                match record {
                    Ok(record) => take(&record, &mut recorded, lines),
                    Err(RawError::Cut) => recorded.cut(lines),
                    Err(error) => fault = Some(error),
                }
                lines.settle()?;
            }
        }
    }
    let summary = recorded.finish(lines);
    lines.settle()?;
    Ok((summary, fault))
}

fn take(record: &Record, recorded: &mut Recorded, lines: &mut Lines<'_, '_>) {
    let Record { at, connection, content } = record;
    let mark = match content {
        Content::Bytes(bytes) => return recorded.bytes(*at, *connection, bytes, lines),
        Content::Mark(mark) => mark,
        // Of a later version.
        Content::Unknown => return,
    };
    match mark {
        Mark::Lost => recorded.ended(*at, *connection, lines),
        Mark::Dropped { bytes } => recorded.lost(*at, *connection, *bytes, lines),
        Mark::Worker { .. }
        | Mark::Assigned { .. }
        | Mark::Listed { .. }
        | Mark::Renewed { .. }
        | Mark::Released { .. }
        | Mark::Joined { .. }
        | Mark::Interrupted { .. }
        | Mark::Audited { .. } => {}
    }
    // Plain data with text keys, which JSON can always write.
    let note = serde_json::to_string(mark).unwrap_or_default();
    recorded.note(*at, *connection, &note, lines);
}
