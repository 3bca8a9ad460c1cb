//! Streams cut anywhere, messages with an echo, bodies within bodies, and all that can be wrong with them.

use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits { packet: 4096, inflated: 200_000, ratio: 100, depth: 3 };

type Seen = Vec<Result<(Operation, Vec<u8>), PacketError>>;

fn drain(decoder: &mut Decoder, seen: &mut Seen) {
    while let Some(next) = decoder.next() {
        seen.push(next.map(|packet| (packet.operation, packet.body.to_vec())));
    }
}

fn stream(bytes: &[u8], step: usize) -> Seen {
    let (mut decoder, mut seen) = (Decoder::new(LIMITS), Vec::new());
    for piece in bytes.chunks(step.max(1)) {
        decoder.push(piece);
        drain(&mut decoder, &mut seen);
    }
    seen
}

fn messages(messages: &[&[u8]]) -> Seen {
    let (mut decoder, mut seen) = (Decoder::new(LIMITS), Vec::new());
    for message in messages {
        decoder.push_message(message);
    }
    drain(&mut decoder, &mut seen);
    assert_eq!(decoder.buffered(), 0);
    seen
}

fn packet(form: BodyForm, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_packet(&mut out, form, Operation::Message, body);
    out
}

fn plain(body: &[u8]) -> Vec<u8> {
    packet(BodyForm::Plain, body)
}

fn message(body: &[u8]) -> Result<(Operation, Vec<u8>), PacketError> {
    Ok((Operation::Message, body.to_vec()))
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn a_decoder_at_rest_holds_no_buffer() {
    let nested = packet(BodyForm::Zlib, &packet(BodyForm::Zlib, &plain(&[b'x'; 3000])));
    let (mut streamed, mut told, mut seen) = (Decoder::new(LIMITS), Decoder::new(LIMITS), Vec::new());
    for _ in 0..20 {
        streamed.push(&nested);
        drain(&mut streamed, &mut seen);
        told.push_message(&nested);
        drain(&mut told, &mut seen);
    }
    assert_eq!(seen.len(), 40);
    for decoder in [&streamed, &told] {
        let memory = size_of::<Decoder>() + decoder.memory();
        assert!(memory <= 512, "{memory} bytes for each of a thousand rooms");
    }
}

#[test]
fn packets_as_real_clients_have_them() {
    let reply = hex("0000001a 0010 0001 00000008 00000001 7b22636f6465223a307d");
    assert_eq!(stream(&reply, 7), [Ok((Operation::JoinReply, br#"{"code":0}"#.to_vec()))]);
    let popularity = hex("00000014 0010 0001 00000003 00000000 000009a2");
    assert_eq!(stream(&popularity, 7), [Ok((Operation::HeartbeatReply, vec![0, 0, 9, 0xa2]))]);
    // Brotli without compression, as the sample of a batch has it.
    let mut batch = hex("00000000 0010 0003 00000005 00000000");
    batch.extend(stored_brotli(&plain(br#"{"cmd":"WATCHED_CHANGE"}"#)));
    let length = batch.len() as u32;
    batch[..4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(stream(&batch, 7), [message(br#"{"cmd":"WATCHED_CHANGE"}"#)]);
}

/// A brotli stream of one block that is not compressed: a window of 16 bits, the block's length in 16 bits, the last block empty.
fn stored_brotli(body: &[u8]) -> Vec<u8> {
    let bits = (body.len() as u32 - 1) << 4 | 1 << 20;
    let mut out = bits.to_le_bytes()[..3].to_vec();
    out.extend_from_slice(body);
    out.push(0x03);
    out
}

#[test]
fn what_is_written_is_what_servers_read() {
    let mut out = Vec::new();
    write_heartbeat(&mut out);
    assert_eq!(out, hex("00000010 0010 0001 00000002 00000001"));
    out.clear();
    write_join(&mut out, "123", &JoinAuth::parse("key = \"k\"\nbuvid = \"b\"\nuid = 7").unwrap());
    let sent = stream(&out, 1);
    let Ok((Operation::Join, body)) = &sent[0] else { panic!("{sent:?}") };
    let wanted = serde_json::json!({"uid": 7, "roomid": 123, "protover": 3, "platform": "web", "type": 2, "key": "k", "buvid": "b"});
    assert_eq!(serde_json::from_slice::<serde_json::Value>(body).unwrap(), wanted);
    out.clear();
    write_join(&mut out, "x1", &JoinAuth::Old { uid: 9 });
    let sent = stream(&out, 100);
    let Ok((_, body)) = &sent[0] else { panic!("{sent:?}") };
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(body).unwrap(),
        serde_json::json!({"roomid": "x1", "uid": 9})
    );
}

#[test]
fn an_answer_to_a_join_is_a_yes_unless_it_states_a_code() {
    for yes in [&b""[..], br#"{"code":0}"#, b"{}", b"[1", br#"{"code":0,"more":[1]}"#] {
        assert_eq!(join_outcome(yes), Ok(()));
    }
    assert_eq!(join_outcome(br#"{"code":-101}"#), Err(-101));
}

#[test]
fn auth_files() {
    assert_eq!(JoinAuth::parse(""), Ok(JoinAuth::default()));
    assert_eq!(JoinAuth::parse("variant = \"old\"\nuid = 3"), Ok(JoinAuth::Old { uid: 3 }));
    let Ok(JoinAuth::Current { extra, protover, .. }) = JoinAuth::parse("protover = 2\ntype = 3") else {
        panic!()
    };
    assert_eq!((protover, &extra["type"]), (2, &3.into()));
    let mistakes = [
        ("uid = -1", "uid must be a whole number, 0 or more"),
        ("protover = 4", "protover must be a whole number from 0 to 3"),
        ("key = 5", "key must be a text"),
        ("variant = \"new\"", "variant must be \"current\" or \"old\""),
        ("since = 1979-05-27", "since must be a text, a number, true, false, a list or a table"),
    ];
    for (text, wanted) in mistakes {
        assert_eq!(JoinAuth::parse(text).unwrap_err().to_string(), wanted);
    }
    let secret = JoinAuth::parse("uid = 1\nkey = \"s3cret").unwrap_err().to_string();
    assert!(secret.starts_with("line 2, column ") && !secret.contains("s3cret"), "{secret}");
    let known = JoinAuth::parse("key = \"s3cret\"\nbuvid = \"s3cret\"").unwrap();
    assert!(!format!("{known:?}").contains("s3cret"));
}

#[test]
fn bodies_within_bodies_come_in_order() {
    let inner = packet(BodyForm::Zlib, &[plain(b"2"), plain(b"3")].concat());
    let batch = packet(BodyForm::Brotli, &[plain(b"1"), inner, plain(b"4")].concat());
    let all = [plain(b"0"), batch, plain(b"5")].concat();
    let wanted: Vec<_> = (b'0'..=b'5').map(|n| message(&[n])).collect();
    assert_eq!(stream(&all, all.len()), wanted);
    assert_eq!(messages(&[&all, &all]), [wanted.clone(), wanted].concat());
}

#[test]
fn an_echo_behind_a_messages_last_packet_is_dropped() {
    let reply = [hex("00000014 0010 0001 00000003 00000000 000009a2"), b"[object Object] and more".to_vec()];
    let one = Ok((Operation::HeartbeatReply, vec![0, 0, 9, 0xa2]));
    assert_eq!(messages(&[&reply.concat(), &plain(b"x")]), [one, message(b"x")]);
}

#[test]
fn what_is_wrong_with_a_message_costs_that_message() {
    let short = &plain(b"abc")[..18];
    let huge = hex("ffffffff 0010 0000 00000005 00000001");
    let seen = messages(&[short, &huge, b"", b"x", &plain(b"ok")]);
    assert_eq!(
        seen,
        [
            Err(PacketError::Cut),
            Err(PacketError::Length { length: u32::MAX, limit: 4096 }),
            Err(PacketError::Cut),
            message(b"ok")
        ]
    );
    assert!(seen.iter().flat_map(|seen| seen.as_ref().err()).all(|error| !error.is_fatal()));
}

#[test]
fn a_stream_out_of_step_ends_it_and_says_so_once() {
    for length in ["00000000", "0000000f", "00001001", "ffffffff"] {
        let mut bytes = plain(b"ok");
        bytes.extend(hex(&format!("{length} 0010 0000 00000005 00000001")));
        bytes.extend(plain(b"never"));
        let seen = stream(&bytes, 5);
        assert_eq!(seen.len(), 2);
        assert!(seen[1].as_ref().is_err_and(PacketError::is_fatal), "{seen:?}");
    }
}

#[test]
fn a_packet_that_is_wrong_is_skipped() {
    let with = |at: usize, byte: u8| {
        let mut bytes = plain(b"body");
        bytes[at] = byte;
        bytes
    };
    let wrong = [
        (with(5, 15), PacketError::Head { head: 15, length: 20 }),
        (with(5, 21), PacketError::Head { head: 21, length: 20 }),
        (with(7, 9), PacketError::Form { form: 9 }),
        (with(7, 2), PacketError::Compression { form: BodyForm::Zlib }),
        (with(7, 3), PacketError::Compression { form: BodyForm::Brotli }),
        (packet(BodyForm::Zlib, &plain(b"cut")[..18]), PacketError::Cut),
        (
            packet(BodyForm::Brotli, b"no packet at all"),
            PacketError::Length { length: 0x6e6f_2070, limit: 200_000 },
        ),
    ];
    for (bytes, error) in wrong {
        assert_eq!(stream(&[bytes, plain(b"ok")].concat(), 3), [Err(error), message(b"ok")]);
    }
    // A longer head is stepped over by its own length.
    let mut long = hex("00000016 0014 0000 00000005 00000001 00000000");
    long.extend(b"ok");
    assert_eq!(stream(&long, 3), [message(b"ok")]);
}

#[test]
fn a_compressed_body_that_ends_early_is_damaged() {
    for form in [BodyForm::Zlib, BodyForm::Brotli] {
        let text: Vec<u8> =
            (0..2000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 7).to_be_bytes()).collect();
        let whole = packet(form, &plain(&text[..1500]));
        let mut cut = whole[..whole.len() - 40].to_vec();
        let length = cut.len() as u32;
        cut[..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(
            stream(&[cut, plain(b"ok")].concat(), 64),
            [Err(PacketError::Compression { form }), message(b"ok")]
        );
    }
}

#[test]
fn bombs_are_refused_before_they_are_held() {
    for form in [BodyForm::Zlib, BodyForm::Brotli] {
        let bomb = packet(form, &plain(&vec![b'a'; 150_000]));
        assert!(bomb.len() < 1_500, "{}", bomb.len());
        assert_eq!(stream(&bomb, 64), [Err(PacketError::Ratio { limit: 100 })]);
        // Many small ones in one body, each within its own ratio: what they unpack to is counted together.
        let small = packet(form, &plain(&vec![b'a'; 60_000]));
        let many = packet(form, &small.repeat(20));
        let seen = stream(&many, 64);
        assert_eq!(seen.iter().filter(|seen| seen.is_ok()).count(), 3);
        let refused = |seen: &&Result<_, PacketError>| seen.as_ref().is_err();
        assert_eq!(seen.iter().find(refused), Some(&Err(PacketError::Inflated { limit: 200_000 })));
    }
}

#[test]
fn nesting_has_an_end() {
    let mut nested = plain(b"deep");
    for _ in 0..3 {
        nested = packet(BodyForm::Zlib, &nested);
    }
    assert_eq!(stream(&nested, 64), [message(b"deep")]);
    let nested = packet(BodyForm::Brotli, &nested);
    assert_eq!(stream(&nested, 64), [Err(PacketError::Depth { limit: 3 })]);
}

#[test]
fn nothing_is_held_at_rest() {
    let mut decoder = Decoder::new(LIMITS);
    let batch = packet(BodyForm::Zlib, &plain(b"x").repeat(50));
    for _ in 0..10 {
        decoder.push(&batch);
        assert_eq!(decoder.buffered(), batch.len());
        let mut seen = Vec::new();
        drain(&mut decoder, &mut seen);
        assert_eq!((seen.len(), decoder.buffered()), (50, 0));
    }
    decoder.push(&batch[..10]);
    assert!(decoder.next().is_none());
    assert_eq!(decoder.buffered(), 10);
}

/// Bytes of whole packets, and what they are to give.
type Packed = (Vec<u8>, Vec<(Operation, Vec<u8>)>);

/// Packets within each other.
fn packets(depth: u32) -> BoxedStrategy<Packed> {
    let body = prop::collection::vec(any::<u8>(), 0..40);
    let single = (any::<u32>(), 0..2_u16, body).prop_map(|(number, form, body)| {
        let (mut out, operation) = (Vec::new(), Operation::from_wire(number));
        write_packet(&mut out, BodyForm::from_wire(form).unwrap(), operation, &body);
        (out, vec![(operation, body)])
    });
    if depth == 0 {
        return single.boxed();
    }
    let packed = (prop::collection::vec(packets(depth - 1), 0..4), 2..4_u16).prop_map(|(parts, form)| {
        let (bytes, wanted): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        (packet(BodyForm::from_wire(form).unwrap(), &bytes.concat()), wanted.concat())
    });
    prop_oneof![3 => single, 1 => packed].boxed()
}

proptest! {
    #[test]
    fn any_cutting_gives_the_same_packets(parts in prop::collection::vec(packets(3), 0..6), step in 1..200_usize) {
        let (bytes, wanted): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let wanted: Seen = wanted.concat().into_iter().map(Ok).collect();
        prop_assert_eq!(&stream(&bytes.concat(), step), &wanted);
        let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(&messages(&bytes), &wanted);
    }

    #[test]
    fn any_bytes_are_bounded(
        parts in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            packets(2).prop_map(|(bytes, _)| bytes),
        ], 0..8),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        step in 1..100_usize,
    ) {
        let mut bytes = parts.concat();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = stream(&bytes, bytes.len());
        prop_assert_eq!(&whole, &stream(&bytes, step));
        let fatal = whole.iter().position(|seen| seen.as_ref().is_err_and(PacketError::is_fatal));
        prop_assert!(fatal.is_none_or(|at| at + 1 == whole.len()));
        for seen in messages(&bytes.chunks(step).collect::<Vec<_>>()) {
            prop_assert!(seen.map_or_else(|error| !error.is_fatal(), |(_, body)| body.len() <= LIMITS.inflated));
        }
    }
}
