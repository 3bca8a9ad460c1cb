//! The channels between the processes: frames of any bytes, decoded as each direction's message.
//!
//! The first byte is the size of the pieces, the rest the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::{BulkFrame, FromRecorderData, MatchFrame, Name, Open, Publish};
use touchline_common::ipc::messages::recorder::{FromRecorder, ToRecorder};
use touchline_common::ipc::messages::worker::{FromWorker, ToWorker};
use touchline_common::ipc::{FrameReader, Header, decode, decode_borrowed, encode_frame};

const LIMIT: u32 = 64 * 1024;

fuzz_target!(|input: &[u8]| {
    let Some((step, stream)) = input.split_first() else { return };
    let mut reader = FrameReader::new(LIMIT);
    for piece in stream.chunks(usize::from(*step).max(1)) {
        reader.extend(piece);
        while let Ok(Some((header, body))) = reader.next_frame() {
            every(&header, body);
        }
    }
    // The same bytes as a body: the frame's own checks would keep most inputs from the decoder.
    let header = |kind| Header { kind, flags: 0, request: 0, length: stream.len() as u32 };
    for kind in [ToWorker::KIND, FromWorker::KIND, ToRecorder::KIND, FromRecorder::KIND] {
        every(&header(kind), stream);
    }
    for kind in [
        Open::KIND,
        Name::KIND,
        MatchFrame::KIND,
        BulkFrame::KIND,
        Publish::KIND,
        FromRecorderData::KIND,
    ] {
        every(&header(kind), stream);
    }
});

/// As [`one`], for messages that borrow from the body.
macro_rules! borrowed {
    ($kind:ident, $header:expr, $body:expr) => {
        if let Ok(message) = decode_borrowed::<$kind<'_>>($header, $body) {
            let (mut out, mut twice) = (Vec::new(), Vec::new());
            encode_frame(&message, 0, $header.flags, &mut out).expect("what was read can be written");
            let again = decode_borrowed::<$kind<'_>>($header, &out[16..]).expect("what was written can be read");
            encode_frame(&again, 0, $header.flags, &mut twice).expect("and written");
            assert_eq!(out, twice);
        }
    };
}

fn every(header: &Header, body: &[u8]) {
    one::<ToWorker>(header, body);
    one::<FromWorker>(header, body);
    one::<ToRecorder>(header, body);
    one::<FromRecorder>(header, body);
    one::<Open>(header, body);
    one::<FromRecorderData>(header, body);
    borrowed!(Name, header, body);
    borrowed!(MatchFrame, header, body);
    borrowed!(BulkFrame, header, body);
    borrowed!(Publish, header, body);
}

/// What decodes is written as it was read. Bytes are compared, since a message may hold numbers that equal nothing.
fn one<M: Message + serde::de::DeserializeOwned>(header: &Header, body: &[u8]) {
    if let Ok(message) = decode::<M>(header, body) {
        let mut out = Vec::new();
        encode_frame(&message, header.request, header.flags, &mut out).expect("what was read can be written");
        let again = decode::<M>(header, &out[16..]).expect("what was written can be read");
        let mut twice = Vec::new();
        encode_frame(&again, header.request, header.flags, &mut twice).expect("and written");
        assert_eq!(out, twice);
    }
}
