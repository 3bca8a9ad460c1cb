//! `touchline dissect FILE`: a captured conversation, or what a worker recorded, one line for each message, as it is read.
//!
//! Invariants: the file is streamed, never held, compressed or not; passwords are not shown; what came over the wire reaches
//! a terminal only cleaned. A capture that was cut off is printed to its last message, a file that is none ends with code 1.
//! `recording` is for what `record_raw` wrote, `filter` says what is printed, `words` writes an entry as a line, `object` as JSON, `body` is what both say of a
//! message's body.

mod body;
mod filter;
mod object;
mod recording;
mod words;

pub(super) use filter::Filter;

use super::output::{Failure, Outcome, Printer, clean};
use super::{Code, OutputFormat};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, Read};
use touchline_worker::raw::MAGIC;
use touchline_worker::wire::capture::{Dissector, Entries, Entry, Summary};

/// Bytes read at once.
const READ: usize = 64 * 1024;
/// What a file compressed with gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reports what is in `file`; `-` is standard input.
pub(super) fn dissect(file: &str, filter: Filter, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let failed = |why: &dyn std::fmt::Display| Failure::new(Code::Failed, format!("{file}: {why}"));
    let input = open(file).map_err(|error| failed(&error))?;
    let mut lines = Lines { format, filter, out, failure: None };
    let (start, mut input) = begun(input, MAGIC.len()).map_err(|error| failed(&error))?;
    if start == MAGIC {
        let (summary, fault) = recording::recording(input, &mut lines)?;
        lines.summary(&summary)?;
        return fault.map_or(Ok(Code::Done), |fault| Err(failed(&fault)));
    }
    let mut is_cut = false;
    let mut dissector = Dissector::default();
    let mut buffer = vec![0; READ];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                is_cut = true;
                break;
            }
            Err(error) => return Err(failed(&error)),
        };
        let fed = dissector.feed(buffer.get(..count).unwrap_or_default(), &mut lines);
        lines.settle()?;
        fed.map_err(|error| failed(&error))?;
    }
    let summary = dissector.finish(&mut lines).map_err(|error| failed(&error))?;
    lines.settle()?;
    lines.summary(&summary)?;
    if is_cut {
        return Err(failed(&"the compressed data ends early; everything before its end was printed"));
    }
    Ok(Code::Done)
}

/// The bytes of the capture, which gzip may have compressed.
fn open(file: &str) -> io::Result<Box<dyn Read>> {
    let input: Box<dyn Read> = match file {
        "-" => Box::new(io::stdin().lock()),
        path => Box::new(File::open(path)?),
    };
    let (start, whole) = begun(input, GZIP.len())?;
    let plain: Box<dyn Read> =
        if start == GZIP { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
    Ok(plain)
}

/// The first bytes, as many as there are, and all of it with them.
fn begun(mut input: Box<dyn Read>, count: usize) -> io::Result<(Vec<u8>, impl Read)> {
    let mut start = Vec::new();
    input.by_ref().take(count as u64).read_to_end(&mut start)?;
    Ok((start.clone(), io::Cursor::new(start).chain(input)))
}

struct Lines<'a, 'w> {
    format: OutputFormat,
    filter: Filter,
    out: &'a mut Printer<'w>,
    /// The first line that could not be written; nothing is written after it.
    failure: Option<Failure>,
}

impl Lines<'_, '_> {
    fn settle(&mut self) -> Result<(), Failure> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => self.out.flush(),
        }
    }

    fn summary(&mut self, summary: &Summary) -> Result<(), Failure> {
        match self.format {
            OutputFormat::Text => self.out.line(words::of_summary(summary)),
            OutputFormat::Json => self.out.json(&object::of_summary(summary)),
        }
    }
}

impl Entries for Lines<'_, '_> {
    fn entry(&mut self, entry: &Entry<'_>) {
        if self.failure.is_some() || !self.filter.passes(&entry.what) {
            return;
        }
        let written = match self.format {
            OutputFormat::Text => self.out.line(clean(&words::line(entry))),
            OutputFormat::Json => self.out.json(&object::of_entry(entry)),
        };
        self.failure = written.err();
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::{Code, CommandError, Commands, OutputFormat, main_with};
    use serde_json::Value;
    use std::ffi::OsString;
    use std::io::{self, Write};
    use touchline_common::model::{Generation, SlotId};
    use touchline_harness::data;
    use touchline_harness::pcap::{self, Side};
    use touchline_worker::raw::{self, Mark};
    use touchline_worker::wire::diffusion::{
        BodyEncoder, CAN_BASE64, CAN_COMPRESSED, ConnectRequest, ConnectResponse, Encoding, FragmentOf,
        FrameWriter, MessageType, Part, ResponseCode, TopicRef, write_fragments,
    };

    /// No verb here needs more than the command line.
    struct Nobody;

    impl Commands for Nobody {
        fn run(
            &self,
            _: touchline_common::config::Config,
            _: std::path::PathBuf,
        ) -> Result<Code, CommandError> {
            Ok(Code::Failed)
        }
        fn demo(&self, _: crate::cli::DemoOptions) -> Result<Code, CommandError> {
            Ok(Code::Failed)
        }
        fn demo_rooms(
            &self,
            _: crate::cli::DemoOptions<touchline_simulator::RoomOptions>,
        ) -> Result<Code, CommandError> {
            Ok(Code::Failed)
        }
        fn demo_push(
            &self,
            _: crate::cli::DemoOptions<touchline_simulator::push::PushOptions>,
        ) -> Result<Code, CommandError> {
            Ok(Code::Failed)
        }
        fn simulate_push(
            &self,
            _: touchline_simulator::push::PushOptions,
            _: OutputFormat,
        ) -> Result<Code, CommandError> {
            Ok(Code::Failed)
        }
        fn simulate_rooms(
            &self,
            _: touchline_simulator::RoomOptions,
            _: OutputFormat,
        ) -> Result<Code, CommandError> {
            Ok(Code::Failed)
        }
        fn demo_poll(
            &self,
            _: crate::cli::DemoOptions<touchline_simulator::api::ApiOptions>,
        ) -> Result<Code, CommandError> {
            Ok(Code::Failed)
        }
        fn simulate_poll(
            &self,
            _: touchline_simulator::api::ApiOptions,
            _: OutputFormat,
        ) -> Result<Code, CommandError> {
            Ok(Code::Failed)
        }
        fn simulate(&self, _: touchline_simulator::Options, _: OutputFormat) -> Result<Code, CommandError> {
            Ok(Code::Failed)
        }
        fn child(&self, _: crate::pool::Child, _: u32) -> Code {
            Code::Failed
        }
    }

    fn run(args: &[&str], out: &mut dyn Write) -> (Code, String) {
        let mut err = Vec::new();
        let args = ["touchline", "dissect"].iter().chain(args).map(OsString::from);
        let code = main_with(args, &Nobody, out, &mut err);
        (code, String::from_utf8(err).unwrap())
    }

    fn lines(args: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        assert_eq!(run(args, &mut out), (Code::Done, String::new()));
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_capture_is_printed_line_by_line_for_people_and_for_programs() {
        let Some(path) = data::path("diffusion-pcaps/acknowledgements.pcap") else { return };
        let path = path.to_str().unwrap();
        let text = lines(&[path]);
        assert!(
            text[0].starts_with("2014-04-26T") && text[0].contains(" #1 --- connection from "),
            "{}",
            text[0]
        );
        let has = |part: &str| assert!(text.iter().any(|line| line.contains(part)), "{part}: {text:#?}");
        has("C>S connect: version 4, client type 0x15");
        has("S>C delta with acknowledgement topic \"base/ack\" alias \"2\"");
        assert!(text.last().unwrap().starts_with("--- "));
        let json: Vec<Value> =
            lines(&[path, "--json"]).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(json.len(), text.len());
        let ack = json.iter().find(|entry| entry["type_byte"] == 0x1f).unwrap();
        assert_eq!(
            (&ack["topic"], &ack["alias"], &ack["from"]),
            (&"base/ack".into(), &"2".into(), &"server".into())
        );
        assert_eq!(json.last().unwrap()["kind"], "end");
    }

    /// A server that encodes and cuts, and a message that cannot be decoded.
    fn encoded_and_cut() -> Vec<u8> {
        let (mut client, mut server) = (Vec::new(), Vec::new());
        ConnectRequest::new(0x15, CAN_COMPRESSED | CAN_BASE64).encode(&mut client).unwrap();
        ConnectResponse::Accepted { version: 4, code: ResponseCode::Ok, client_id: b"id" }
            .encode(&mut server)
            .unwrap();
        let topic = TopicRef::Named { name: b"t", alias: Some(b"7") };
        let body = |encoding: Encoding, text: &[u8]| {
            let mut there = Vec::new();
            BodyEncoder::default().encode(encoding, text, &mut there);
            there
        };
        let zlib = body(Encoding::Compressed, b"a\x02b\x01c");
        let of = |kind, encoding, correlation| FragmentOf { kind, encoding, topic, correlation };
        let load = of(MessageType::TopicLoad, Encoding::Compressed, b"c1");
        let half = zlib.len().div_ceil(2);
        write_fragments(&mut server, &load, &zlib, half, |_| {}).unwrap();
        for (encoding, text) in
            [(Encoding::Base64, body(Encoding::Base64, b"x")), (Encoding::Compressed, b"no".to_vec())]
        {
            FrameWriter::dpt_with(&mut server, MessageType::Delta, Part::Whole, encoding)
                .topic(TopicRef::Alias(b"7"))
                .body(&text)
                .unwrap();
        }
        let mut pieces = Vec::new();
        for id in [b"c2", b"c3"] {
            let mut ends = Vec::new();
            let mut out = Vec::new();
            let delta = of(MessageType::Delta, Encoding::Plain, id);
            write_fragments(&mut out, &delta, b"abc", 1, |out| ends.push(out.len())).unwrap();
            pieces.extend_from_slice(&out[..ends[1]]);
        }
        server.extend(pieces);
        FrameWriter::dpt(&mut server, MessageType::CancelFragments).header(b"c2").end().unwrap();
        pcap::capture(&[vec![(Side::Client, client), (Side::Server, server)]])
    }

    #[test]
    fn bodies_are_decoded_and_pieces_put_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcap");
        std::fs::write(&path, encoded_and_cut()).unwrap();
        let path = path.to_str().unwrap();
        let text = lines(&[path]);
        let has = |part: &str| assert!(text.iter().any(|line| line.contains(part)), "{part}: {text:#?}");
        has("S>C topic load, part 1 of 2 of \"c1\", topic \"t\" alias \"7\" headers [\"c1\",\"1/2\",");
        has(" zlib body (only a part of it): 78");
        has("S>C topic load, part 2 of 2 of \"c1\", topic ");
        has(
            "S>C topic load, put together from its 2 parts, topic \"t\" alias \"7\" zlib records [[\"a\",\"b\"],[\"c\"]]",
        );
        has("S>C delta topic \"t\" alias \"7\" base64 records [[\"x\"]]");
        has(
            "S>C delta topic \"t\" alias \"7\" zlib body (the compressed body is not a zlib stream, or is damaged): 6e6f",
        );
        has(
            "S>C not whole: delta topic \"t\" alias \"7\" of \"c2\": 2 of its 3 parts came, then it was cancelled",
        );
        has(
            "S>C not whole: delta topic \"t\" alias \"7\" of \"c3\": 2 of its 3 parts came, then nothing more",
        );
        let last = text.last().unwrap();
        assert!(
            last.ends_with(
                "; 1 message put together from pieces; 1 message in pieces cancelled; 1 message in pieces never complete"
            ),
            "{last}"
        );
        let json: Vec<Value> =
            lines(&[path, "--json"]).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(json.len(), text.len());
        let joined = json.iter().find(|entry| entry["joined_parts"] == 2).unwrap();
        assert_eq!(
            (&joined["encoding"], &joined["fragment"], &joined["records"], &joined["topic"]),
            (&"zlib".into(), &false.into(), &serde_json::json!([["a", "b"], ["c"]]), &"t".into())
        );
        let parts: Vec<&Value> = json.iter().filter(|entry| entry["part"]["of"] == "c1").collect();
        assert_eq!(parts.len(), 2);
        assert_eq!((&parts[1]["part"]["number"], &parts[1]["part"]["total"]), (&2.into(), &2.into()));
        let broken = json.iter().find(|entry| entry["body"]["hex"] == "6e6f").unwrap();
        assert!(
            broken["encoding"] == "zlib" && broken["body"]["why"].as_str().unwrap().contains("not a zlib")
        );
        let lost: Vec<&Value> = json.iter().filter(|entry| entry["kind"] == "not_whole").collect();
        assert_eq!(lost.iter().map(|entry| entry["cancelled"] == true).collect::<Vec<_>>(), [true, false]);
        let end = json.last().unwrap();
        assert_eq!(
            (&end["joined"], &end["cancelled"], &end["unfinished"]),
            (&1.into(), &1.into(), &1.into())
        );
    }

    /// Of two connections, the first of which ends in the midst of a message, the second from its midst; then the file ends in a record.
    fn recorded() -> Vec<u8> {
        let mut server = Vec::new();
        let accepted = ConnectResponse::Accepted { version: 4, code: ResponseCode::Ok, client_id: b"id" };
        accepted.encode(&mut server).unwrap();
        let greeting = server.len();
        let mut put = |kind, topic, body: &[u8]| {
            FrameWriter::dpt_with(&mut server, kind, Part::Whole, Encoding::Plain)
                .topic(topic)
                .body(body)
                .unwrap();
        };
        put(MessageType::TopicLoad, TopicRef::Named { name: b"t", alias: Some(b"7") }, b"a\x02b");
        put(MessageType::Delta, TopicRef::Alias(b"7"), b"c");
        let (whole, end) = (server.len() - 1, server.len());
        let mut file = raw::MAGIC.to_vec();
        let worker = Mark::Worker { feed: "f".into(), slot: SlotId(2), generation: Generation(3) };
        raw::put_mark(&mut file, 1, 0, &worker);
        raw::put_bytes(&mut file, 1_000_000, 1, &server[..greeting + 3]);
        raw::put_bytes(&mut file, 2_000_000, 1, &server[greeting + 3..whole]);
        raw::put_mark(&mut file, 3_000_000, 1, &Mark::Lost);
        raw::put_bytes(&mut file, 4_000_000, 2, &server[greeting..end]);
        raw::put_bytes(&mut file, 5_000_000, 2, b"cut");
        file.pop();
        file
    }

    #[test]
    fn what_a_worker_recorded_is_printed_like_a_capture() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.raw");
        std::fs::write(&path, recorded()).unwrap();
        let path = path.to_str().unwrap();
        let text = lines(&[path]);
        let has = |part: &str| assert!(text.iter().any(|line| line.contains(part)), "{part}: {text:#?}");
        has("1970-01-01T00:00:01.000000Z #1 --- a recorded connection begins");
        has("#1 S>C accepted: version 4");
        has("1970-01-01T00:00:02.000000Z #1 S>C topic load topic \"t\" alias \"7\" records [[\"a\",\"b\"]]");
        has("#1 S>C not decoded (the stream ends in the midst of it)");
        has("#2 --- a recorded connection, its beginning is not in the recording");
        has("#2 S>C delta topic \"t\" alias \"7\" records [[\"c\"]]");
        has("{\"what\":\"cut\"}");
        assert_eq!(text.last().unwrap(), "--- 5 records, 2 connections");
        let json: Vec<Value> =
            lines(&[path, "--json"]).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(json.len(), text.len());
        let kinds: Vec<&str> = json.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
        assert_eq!((kinds[0], kinds[1], kinds[2]), ("noted", "recorded", "accepted"));
        assert_eq!(json[0]["note"]["what"], "worker");
        assert_eq!(lines(&[path, "--type", "delta"]).len(), 2, "the delta and the summary");
    }

    #[test]
    fn a_damaged_recording_is_printed_up_to_there_with_code_1() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.raw");
        let mut file = recorded();
        let worker = raw::MAGIC.len() + 8;
        file[worker + 20] ^= 1;
        std::fs::write(&path, file).unwrap();
        let mut out = Vec::new();
        let (code, err) = run(&[path.to_str().unwrap()], &mut out);
        assert!(code == Code::Failed && err.contains("the record at byte 16 is damaged"), "{err}");
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 1, "the summary");
    }

    #[test]
    fn a_compressed_capture_is_read_as_a_plain_one_also_when_it_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (plain, packed, cut) = (path("x.pcap"), path("x.pcap.gz"), path("cut"));
        std::fs::write(&plain, encoded_and_cut()).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&encoded_and_cut()).unwrap();
        let bytes = encoder.finish().unwrap();
        std::fs::write(&packed, &bytes).unwrap();
        assert_eq!(lines(&[packed.as_str()]), lines(&[plain.as_str()]));
        std::fs::write(&cut, &bytes[..bytes.len() - 12]).unwrap();
        let mut out = Vec::new();
        let (code, err) = run(&[cut.as_str()], &mut out);
        assert_eq!(code, Code::Failed);
        assert!(err.contains("cut: the compressed data ends early"), "{err}");
        assert!(String::from_utf8(out).unwrap().contains("connection from"));
    }

    #[test]
    fn only_the_messages_that_are_asked_for_are_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcap");
        std::fs::write(&path, encoded_and_cut()).unwrap();
        let path = path.to_str().unwrap();
        let all = lines(&[path]);
        let only = |args: &[&str], part: &str| {
            let mut found = lines(&[&[path][..], args].concat());
            assert_eq!(found.pop(), all.last().cloned());
            assert!(!found.is_empty() && found.iter().all(|line| line.contains(part)), "{found:#?}");
            found.len()
        };
        let loads = only(&["--type", "topic-load"], " topic load");
        let of_topic = only(&["--topic", "t"], "topic \"t\"");
        assert_eq!((loads, of_topic), (3, all.iter().filter(|line| line.contains("topic \"t\"")).count()));
        assert_eq!(lines(&[path, "--topic", "other"]).len(), 1);
        let (code, err) = run(&[path, "--type", "changes"], &mut Vec::new());
        assert!(code == Code::Usage && err.contains("expected one of: topic load, delta"), "{err}");
    }

    #[test]
    fn no_capture_shows_a_password() {
        for file in ["credentials.pcap", "reconnect.pcap", "wsRejectedConnection.pcap"] {
            let Some(path) = data::path(&format!("diffusion-pcaps/{file}")) else { return };
            let path = path.to_str().unwrap();
            for printed in [lines(&[path]), lines(&[path, "--json"])] {
                assert!(!printed.join("\n").contains("Guest"), "{file}: {printed:#?}");
            }
        }
    }

    #[test]
    fn what_is_no_capture_is_one_line_and_code_1() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcap");
        std::fs::write(&path, b"#!/bin/sh\n").unwrap();
        let (code, err) = run(&[path.to_str().unwrap()], &mut Vec::new());
        assert_eq!(code, Code::Failed);
        assert!(
            err.lines().count() == 1 && err.contains("x.pcap: not a capture: it begins with 23 21"),
            "{err}"
        );
        let (code, err) = run(&["/nowhere/x.pcap"], &mut Vec::new());
        assert!(code == Code::Failed && err.lines().count() == 1, "{err}");
    }

    #[test]
    fn a_closed_pipe_is_success() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcap");
        // A head, and nothing else: the last line finds the pipe closed.
        std::fs::write(&path, [0xd4, 0xc3, 0xb2, 0xa1].iter().chain(&[0; 20]).copied().collect::<Vec<u8>>())
            .unwrap();
        assert_eq!(run(&[path.to_str().unwrap()], &mut Closed), (Code::Done, String::new()));
    }
}
