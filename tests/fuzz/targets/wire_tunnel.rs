//! Two tunnels face to face, one of them lied to: what a session would read is always whole DPT messages.
//!
//! The first byte says which form, how far the handshake got and whose side is lied to, the second the size of the pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchline_worker::wire::diffusion::tunnel::{
    ClientTunnel, Form, ServerConfig, ServerTunnel, TunnelConfig, TunnelError,
};
use touchline_worker::wire::diffusion::{ConnectRequest, ConnectResponse, ResponseCode};
use touchline_worker::wire::websocket::Limits;

const LIMITS: Limits = Limits { frame: 4096, inflated: 50_000, ratio: 20 };

fuzz_target!(|input: &[u8]| {
    let Some((&[how, step], lie)) = input.split_first_chunk::<2>() else { return };
    let form = if how & 1 == 0 { Form::V4 } else { Form::Zap };
    let mut client = ClientTunnel::new(
        TunnelConfig {
            form,
            host: "h:1".to_owned(),
            path: String::new(),
            headers: Vec::new(),
            limits: LIMITS,
        },
        [how; 16],
    );
    let mut server = ServerTunnel::new(ServerConfig { limits: LIMITS, ..ServerConfig::default() });
    let mut request = Vec::new();
    let asked = ConnectRequest { topics: b"t", ..ConnectRequest::new(0x15, 0) };
    asked.encode(&mut request).expect("it is short");
    assert_eq!(client.push(&request), request.len());
    let steps = usize::from(how >> 1 & 3);
    for _ in 0..steps {
        settle(&mut client, &mut server);
    }
    let mut seen = Vec::new();
    for piece in lie.chunks(usize::from(step).max(1)) {
        if how & 8 == 0 {
            client.spare()[..piece.len()].copy_from_slice(piece);
            client.filled(piece.len());
            pull(|room| client.pull(room), usize::from(step).max(1), &mut seen);
            assert!(client.is_drained());
        } else {
            server.spare()[..piece.len()].copy_from_slice(piece);
            server.filled(piece.len());
            pull(|room| server.pull(room), usize::from(step).max(1), &mut seen);
            assert!(server.is_drained());
        }
    }
    assert!(seen.len() <= lie.len() * 7 * LIMITS.ratio + LIMITS.inflated * 7, "{}", seen.len());
    if steps == 3 && how & 8 == 0 {
        whole(&seen);
    }
});

/// What each said travels once; the server lets the client in.
fn settle(client: &mut ClientTunnel, server: &mut ServerTunnel) {
    let bytes = client.output().to_vec();
    client.output_sent(bytes.len());
    let mut seen = Vec::new();
    server.spare()[..bytes.len()].copy_from_slice(&bytes);
    server.filled(bytes.len());
    pull(|room| server.pull(room), 1000, &mut seen);
    if !seen.is_empty() {
        let mut answer = Vec::new();
        ConnectResponse::Accepted { version: 4, code: ResponseCode::Ok, client_id: b"c" }
            .encode(&mut answer)
            .expect("it is short");
        assert_eq!(server.push(&answer), answer.len());
    }
    let bytes = server.output().to_vec();
    server.output_sent(bytes.len());
    client.spare()[..bytes.len()].copy_from_slice(&bytes);
    client.filled(bytes.len());
    pull(|room| client.pull(room), 1000, &mut seen);
}

fn pull(mut tunnel: impl FnMut(&mut [u8]) -> Result<usize, TunnelError>, step: usize, seen: &mut Vec<u8>) {
    let mut room = vec![0; step];
    loop {
        match tunnel(&mut room) {
            Ok(0) => return,
            Ok(count) => seen.extend_from_slice(&room[..count]),
            Err(error) => {
                assert_eq!(tunnel(&mut room), Err(error));
                return;
            }
        }
    }
}

fn whole(mut bytes: &[u8]) {
    while let Some(head) = bytes.first_chunk::<4>() {
        let length = u32::from_be_bytes(*head) as usize;
        assert!(length >= 6 && length <= bytes.len());
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty());
}
