//! Recordings of any bytes: read to their end or to the first fault, and what is read is written again as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchline_worker::raw::{Content, MAGIC, Records, put_bytes};

/// Length and checksum before each body.
const HEAD: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let file = [&MAGIC[..], bytes].concat();
    let mut place = MAGIC.len();
    for record in Records::new(&file[..]).expect("it begins as a recording") {
        let Ok(record) = record else { return };
        if let Content::Bytes(content) = &record.content {
            let mut again = Vec::new();
            put_bytes(&mut again, record.at, record.connection, content);
            assert_eq!(again, &file[place..place + again.len()]);
        }
        let length: [u8; 4] = file[place..place + 4].try_into().expect("four bytes");
        place += HEAD + u32::from_le_bytes(length) as usize;
    }
    assert_eq!(place, file.len());
});
