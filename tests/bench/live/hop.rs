//! A reader behind the skeleton's sink, as the daemon's reader is behind its recorder: what that hop adds.

use super::cpu::monotonic;
use super::ledger::Ledger;
use super::sink::recognise;
use super::skeleton::FRAME_LIMIT;
use crate::error::{BenchError, While};
use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use touchline_worker::wire::diffusion::{FrameBuffer, MessageType};

/// Reads at `socket`, on a thread that ends with the sink, what the sink passes on.
///
/// # Errors
/// When it cannot listen.
pub fn attach(socket: &Path, ledger: &Arc<Ledger>) -> Result<(), BenchError> {
    let listener = UnixListener::bind(socket).during("listening behind the sink")?;
    let ledger = Arc::clone(ledger);
    thread::Builder::new()
        .name("hop".to_owned())
        .spawn(move || {
            if let Ok((stream, _)) = listener.accept() {
                read(stream, &ledger);
            }
        })
        .during("listening behind the sink")?;
    Ok(())
}

/// A bad frame ends it, which shows as diffs that are never seen.
fn read(mut stream: UnixStream, ledger: &Ledger) {
    let mut buffer = FrameBuffer::new(FRAME_LIMIT);
    loop {
        match stream.read(buffer.spare()) {
            Ok(0) | Err(_) => return,
            Ok(count) => buffer.filled(count),
        }
        let at = monotonic();
        while let Ok(Some(frame)) = buffer.advance() {
            let is_delta = frame.kind().0 == MessageType::Delta;
            let diff = recognise(buffer.first_header(frame), buffer.body(frame)).filter(|_| is_delta);
            if let Some(diff) = diff {
                ledger.seen(diff.number, diff.change, at);
            }
        }
    }
}
