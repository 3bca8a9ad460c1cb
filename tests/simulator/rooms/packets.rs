//! Commands to packets: one after the other, batched, compressed, nested, with some between them that cannot be read.

use crate::model::random::Random;
use touchline_worker::wire::rooms::{BodyForm, Operation, write_packet};

/// Bytes of packets that go into one batch at most.
const BATCH: usize = 128 * 1024;
/// One batch in so many has another one inside.
const NESTED: usize = 16;

/// The packets of one room's tick, as they are written for each form that a client may ask for.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Plain packets, back to back.
    packets: Vec<u8>,
    /// Where a batch may end.
    ends: Vec<usize>,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.ends.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// One more command.
    pub(super) fn push(&mut self, command: &[u8]) {
        write_packet(&mut self.packets, BodyForm::Plain, Operation::Message, command);
        self.ends.push(self.packets.len());
    }

    /// A packet that costs itself and nothing else.
    pub(super) fn push_garbage(&mut self, random: &mut Random) {
        let bodies: [&[u8]; 4] = [b"{\"cmd\":", b"\xff\xfe\x00garbage", b"[]", b""];
        let body = random.pick(&bodies).copied().unwrap_or_default();
        self.push(body);
    }

    /// Appends everything in `form`, each packet of the wire on its own to `take`.
    pub(super) fn encode(&self, form: BodyForm, random: &mut Random, take: &mut dyn FnMut(&[u8])) {
        let mut wire = Vec::new();
        let mut start = 0;
        while let Some(end) = self.end_after(start) {
            let packets = self.packets.get(start..end).unwrap_or_default();
            wire.clear();
            match form {
                BodyForm::Plain | BodyForm::Control => wire.extend_from_slice(packets),
                BodyForm::Zlib | BodyForm::Brotli if random.below(NESTED) == 0 => {
                    let mut inner = Vec::new();
                    write_packet(&mut inner, BodyForm::Zlib, Operation::Message, packets);
                    write_packet(&mut wire, form, Operation::Message, &inner);
                }
                BodyForm::Zlib | BodyForm::Brotli => {
                    write_packet(&mut wire, form, Operation::Message, packets);
                }
            }
            take(&wire);
            start = end;
        }
    }

    /// The end of the batch that begins at `start`.
    fn end_after(&self, start: usize) -> Option<usize> {
        let from = self.ends.partition_point(|end| *end <= start);
        let upto = self.ends.partition_point(|end| *end <= start + BATCH);
        self.ends.get(upto.max(from + 1).saturating_sub(1)).copied()
    }
}

/// What the wire calls the body of a join's `protover`.
pub(super) fn form_of(protover: u64) -> BodyForm {
    match protover {
        2 => BodyForm::Zlib,
        3 => BodyForm::Brotli,
        _ => BodyForm::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_worker::wire::rooms::{Decoder, Limits};

    #[test]
    fn every_form_says_the_same_and_large_ticks_are_several_packets() {
        let mut batch = Batch::default();
        let commands: Vec<String> =
            (0..2_000).map(|n| format!("{{\"cmd\":\"{n}\",\"x\":\"{}\"}}", "y".repeat(300))).collect();
        for command in &commands {
            batch.push(command.as_bytes());
        }
        for form in [BodyForm::Plain, BodyForm::Zlib, BodyForm::Brotli] {
            let limits = Limits { packet: 4_000_000, inflated: 16_000_000, ratio: 10_000, depth: 4 };
            let (mut decoder, mut seen, mut packets) = (Decoder::new(limits), Vec::new(), 0);
            let mut random = Random::new(1);
            batch.encode(form, &mut random, &mut |packet| {
                packets += 1;
                decoder.push(packet);
                while let Some(packet) = decoder.next() {
                    seen.push(String::from_utf8(packet.unwrap().body.to_vec()).unwrap());
                }
            });
            assert!(packets > 3, "{packets}");
            assert_eq!(seen, commands);
        }
    }
}
