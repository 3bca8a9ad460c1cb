//! Who gave an order to a sink and waits for its answer.
//!
//! Invariant: each is answered once; where the order is dropped without being carried out, that is the answer. Handed by the recorder's
//! loop to the sink's thread, which answers when what was ordered is stored.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use touchline_common::control::{Answer, Code};

#[derive(Debug)]
pub(super) struct Asker(Option<UnixStream>);

impl Asker {
    pub(super) fn new(socket: OwnedFd) -> Asker {
        let stream = UnixStream::from(socket);
        // Its buffer is empty: a short line fits without waiting.
        let _ = stream.set_nonblocking(true);
        Asker(Some(stream))
    }

    pub(super) fn answer(mut self, answer: &Answer) {
        self.write(answer);
    }

    fn write(&mut self, answer: &Answer) {
        if let Some(mut stream) = self.0.take() {
            // Whoever asked may be gone.
            let _ = stream.write_all(&answer.to_line());
        }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.write(&Answer::refused(Code::Failed, "the sink has ended before it came to this"));
    }
}
