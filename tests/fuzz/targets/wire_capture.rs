//! Capture files of any bytes, and files of any segments: seen the same whatever the size of the pieces, and seen
//! within bounds.
//!
//! The first byte is the size of the pieces, the second says whether the rest is a file or segments to make one of: each
//! a byte of who and how, two of where in the stream, one of how many bytes, and they.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchline_worker::wire::capture::{Dissector, Entries, Entry, What};

#[derive(Default)]
struct Seen(Vec<String>);

impl Entries for Seen {
    fn entry(&mut self, entry: &Entry<'_>) {
        if let What::Undecoded { bytes, why } = entry.what {
            assert!(!bytes.is_empty() && !why.is_empty());
        }
        if let What::Message { message, topic, .. } = entry.what {
            assert_eq!(topic.is_some(), message.topic().is_some());
        }
        self.0.push(format!("{entry:?}"));
    }
}

fuzz_target!(|input: &[u8]| {
    let Some(([step, form], rest)) = input.split_first_chunk::<2>() else { return };
    let file = if form % 2 == 0 { rest.to_vec() } else { segments(rest) };
    let whole = seen(&file, file.len().max(1));
    assert_eq!(seen(&file, usize::from(*step).max(1)), whole, "the size of the pieces must not matter");
    // A packet tells a few things at most: a text may hold a message for every two bytes.
    assert!(whole.0.len() <= 16 + file.len(), "{} things of {} bytes", whole.0.len(), file.len());
});

fn seen(file: &[u8], step: usize) -> (Vec<String>, String) {
    let (mut dissector, mut seen) = (Dissector::default(), Seen::default());
    for piece in file.chunks(step) {
        if let Err(error) = dissector.feed(piece, &mut seen) {
            return (seen.0, error.to_string());
        }
    }
    let end = dissector.finish(&mut seen);
    (seen.0, format!("{end:?}"))
}

/// A capture of bare IP with the segments that `bytes` describe.
fn segments(bytes: &[u8]) -> Vec<u8> {
    let mut file = [0xa1b2_c3d4, 0x0002_0004, 0, 0, 0x0004_0000, 101].map(u32::to_be_bytes).concat();
    let mut rest = bytes;
    while let Some(([how, high, low, size], after)) = rest.split_first_chunk::<4>() {
        let (payload, after) = after.split_at(usize::from(*size).min(after.len()));
        rest = after;
        let (from, to): (u16, u16) = if how & 0x80 == 0 { (50_000, 8_080) } else { (8_080, 50_000) };
        let length = 40 + payload.len();
        file.extend([1_u32, 0, length as u32, length as u32].map(u32::to_be_bytes).concat());
        file.extend([0x45, 0]);
        file.extend((length as u16).to_be_bytes());
        file.extend([0, 0, 0, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        file.extend([from.to_be_bytes(), to.to_be_bytes(), [0, 0], [*high, *low], [0, 0], [0, 0]].concat());
        file.extend([0x50, how & 0x17, 0, 0, 0, 0, 0, 0]);
        file.extend(payload);
    }
    file
}
