//! The codec against bytes of any kind.

pub(crate) mod captures;

use super::*;
use proptest::prelude::*;

/// A message that owns its texts, to be compared with what is read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    kind: MessageType,
    part: Part,
    encoding: Encoding,
    headers: Vec<u8>,
    body: Vec<u8>,
}

impl Owned {
    fn of(message: &Message<'_>) -> Owned {
        Owned {
            kind: message.kind,
            part: message.part,
            encoding: message.encoding,
            headers: message.headers.text().to_vec(),
            body: message.body.to_vec(),
        }
    }

    fn view(&self) -> Message<'_> {
        Message {
            kind: self.kind,
            part: self.part,
            encoding: self.encoding,
            headers: Headers::from_text(&self.headers),
            body: &self.body,
        }
    }
}

fn any_message() -> impl Strategy<Value = Owned> {
    let header = prop::collection::vec(any::<u8>().prop_filter("no RD", |byte| *byte != RD), 0..30);
    let type_byte = prop_oneof![
        3 => prop::sample::select(MessageType::ALL).prop_map(MessageType::byte),
        1 => any::<u8>(),
    ];
    (type_byte, any::<u8>(), header, prop::collection::vec(any::<u8>(), 0..60)).prop_map(
        |(type_byte, encoding, headers, body)| {
            let (kind, part) = MessageType::from_type_byte(type_byte);
            Owned { kind, part, encoding: Encoding::from_byte(encoding), headers, body }
        },
    )
}

/// Reads `bytes` in pieces of the lengths in `steps`, over and over.
fn read_all(bytes: &[u8], steps: &[usize], limit: u32) -> (Vec<Owned>, Option<WireError>) {
    let mut buffer = FrameBuffer::new(limit);
    let mut seen = Vec::new();
    let mut rest = bytes;
    for step in steps.iter().cycle() {
        let (piece, after) = rest.split_at((*step).min(rest.len()));
        buffer.spare()[..piece.len()].copy_from_slice(piece);
        buffer.filled(piece.len());
        loop {
            match buffer.next_message() {
                Ok(Some(message)) => seen.push(Owned::of(&message)),
                Ok(None) => break,
                Err(error) => return (seen, Some(error)),
            }
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    (seen, None)
}

proptest! {
    #[test]
    fn messages_survive_any_split(
        messages in prop::collection::vec(any_message(), 0..8),
        steps in prop::collection::vec(1usize..40, 1..6),
    ) {
        let mut bytes = Vec::new();
        for owned in &messages {
            message(&mut bytes, &owned.view()).unwrap();
        }
        let (seen, error) = read_all(&bytes, &steps, 1000);
        prop_assert_eq!(error, None);
        prop_assert_eq!(seen, messages);
    }

    #[test]
    fn any_bytes_end_in_an_error_or_wait_for_more(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        step in 1usize..50,
    ) {
        let (seen, _) = read_all(&bytes, &[step], 200);
        prop_assert!(seen.len() <= bytes.len() / FRAME_MIN as usize);
    }

    #[test]
    fn a_view_of_any_bytes_answers_every_question(
        type_byte in any::<u8>(),
        encoding in any::<u8>(),
        content in prop::collection::vec(prop_oneof![any::<u8>(), Just(RD), Just(FD), Just(b'!')], 0..60),
    ) {
        let read = Message::new(type_byte, encoding, &content);
        let _ = (read.topic(), read.selector(), read.ack_id(), read.ping(), read.status(), read.credentials());
        let _ = (read.correlation(), read.selectors().count());
        let records: Vec<&[u8]> = records(read.body).collect();
        prop_assert_eq!(records.join(&RD), read.body);
        for record in records {
            prop_assert_eq!(fields(record).collect::<Vec<_>>().join(&FD), record);
        }
        prop_assert_eq!(read.headers.iter().collect::<Vec<_>>().join(&FD), read.headers.text());
    }

    #[test]
    fn a_request_survives_and_waits_until_it_is_whole(
        head in any::<[u8; 3]>(),
        login in prop::option::of(("[^\x00\x01\x02]{0,9}", "[^\x00\x01\x02]{0,9}")),
        topics in "[^\x00\x01\x02]{0,20}",
        id in prop::option::of("[^\x00\x01\x02]{0,20}"),
        after in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let request = ConnectRequest {
            version: head[0],
            client_type: head[1],
            capabilities: head[2],
            credentials: login.as_ref().map(|(username, password)| Credentials {
                username: username.as_bytes(),
                password: password.as_bytes(),
            }),
            topics: topics.as_bytes(),
            client_id: id.as_deref().map(str::as_bytes),
        };
        let mut bytes = Vec::new();
        request.encode(&mut bytes).unwrap();
        let whole = bytes.len();
        for cut in 0..whole {
            prop_assert_eq!(ConnectRequest::parse(&bytes[..cut]), Ok(None));
        }
        bytes.extend_from_slice(&after);
        prop_assert_eq!(ConnectRequest::parse(&bytes), Ok(Some((request, whole))));
    }

    #[test]
    fn a_response_survives_and_waits_until_it_is_whole(
        version in any::<u8>(),
        code in any::<u8>(),
        id in "[^\x00\x01\x02]{0,20}",
        after in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let code = ResponseCode::from_byte(code);
        let response = if code.is_accepted() {
            ConnectResponse::Accepted { version, code, client_id: id.as_bytes() }
        } else {
            ConnectResponse::Refused { version, code }
        };
        let mut bytes = Vec::new();
        response.encode(&mut bytes).unwrap();
        let needed = if code.is_accepted() { bytes.len() } else { 3 };
        for cut in 0..needed {
            prop_assert_eq!(ConnectResponse::parse(&bytes[..cut]), Ok(None));
        }
        bytes.extend_from_slice(&after);
        prop_assert_eq!(ConnectResponse::parse(&bytes), Ok(Some((response, needed))));
    }

    #[test]
    fn any_handshake_is_read_or_refused_within_its_limit(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        filler in 1u8..,
    ) {
        let _ = (ConnectRequest::parse(&bytes), ConnectResponse::parse(&bytes));
        let mut endless = vec![0x23, 4, 100, 4];
        endless.resize(HANDSHAKE_LIMIT - 1, filler);
        prop_assert_eq!(ConnectResponse::parse(&endless), Ok(None));
        endless.push(filler);
        prop_assert_eq!(ConnectResponse::parse(&endless), Err(HandshakeError::TooLong { limit: HANDSHAKE_LIMIT }));
        prop_assert_eq!(ConnectRequest::parse(&endless), Err(HandshakeError::TooLong { limit: HANDSHAKE_LIMIT }));
    }

    #[test]
    fn an_alias_table_agrees_with_a_plain_list(
        steps in prop::collection::vec((0u8..4, 0u8..5, 0u8..5), 0..60),
    ) {
        // The list: alias to name, newest counts, at most 3.
        let mut plain: Vec<(u8, u8)> = Vec::new();
        let mut table = AliasTable::new(3);
        for (verb, name, alias) in steps {
            match verb {
                0 | 1 => {
                    let known = plain.contains(&(alias, name));
                    plain.retain(|entry| known || (entry.0 != alias && entry.1 != name));
                    let fits = known || plain.len() < 3;
                    if fits && !known {
                        plain.push((alias, name));
                    }
                    prop_assert_eq!(table.learn(&[name], &spelled(alias)), fits);
                }
                2 => {
                    plain.retain(|entry| entry.1 != name);
                    table.forget_name(&[name]);
                }
                _ => {
                    plain.retain(|entry| entry.0 != alias);
                    table.forget_alias(&spelled(alias));
                }
            }
            prop_assert_eq!(table.len(), plain.len());
            for alias in 0..5 {
                let expected = plain.iter().find(|entry| entry.0 == alias).map(|entry| entry.1);
                let found = table.resolve(&spelled(alias)).and_then(|slot| table.name(slot)).map(|name| name[0]);
                prop_assert_eq!(found, expected);
            }
        }
    }
}

/// Aliases of 1 to 13 letters that are easily confused: each begins like the next.
fn spelled(alias: u8) -> Vec<u8> {
    vec![0; usize::from(alias + 1) * 3 - 2]
}

#[test]
fn the_end_of_headers_is_found_wherever_it_is() {
    for (rd, fd) in (0..20).flat_map(|rd| (0..20).map(move |fd| (rd, fd))) {
        let mut content = [0u8; 20];
        content[fd] = FD;
        content[rd] = RD;
        // What comes right after a match is where a wrong carry would show.
        content[19] = RD;
        let read = Message::new(0x15, 0, &content);
        assert_eq!(read.headers.text().len(), rd.min(19));
        let mut bytes = Vec::new();
        message(&mut bytes, &read).unwrap();
        let mut buffer = FrameBuffer::new(100);
        buffer.spare()[..bytes.len()].copy_from_slice(&bytes);
        buffer.filled(bytes.len());
        let frame = buffer.advance().unwrap().unwrap();
        let expected = if fd < rd.min(19) { fd } else { rd.min(19) };
        assert_eq!(buffer.first_header(frame).len(), expected);
        assert_eq!(buffer.body(frame), read.body);
        assert_eq!(buffer.message(frame), read);
    }
}

#[test]
fn every_type_byte_is_written_as_it_was_read_but_the_old_cancel() {
    for byte in 0..=255u8 {
        let (kind, part) = MessageType::from_type_byte(byte);
        let expected = match byte {
            0x2a => 0x30,
            0x6a => 0x70,
            other => other,
        };
        assert_eq!(kind.type_byte(part), expected);
        assert_eq!(Encoding::from_byte(byte).byte(), byte);
        assert_eq!(ResponseCode::from_byte(byte).byte(), byte);
    }
    assert_eq!(MessageType::from_type_byte(0x54), (MessageType::TopicLoad, Part::Fragment));
    assert_eq!(MessageType::from_type_byte(0x2a), (MessageType::CancelFragments, Part::Whole));
    assert_eq!(MessageType::from_type_byte(0x41), (MessageType::Unknown(0x41), Part::Whole));
}

#[test]
fn samples_of_every_common_message_are_written_as_servers_write_them() {
    type Write = fn(&mut Vec<u8>);
    let samples: [(&[u8], Write); 14] = [
        (b"\0\0\0\x10\x16\0base/uuid\x01", |out| subscribe(out, b"base/uuid").unwrap()),
        (b"\0\0\0\x10\x17\0base/uuid\x01", |out| unsubscribe(out, b"base/uuid").unwrap()),
        (b"\0\0\0\x12\x14\0base/uuid!1\x01", |out| {
            load(out, TopicRef::Named { name: b"base/uuid", alias: Some(b"1") }, b"").unwrap();
        }),
        (b"\0\0\0\x0c\x15\0!1\x01abc", |out| delta(out, TopicRef::Alias(b"1"), b"abc").unwrap()),
        (b"\0\0\0\x18\x1e\0base/ack!2\x021n\x01Load", |out| {
            let topic = TopicRef::Named { name: b"base/ack", alias: Some(b"2") };
            FrameWriter::dpt(out, MessageType::TopicLoadAck)
                .topic(topic)
                .header(b"1n")
                .body(b"Load")
                .unwrap();
        }),
        (b"\0\0\0\x11\x1f\0!2\x021o\x01Delta", |out| {
            let topic = TopicRef::Alias(b"2");
            FrameWriter::dpt(out, MessageType::DeltaAck).topic(topic).header(b"1o").body(b"Delta").unwrap();
        }),
        (b"\0\0\0\x09\x20\x001n\x01", |out| ack(out, b"1n").unwrap()),
        (b"\0\0\0\x16\x18\x001398506895345\x020\x01", |out| ping_server(out, b"1398506895345", 0).unwrap()),
        (b"\0\0\0\x14\x19\x001398507630055\x01", |out| ping_client(out, b"1398507630055").unwrap()),
        (b"\0\0\0\x0c\x23\0a!1\x02R\x01", |out| {
            topic_status(out, TopicRef::Named { name: b"a", alias: Some(b"1") }, b"R").unwrap();
        }),
        (b"\0\0\0\x17\x15\0!3\x02U\x01Hello server", |out| {
            FrameWriter::dpt(out, MessageType::Delta)
                .topic(TopicRef::Alias(b"3"))
                .header(b"U")
                .body(b"Hello server")
                .unwrap();
        }),
        (b"\0\0\0\x06\x1d\0", close),
        (b"\0\0\0\x06\x1c\0", abort),
        (b"\0\0\0\x09\x30\0id\x01", |out| {
            FrameWriter::dpt(out, MessageType::CancelFragments).header(b"id").end().unwrap();
        }),
    ];
    for (expected, write) in samples {
        let mut out = b"before".to_vec();
        write(&mut out);
        assert_eq!(
            out.strip_prefix(b"before").unwrap().escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}

#[test]
fn what_would_change_its_meaning_is_not_written() {
    let mut out = b"before".to_vec();
    assert!(matches!(subscribe(&mut out, b"a\x01b"), Err(EncodeError::Header { .. })));
    assert!(matches!(ack(&mut out, b"a\x02b"), Err(EncodeError::Header { .. })));
    assert!(matches!(delta(&mut out, TopicRef::named(b"a!b"), b""), Err(EncodeError::Topic { .. })));
    let bad = Message { headers: Headers::from_text(b"a\x01b"), ..Message::new(0x14, 0, b"") };
    assert!(matches!(message(&mut out, &bad), Err(EncodeError::Header { .. })));
    drop(FrameWriter::dpt(&mut out, MessageType::Delta).header(b"never ended"));
    let refused = ConnectRequest { topics: b"a\x00", ..ConnectRequest::new(0x15, 0) };
    assert_eq!(refused.encode(&mut out), Err(HandshakeError::Text { what: "set of login topics" }));
    let long = [b'a'; HANDSHAKE_LIMIT];
    let refused = ConnectRequest { topics: &long, ..ConnectRequest::new(0x15, 0) };
    assert_eq!(refused.encode(&mut out), Err(HandshakeError::TooLong { limit: HANDSHAKE_LIMIT }));
    assert_eq!(out, b"before");
}

#[test]
fn headers_and_aliases_are_distinguished() {
    let read = Message::new(0x1f, 0, b"!2\x021o\x02mine\x02\x01a\x01");
    assert_eq!(read.topic(), Some(TopicRef::Alias(b"2")));
    assert_eq!(read.ack_id(), Some(&b"1o"[..]));
    assert_eq!(records(read.body).collect::<Vec<_>>(), [&b"a"[..], b""]);
    let named = Message::new(0x23, 0, b"a/b!1\x02R\x01");
    assert_eq!(named.topic(), Some(TopicRef::Named { name: b"a/b", alias: Some(b"1") }));
    assert_eq!(named.status(), Some(TopicStatus::Removed));
    // The browser's client leaves out the last separator.
    assert_eq!(Message::new(0x16, 0, b"a,b,").selectors().collect::<Vec<_>>(), [b"a", b"b"]);
    let ping = Message::new(0x18, 0, b"123\x0212\x01").ping().unwrap();
    assert_eq!((ping.timestamp, ping.queue), (&b"123"[..], Some(12)));
    assert_eq!(Message::new(0x18, 0, b"123\x02+1\x01").ping().unwrap().queue, None);
    assert_eq!(Message::new(0x14, 0, b"").topic(), None);
}

#[test]
fn lengths_are_checked_before_anything_arrives_for_them() {
    for (length, expected) in [
        (1001, WireError::Oversize { length: 1001, limit: 1000 }),
        (u32::MAX, WireError::Oversize { length: u32::MAX, limit: 1000 }),
        (5, WireError::Undersize { length: 5 }),
        (0, WireError::Undersize { length: 0 }),
    ] {
        let (seen, error) = read_all(&u32::to_be_bytes(length), &[1], 1000);
        assert_eq!((seen.len(), error), (0, Some(expected)));
    }
}

#[test]
fn memory_is_bounded_and_given_back() {
    const LIMIT: usize = 1_000_000;
    let mut bytes = Vec::new();
    load(&mut bytes, TopicRef::named(b"t"), &vec![b'x'; LIMIT - 8]).unwrap();
    assert_eq!(bytes.len(), LIMIT);
    let mut buffer = FrameBuffer::new(LIMIT as u32);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        assert!(buffer.next_message().unwrap().is_none());
        let spare = buffer.spare();
        assert!(spare.len() >= READ.min(rest.len()));
        let count = spare.len().min(rest.len()).min(10_000);
        spare[..count].copy_from_slice(&rest[..count]);
        buffer.filled(count);
        rest = &rest[count..];
        assert!(buffer.capacity() <= LIMIT + READ);
    }
    assert_eq!(buffer.next_message().unwrap().unwrap().body.len(), LIMIT - 8);
    for _ in 0..20 {
        subscribe_into(&mut buffer);
    }
    assert!(buffer.capacity() <= 2 * READ, "{} bytes are kept", buffer.capacity());
}

fn subscribe_into(buffer: &mut FrameBuffer) {
    let mut small = Vec::new();
    subscribe(&mut small, b"topic").unwrap();
    buffer.spare()[..small.len()].copy_from_slice(&small);
    buffer.filled(small.len());
    assert_eq!(buffer.next_message().unwrap().unwrap().selector(), Some(&b"topic"[..]));
}

#[test]
fn messages_cut_off_by_full_reads_are_whole_again() {
    let mut bytes = Vec::new();
    let mut numbers = 0..;
    while bytes.len() < 20 * READ {
        let number: u32 = numbers.next().unwrap();
        let body = vec![number.to_le_bytes()[0]; (number as usize * 97) % 3000];
        delta(&mut bytes, TopicRef::named(number.to_string().as_bytes()), &body).unwrap();
    }
    let mut buffer = FrameBuffer::new(10_000);
    let (mut rest, mut expected, mut cut) = (&bytes[..], 0u32, 0);
    while !rest.is_empty() {
        let spare = buffer.spare();
        let (piece, after) = rest.split_at(spare.len().min(rest.len()));
        spare[..piece.len()].copy_from_slice(piece);
        buffer.filled(piece.len());
        while let Some(read) = buffer.next_message().unwrap() {
            assert_eq!(read.topic(), Some(TopicRef::named(expected.to_string().as_bytes())));
            assert_eq!(read.body.len(), (expected as usize * 97) % 3000);
            assert!(read.body.iter().all(|byte| *byte == expected.to_le_bytes()[0]));
            expected += 1;
        }
        cut += usize::from(!buffer.unread().is_empty());
        rest = after;
    }
    assert_eq!(numbers.next(), Some(expected));
    assert!(cut > 3 && buffer.unread().is_empty());
}

#[test]
fn a_handshake_may_be_as_long_as_its_limit_and_no_longer() {
    for (length, is_read) in
        [(HANDSHAKE_LIMIT, true), (HANDSHAKE_LIMIT + 1, false), (2 * HANDSHAKE_LIMIT, false)]
    {
        let mut bytes = vec![0x23, 4, 100, 4];
        bytes.resize(length - 1, b'a');
        bytes.push(NUL);
        assert_eq!(matches!(ConnectResponse::parse(&bytes), Ok(Some((_, used))) if used == length), is_read);
        assert_eq!(matches!(ConnectRequest::parse(&bytes), Ok(Some((_, used))) if used == length), is_read);
    }
}

#[test]
fn a_buffer_whose_messages_nobody_takes_stops_growing() {
    let mut buffer = FrameBuffer::new(10_000);
    let mut offered = 0;
    for _ in 0..100 {
        let count = buffer.spare().len();
        buffer.filled(count);
        offered += count;
    }
    assert_eq!(buffer.spare().len(), 0);
    assert_eq!(offered, buffer.unread().len());
    assert!(buffer.capacity() <= 10_000.max(2 * READ) + READ);
    buffer.filled(usize::MAX);
    assert_eq!(offered, buffer.unread().len());
}

#[test]
fn refusals_of_any_form_are_read() {
    for answer in
        [&b"\x23\x04\x6f"[..], b"\x23\x04\x6f\x00", b"\x23\x04\x6f\x04\x00", b"\x23\x04\x6fwhatever"]
    {
        let refused = ConnectResponse::Refused { version: 4, code: ResponseCode::Rejected };
        assert_eq!(ConnectResponse::parse(answer), Ok(Some((refused, 3))));
    }
    assert_eq!(ResponseCode::Rejected.to_string(), "the server rejects the connection (code 111)");
    assert_eq!(ConnectResponse::parse(b"\x23\x04\x64\x02"), Err(HandshakeError::LengthBytes { bytes: 2 }));
    assert_eq!(ConnectResponse::parse(b"HTTP/1.1"), Err(HandshakeError::Magic { byte: b'H' }));
    assert_eq!(
        ConnectRequest::parse(b"\x23\x04\x15\x07a\x02b\x02c\x01\x00"),
        Err(HandshakeError::Credentials { fields: 3 })
    );
    assert!(!format!("{:?}", Credentials { username: b"guest", password: b"secret" }).contains("secret"));
}
