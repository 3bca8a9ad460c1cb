//! Handshakes of any bytes, both directions: read at every length, written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchline_worker::wire::diffusion::{ConnectRequest, ConnectResponse, HANDSHAKE_LIMIT};

fuzz_target!(|bytes: &[u8]| {
    request(bytes);
    response(bytes);
});

fn request(bytes: &[u8]) {
    let Ok(Some((request, used))) = ConnectRequest::parse(bytes) else { return };
    assert!(used <= bytes.len() && used <= HANDSHAKE_LIMIT);
    for cut in 0..used.min(64) {
        assert_eq!(ConnectRequest::parse(&bytes[..cut]), Ok(None));
    }
    // A client id may contain what cannot be written; everything else comes out as it was.
    let mut out = Vec::new();
    if request.encode(&mut out).is_ok() {
        assert_eq!(out, &bytes[..used]);
    } else {
        assert!(out.is_empty());
    }
}

fn response(bytes: &[u8]) {
    let Ok(Some((response, used))) = ConnectResponse::parse(bytes) else { return };
    assert!(used <= bytes.len() && used <= HANDSHAKE_LIMIT);
    for cut in 0..used.min(64) {
        assert_eq!(ConnectResponse::parse(&bytes[..cut]), Ok(None));
    }
    let mut out = Vec::new();
    match response {
        ConnectResponse::Accepted { .. } => {
            if response.encode(&mut out).is_ok() {
                assert_eq!(out, &bytes[..used]);
            }
        }
        ConnectResponse::Refused { .. } => {
            response.encode(&mut out).expect("a refusal has no text");
            assert_eq!(ConnectResponse::parse(&out), Ok(Some((response, used))));
        }
    }
}
