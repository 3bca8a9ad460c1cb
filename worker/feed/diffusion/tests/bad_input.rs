//! Everything that can be wrong with each field of each message, and what becomes of it.
//!
//! One row a message: what is wrong, its type byte, its headers with `,` between, its body, and what is expected. After
//! every row the session is open, has reported nothing that the row does not say, and takes the next message as if nothing
//! had been; [`the_table_covers_every_type`] holds that no type is missing.

use super::*;
use crate::wire::diffusion::{BodyError, HeadError};

/// What becomes of a message.
#[derive(Clone, Debug)]
enum Expected {
    /// It is skipped for this reason.
    Skipped(Skip),
    /// It is reported, and nothing is wrong.
    Reported(&'static str),
    /// It is reported, and something about it is counted as malformed.
    ReportedMalformed(&'static str),
    /// Nothing is reported; these bytes answer it.
    Answered(&'static [u8]),
    /// The session ends.
    Ends(&'static str),
}

use Expected::{Answered, Ends, Reported, ReportedMalformed, Skipped};

/// A load of `t` under the alias `a` stands before each row.
struct Row(&'static str, u8, &'static [u8], &'static [u8], Expected);

/// No separator follows the headers.
const BARE: &[u8] = b"\xff";

fn head(error: HeadError) -> Expected {
    Skipped(Skip::Fragment(FragmentError::Head(error)))
}

fn unexpected(kind: MessageType) -> Expected {
    Skipped(Skip::Unexpected(kind))
}

#[rustfmt::skip]
fn table() -> Vec<Row> {
    use MessageType::*;
    let no_topic = |kind| Skipped(Skip::NoTopic(kind));
    vec![
        // Topic load: topic[!alias].
        Row("no header", 0x14, b"", b"x", no_topic(TopicLoad)),
        Row("nothing at all", 0x14, BARE, b"", no_topic(TopicLoad)),
        Row("an empty topic with an alias", 0x14, b"!", b"x", Skipped(Skip::UnknownAlias)),
        Row("an alias that nobody gave", 0x14, b"!zz", b"x", Skipped(Skip::UnknownAlias)),
        Row("an alias instead of a name", 0x14, b"!a", b"x", Reported("load t x")),
        Row("an empty alias", 0x14, b"u!", b"x", Reported("load u x")),
        Row("an alias with marks in it", 0x14, b"u!b!c", b"x", Reported("load u x")),
        Row("user headers", 0x14, b"u,one,,two", b"x", Reported("load u x")),
        Row("no body and no separator", 0x14, b"u", BARE, Reported("load u ")),
        Row("an empty body", 0x14, b"u", b"", Reported("load u ")),
        Row("control characters in the name", 0x14, b"\x00\x08\x7f", b"x", Reported("load \\x00\\x08\\x7f x")),
        // Delta: topic or alias.
        Row("no header", 0x15, b"", b"x", no_topic(Delta)),
        Row("nothing at all", 0x15, BARE, b"", no_topic(Delta)),
        Row("an empty alias", 0x15, b"!", b"x", Skipped(Skip::UnknownAlias)),
        Row("an alias that nobody gave", 0x15, b"!zz", b"x", Skipped(Skip::UnknownAlias)),
        Row("an alias of eight bytes that nobody gave", 0x15, b"!zzzzzzzz", b"x", Skipped(Skip::UnknownAlias)),
        Row("a name without a load", 0x15, b"u", b"x", Reported("delta u x")),
        Row("a name with an alias: deltas give none", 0x15, b"u!q", b"x", Reported("delta u x")),
        Row("an empty header behind", 0x15, b"!a,", b"x", Reported("delta t x")),
        // Load and delta that want an acknowledgement: topic, ack id.
        Row("no header", 0x1e, b"", b"x", no_topic(TopicLoadAck)),
        Row("no ack id", 0x1e, b"u", b"x", ReportedMalformed("load u x")),
        Row("an empty ack id", 0x1e, b"u,", b"x", ReportedMalformed("load u x")),
        Row("an ack id that is no number", 0x1e, b"u,\xff!", b"x", Reported("load u x")),
        Row("too many headers", 0x1e, b"u,1,2,3", b"x", Reported("load u x")),
        Row("no topic but an ack id", 0x1e, b",1n", b"x", no_topic(TopicLoadAck)),
        Row("no header", 0x1f, b"", b"x", no_topic(DeltaAck)),
        Row("no ack id", 0x1f, b"!a", b"x", ReportedMalformed("delta t x")),
        Row("an alias that nobody gave", 0x1f, b"!zz,1", b"x", Skipped(Skip::UnknownAlias)),
        // Ping of the server, echoed: timestamp, queue size.
        Row("no header", 0x18, b"", b"", Skipped(Skip::NoQueue)),
        Row("nothing at all", 0x18, BARE, b"", Skipped(Skip::NoQueue)),
        Row("no queue", 0x18, b"1398506895345", b"", Skipped(Skip::NoQueue)),
        Row("an empty queue", 0x18, b"1398506895345,", b"", Skipped(Skip::NoQueue)),
        Row("a queue that is no number", 0x18, b"1,many", b"", Skipped(Skip::NoQueue)),
        Row("a negative queue", 0x18, b"1,-1", b"", Skipped(Skip::NoQueue)),
        Row("a signed queue", 0x18, b"1,+1", b"", Skipped(Skip::NoQueue)),
        Row("a queue of 2^64", 0x18, b"1,18446744073709551616", b"", Skipped(Skip::NoQueue)),
        Row("a huge queue", 0x18, b"1,18446744073709551615", b"", Reported("queue 18446744073709551615")),
        Row("no timestamp", 0x18, b",5", b"", Reported("queue 5")),
        Row("a timestamp that is no number", 0x18, b"now,5", b"", Reported("queue 5")),
        Row("too many headers, and a body", 0x18, b"1,5,6", b"x", Reported("queue 5")),
        // Ping of the client: timestamp, echoed as it came.
        Row("no header", 0x19, b"", b"", Answered(b"\0\0\0\x07\x19\0\x01")),
        Row("a timestamp that is no number", 0x19, b"now", b"", Answered(b"\0\0\0\x0a\x19\0now\x01")),
        Row("too many headers, and a body that is not echoed", 0x19, b"1,2", b"x", Answered(b"\0\0\0\x0a\x19\x001\x022\x01")),
        // Credentials, and their refusal: nobody logged in within this session.
        Row("a server does not log in", 0x1a, b"user,password", b"", unexpected(Credentials)),
        Row("a refusal that nothing calls for", 0x1b, b"user,password", b"", unexpected(CredentialsRejected)),
        Row("a refusal without headers", 0x1b, b"", b"", unexpected(CredentialsRejected)),
        // Topic status: topic[!alias], status.
        Row("no header", 0x23, b"", b"", Skipped(Skip::NoStatus)),
        Row("nothing at all", 0x23, BARE, b"", Skipped(Skip::NoStatus)),
        Row("no status", 0x23, b"t", b"", Skipped(Skip::NoStatus)),
        Row("no topic", 0x23, b",R", b"", no_topic(TopicStatus)),
        Row("an alias that nobody gave", 0x23, b"!zz,R", b"", Skipped(Skip::UnknownAlias)),
        Row("a topic that nobody asked for", 0x23, b"u,R", b"", Reported("removed u")),
        Row("too many headers, and a body", 0x23, b"u,R,more", b"x", Reported("removed u")),
        // What the protocol does not name is not the removal, and is passed on.
        Row("an unknown status", 0x23, b"t,X", b"", Reported("status t X")),
        Row("an empty status", 0x23, b"t,", b"", Reported("status t ")),
        Row("a small letter", 0x23, b"!a,r", b"", Reported("status t r")),
        // Cancel of fragments: correlation id.
        Row("no header", 0x30, b"", b"", Skipped(Skip::NoCorrelation)),
        Row("nothing open", 0x30, b"c", b"", Skipped(Skip::Fragment(FragmentError::Stray))),
        Row("by the older number", 0x2a, b"", b"", Skipped(Skip::NoCorrelation)),
        Row("an empty id", 0x30, b",x", b"", Skipped(Skip::Fragment(FragmentError::Stray))),
        // What only a client sends, or what answers something that we never ask.
        Row("a subscription", 0x16, b"t", b"", unexpected(Subscribe)),
        Row("an unsubscription", 0x17, b"t", b"", unexpected(Unsubscribe)),
        Row("an acknowledgement", 0x20, b"1n", b"", unexpected(Ack)),
        Row("an acknowledgement of nothing", 0x20, b"", b"", unexpected(Ack)),
        Row("a fetch", 0x21, b"t", b"", unexpected(Fetch)),
        Row("the reply to a fetch", 0x22, b"t,1", b"x", unexpected(FetchReply)),
        Row("a command", 0x24, b"t,c", b"", unexpected(Command)),
        Row("a command topic's load", 0x28, b"t,0,PS", b"x", unexpected(CommandTopicLoad)),
        Row("a command topic's notification", 0x29, b"t,1", b"x", unexpected(CommandTopicNotification)),
        // Types that the protocol does not name.
        Row("type 0", 0x00, b"t", b"x", Skipped(Skip::UnknownType(0x00))),
        Row("the type behind the last", 0x31, b"t", b"x", Skipped(Skip::UnknownType(0x31))),
        Row("a piece of an unknown type", 0x7e, b"t", b"x", Skipped(Skip::UnknownType(0x7e))),
        Row("type 255", 0xff, b"", b"", Skipped(Skip::UnknownType(0xff))),
        // Pieces: topic, correlation, part[/total], size.
        Row("no header", 0x54, b"", b"x", head(HeadError::Topic)),
        Row("nothing at all", 0x54, BARE, b"", head(HeadError::Topic)),
        Row("an empty topic", 0x54, b",c,1/2,9", b"x", head(HeadError::Topic)),
        Row("no correlation", 0x54, b"t", b"x", head(HeadError::Part)),
        Row("an empty correlation", 0x54, b"t,,1/2,9", b"x", head(HeadError::Id)),
        Row("no part", 0x54, b"t,c", b"x", head(HeadError::Part)),
        Row("part 0", 0x54, b"t,c,0", b"x", head(HeadError::Part)),
        Row("part 1 without its total", 0x54, b"t,c,1", b"x", head(HeadError::Part)),
        Row("a total of 0", 0x54, b"t,c,1/0", b"x", head(HeadError::Part)),
        Row("part 2 with a total", 0x54, b"t,c,2/3", b"x", head(HeadError::Part)),
        Row("a part that is no number", 0x54, b"t,c,x", b"x", head(HeadError::Part)),
        Row("a negative part", 0x54, b"t,c,-1", b"x", head(HeadError::Part)),
        Row("a part of 2^32", 0x54, b"t,c,4294967296", b"x", head(HeadError::Part)),
        Row("a total of 2^32", 0x54, b"t,c,1/4294967296", b"x", head(HeadError::Part)),
        Row("too many parts", 0x54, b"t,c,1/4294967295", b"x", Skipped(Skip::Fragment(FragmentError::Parts { total: 4_294_967_295 }))),
        Row("part 2 of nothing", 0x54, b"t,c,2", b"x", Skipped(Skip::Fragment(FragmentError::Stray))),
        Row("a size of 2^64", 0x54, b"t,c,1/1,18446744073709551616", b"x", Reported("load t x")),
        Row("too large a size", 0x54, b"t,c,1/2,18446744073709551615", b"x", Skipped(Skip::Fragment(FragmentError::TooLong { limit: 16_000_000 }))),
        Row("a size that is no number", 0x54, b"t,c,1/1,big", b"x", Reported("load t x")),
        Row("all of it in one piece", 0x54, b"t,c,1/1,1", b"x", Reported("load t x")),
        Row("an alias that nobody gave, in one piece", 0x55, b"!zz,c,1/1,1", b"x", Skipped(Skip::UnknownAlias)),
        Row("a delta in one piece", 0x55, b"!a,c,1/1,1", b"x", Reported("delta t x")),
        Row("an ack id but no correlation", 0x5e, b"t,,1n,1/1,1", b"x", head(HeadError::Id)),
        Row("no ack id", 0x5e, b"t,c,1/1,1", b"x", ReportedMalformed("load t x")),
        Row("an empty ack id", 0x5f, b"t,c,1/1,1,", b"x", head(HeadError::Id)),
        Row("a piece of a ping", 0x58, b"t,c,1/1,1", b"x", head(HeadError::Kind(PingServer))),
        Row("a piece of a close", 0x5d, b"t,c,1/1,1", b"x", head(HeadError::Kind(Close))),
        Row("a piece of a cancel", 0x70, b"t,c,1/1,1", b"x", head(HeadError::Kind(CancelFragments))),
        // The two that end a session do so whatever comes with them.
        Row("a close with headers and a body", 0x1d, b"t", b"x", Ends("the server closed the connection; its log says why")),
        Row("an abort with headers and a body", 0x1c, b"t", b"x", Ends("the server aborted the session; its log says why (banned, or too slow a reader)")),
    ]
}

fn frame(kind: u8, encoding: u8, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    if headers != BARE {
        content.extend(headers.iter().map(|byte| if *byte == b',' { diffusion::FD } else { *byte }));
        if body != BARE {
            content.push(diffusion::RD);
            content.extend_from_slice(body);
        }
    }
    let mut frame = (content.len() as u32 + 6).to_be_bytes().to_vec();
    frame.extend_from_slice(&[kind, encoding]);
    frame.extend_from_slice(&content);
    frame
}

fn begun() -> Bench {
    let mut bench = Bench::open(quiet());
    bench.receive(&load("t", "a", ""));
    bench.take_reported();
    bench
}

#[test]
fn each_row_does_what_it_says_and_no_more() {
    for Row(wrong, kind, headers, body, expected) in table() {
        let row = format!("{kind:#04x} {wrong}");
        let mut bench = begun();
        bench.receive(&frame(kind, 0, headers, body));
        let errors = bench.session.errors();
        let (reported, skipped, output) = (bench.take_reported(), bench.skipped.clone(), bench.output());
        match expected {
            Skipped(why) => {
                assert_eq!((reported.len(), &skipped[..]), (0, &[why][..]), "{row}");
                // A missing ack id counts on its own.
                assert!(errors >= 1 && !why.to_string().is_empty(), "{row}");
            }
            Reported(event) => {
                assert_eq!((&reported[..], skipped.len()), (&[event.to_owned()][..], 0), "{row}");
            }
            ReportedMalformed(event) => {
                assert_eq!((&reported[..], skipped.len()), (&[event.to_owned()][..], 0), "{row}");
                assert_eq!(errors, 1, "{row}");
            }
            Answered(bytes) => {
                assert_eq!((reported.len(), skipped.len(), errors), (0, 0, 0), "{row}");
                assert_eq!(output, bytes, "{row}");
            }
            Ends(why) => {
                assert_eq!(reported, [format!("lost: {why}")], "{row}");
                continue;
            }
        }
        assert_eq!(bench.session.state(), &State::Open, "{row}");
        bench.skipped.clear();
        bench.receive(&bytes(|out| diffusion::load(out, TopicRef::named(b"next"), b"y").unwrap()));
        assert_eq!(
            (bench.take_reported(), bench.skipped.len()),
            (vec!["load next y".to_owned()], 0),
            "{row}"
        );
    }
}

#[test]
fn what_would_be_reported_is_skipped_where_its_body_is_not_what_the_encoding_says() {
    for Row(wrong, kind, headers, body, expected) in table() {
        let tells_a_body = match expected {
            Reported(event) | ReportedMalformed(event) => {
                event.starts_with("load") || event.starts_with("delta")
            }
            Skipped(_) | Answered(_) | Ends(_) => false,
        };
        if !tells_a_body {
            continue;
        }
        let (body, zlib) =
            if body == b"x" { (&b"**"[..], BodyError::Zlib) } else { (body, BodyError::CutOff) };
        for (byte, error) in [
            (0x11, BodyError::Encrypted),
            (0x12, zlib),
            (0x13, BodyError::Base64),
            (0x99, BodyError::Unknown { byte: 0x99 }),
        ] {
            // Nothing at all is base64 of nothing.
            if byte == 0x13 && body != b"**" {
                continue;
            }
            let mut bench = begun();
            bench.receive(&frame(kind, byte, headers, body));
            let row = format!("{kind:#04x} {wrong}, encoding {byte:#04x}");
            assert_eq!((&bench.skipped[..], bench.reported.len()), (&[Skip::Body(error)][..], 0), "{row}");
            assert_eq!(bench.session.state(), &State::Open, "{row}");
        }
    }
}

#[test]
fn the_table_covers_every_type() {
    let rows = table();
    for kind in MessageType::ALL {
        assert!(rows.iter().any(|row| row.1 == kind.byte()), "{kind} is missing");
    }
}
