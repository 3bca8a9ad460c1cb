//! Requests of anybody to the gateway: the size of the pieces changes nothing, and what is taken for a request no other server could
//! have read otherwise, as far as a plain look at its lines tells.
//!
//! The first byte is the size of the pieces, the rest the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchline_worker::serve::{Reading, read_in_pieces};

fuzz_target!(|input: &[u8]| {
    let Some((step, stream)) = input.split_first() else { return };
    let whole = read_in_pieces(stream, stream.len());
    let cut = read_in_pieces(stream, usize::from(*step));
    // What is wrong first depends on what is there; that something is wrong does not.
    assert_eq!(whole.as_ref().ok(), cut.as_ref().ok());
    let Ok(Some(Reading { size, path, body, .. })) = whole else { return };
    assert!(size <= stream.len() && body.len() < size);
    assert!(path.starts_with('/') && !path.chars().any(char::is_control));
    assert_eq!(read_in_pieces(&stream[..size], 1).ok().flatten().map(|again| again.size), Some(size));
    check_head(&stream[..size]);
});

fn check_head(mut request: &[u8]) {
    while let Some(rest) = request.strip_prefix(b"\r\n") {
        request = rest;
    }
    let end = request.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    let head = request[..end].to_ascii_lowercase();
    let mut lengths: Vec<&[u8]> = Vec::new();
    let mut codings = 0;
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        assert!(!line.starts_with(b" ") && !line.starts_with(b"\t"), "a folded header");
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { panic!("a line without a colon") };
        match line[..colon].trim_ascii() {
            b"content-length" => lengths.push(line[colon + 1..].trim_ascii()),
            b"transfer-encoding" => codings += 1,
            _ => {}
        }
    }
    assert!(codings <= 1 && (codings == 0 || lengths.is_empty()), "two lengths");
    assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "two lengths");
    assert!(lengths.iter().all(|length| length.iter().all(u8::is_ascii_digit)));
}
