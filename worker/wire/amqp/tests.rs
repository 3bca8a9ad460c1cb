//! The codec against itself, against bytes of the specification, and against bytes of nobody.

use super::*;
use proptest::prelude::*;
use touchline_common::config::Secret;

const LIMIT: usize = 4096;

fn short(text: &str) -> Short {
    Short::new(text).unwrap()
}

/// Frames of `bytes`, read in pieces of `step`.
fn read(bytes: &[u8], step: usize) -> Result<Vec<String>, AmqpError> {
    let mut frames = Frames::new(LIMIT);
    let mut read = Vec::new();
    for piece in bytes.chunks(step.max(1)) {
        frames.push(piece);
        while let Some(frame) = frames.next_frame()? {
            read.push(format!("{frame:?}"));
        }
    }
    Ok(read)
}

fn text() -> impl Strategy<Value = Short> {
    ".{0,60}".prop_map(|text| Short::cut(&text))
}

fn closing() -> impl Strategy<Value = Closing> {
    (any::<u16>(), text(), any::<(u16, u16)>()).prop_map(|(code, text, method)| Closing {
        code,
        text,
        method,
    })
}

fn tuning() -> impl Strategy<Value = Tuning> {
    any::<(u16, u32, u16)>().prop_map(|(channels, frame, heartbeat)| Tuning { channels, frame, heartbeat })
}

fn method() -> impl Strategy<Value = Method> {
    let table = proptest::collection::vec(any::<u8>(), 0..40).prop_map(Table);
    let start = (any::<(u8, u8)>(), table.clone(), ".{0,20}", ".{0,20}");
    let start_ok = (table, text(), ".{0,20}", text());
    let declare = prop_oneof![Just(Declare::Durable), Just(Declare::Passive)];
    let opening = prop_oneof![
        start.prop_map(|(version, properties, mechanisms, locales)| Method::Start {
            version,
            properties,
            mechanisms,
            locales
        }),
        start_ok.prop_map(|(properties, mechanism, response, locale)| Method::StartOk {
            properties,
            mechanism,
            response: Secret::new(response),
            locale
        }),
        tuning().prop_map(Method::Tune),
        tuning().prop_map(Method::TuneOk),
        text().prop_map(|host| Method::Open { host }),
        closing().prop_map(Method::Close),
        closing().prop_map(Method::ChannelClose),
        text().prop_map(|reason| Method::Blocked { reason }),
    ];
    let publishing = prop_oneof![
        (text(), text(), declare).prop_map(|(exchange, kind, declare)| Method::ExchangeDeclare {
            exchange,
            kind,
            declare
        }),
        (text(), text()).prop_map(|(exchange, key)| Method::Publish { exchange, key }),
        (any::<u16>(), text(), text(), text()).prop_map(|(code, text, exchange, key)| Method::Return {
            code,
            text,
            exchange,
            key
        }),
        any::<(u64, bool)>().prop_map(|(tag, multiple)| Method::Ack { tag, multiple }),
        any::<(u64, bool)>().prop_map(|(tag, multiple)| Method::Nack { tag, multiple }),
        any::<u16>().prop_map(|method| Method::Other { class: 99, method }),
    ];
    let plain = proptest::sample::select(vec![
        Method::OpenOk,
        Method::CloseOk,
        Method::Unblocked,
        Method::ChannelOpen,
        Method::ChannelOpenOk,
        Method::ChannelCloseOk,
        Method::ExchangeDeclareOk,
        Method::ConfirmSelect,
        Method::ConfirmSelectOk,
    ]);
    prop_oneof![opening, publishing, plain]
}

fn content() -> impl Strategy<Value = Content> {
    let texts = proptest::array::uniform4(proptest::option::of(text()));
    (any::<u64>(), texts, any::<Option<u8>>()).prop_map(|(length, texts, delivery_mode)| {
        let [content_type, message_id, kind, app_id] = texts;
        Content { length, properties: Properties { content_type, delivery_mode, message_id, kind, app_id } }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(methods in proptest::collection::vec((any::<u16>(), method()), 1..6), step in 1_usize..64) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (channel, method) in methods {
            method.write(channel, &mut bytes);
            expected.push(format!("{:?}", Frame::Method(channel, method)));
        }
        heartbeat(&mut bytes);
        expected.push(format!("{:?}", Frame::Heartbeat));
        prop_assert_eq!(read(&bytes, step).unwrap(), expected);
    }

    #[test]
    fn a_content_comes_back_with_its_properties(content in content(), length in 0_usize..20_000) {
        let sent: Vec<u8> = (0..length).map(|n| n as u8).collect();
        let mut bytes = Vec::new();
        content.write(7, &mut bytes);
        body(&sent, 7, LIMIT, &mut bytes);
        let mut frames = Frames::new(LIMIT);
        let mut received = Vec::new();
        frames.push(&bytes);
        prop_assert_eq!(frames.next_frame().unwrap(), Some(Frame::Header(7, content)));
        while let Some(frame) = frames.next_frame().unwrap() {
            let Frame::Body(7, piece) = frame else { panic!("{frame:?}") };
            prop_assert!(piece.len() < LIMIT - HEAD);
            received.extend_from_slice(piece);
        }
        prop_assert_eq!(received, sent);
    }

    /// In any pieces any bytes give the same frames, then the same error or none.
    #[test]
    fn bytes_of_nobody_do_no_harm(bytes in proptest::collection::vec(prop_oneof![0_u8..12, any::<u8>()], 0..200), step in 1_usize..20) {
        let whole = read(&bytes, bytes.len());
        let pieces = read(&bytes, step);
        prop_assert_eq!(whole, pieces);
    }

    /// Of a method that is cut anywhere nothing is read, or an error.
    #[test]
    fn a_cut_method_is_no_method(method in method(), cut in any::<proptest::sample::Index>()) {
        let mut whole = Vec::new();
        method.write(1, &mut whole);
        let payload = &whole[HEAD..whole.len() - 1];
        let cut = cut.index(payload.len());
        let mut bytes = vec![1, 0, 1];
        bytes.extend_from_slice(&(cut as u32).to_be_bytes());
        bytes.extend_from_slice(&payload[..cut]);
        bytes.push(0xce);
        // The fields of what is unknown are not read.
        prop_assume!(!matches!(method, Method::Other { .. }) || cut < 4);
        prop_assert_eq!(read(&bytes, bytes.len()), Err(AmqpError::Cut));
    }
}

#[test]
fn bytes_are_as_the_specification_writes_them() {
    let mut bytes = Vec::new();
    Method::Ack { tag: 5, multiple: true }.write(1, &mut bytes);
    assert_eq!(bytes, [1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0xce]);
    bytes.clear();
    heartbeat(&mut bytes);
    assert_eq!(bytes, [8, 0, 0, 0, 0, 0, 0, 0xce]);
    bytes.clear();
    Method::Publish { exchange: short("e"), key: short("a.b") }.write(1, &mut bytes);
    assert_eq!(bytes[HEAD..], *b"\x00\x3c\x00\x28\x00\x00\x01e\x03a.b\x00\xce");
    bytes.clear();
    let properties =
        Properties { delivery_mode: Some(2), message_id: Some(short("i")), ..Properties::default() };
    Content { length: 3, properties }.write(1, &mut bytes);
    assert_eq!(bytes[HEAD..], *b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x10\x80\x02\x01i\xce");
    let table =
        Table::default().text(&short("a"), "b").table(&short("c"), &Table::default().set(&short("d")));
    assert_eq!(table.0, *b"\x01aS\x00\x00\x00\x01b\x01cF\x00\x00\x00\x04\x01dt\x01");
}

#[test]
fn properties_that_nobody_asks_for_are_read_over() {
    // Encoding, headers, priority and time of day beside the message's id.
    let mut payload = b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00".to_vec();
    payload.extend_from_slice(&[0b0110_1000, 0b1100_0000]);
    payload.extend_from_slice(b"\x01x\x00\x00\x00\x04\x01dt\x01\x09\x02id\x00\x00\x00\x00\x00\x00\x00\x01");
    let frame = |payload: &[u8]| {
        let length = (payload.len() as u32).to_be_bytes();
        [&[2, 0, 1][..], &length, payload, &[0xce]].concat()
    };
    let mut frames = Frames::new(LIMIT);
    frames.push(&frame(&payload));
    let properties = Properties { message_id: Some(short("id")), ..Properties::default() };
    assert_eq!(frames.next_frame(), Ok(Some(Frame::Header(1, Content { length: 0, properties }))));
    payload[13] |= 1;
    frames.push(&frame(&payload));
    assert!(matches!(frames.next_frame(), Err(AmqpError::Properties { .. })));
}

#[test]
fn what_breaks_the_framing_is_named() {
    for (bytes, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], AmqpError::NotAmqp { first: b'H' }),
        (&b"\x15\x03\x03"[..], AmqpError::NotAmqp { first: 0x15 }),
        (&b"AMQP\x00\x01\x00\x00"[..], AmqpError::Version { theirs: [0, 1, 0, 0] }),
        (&b"\x01\x00\x00\x00\xff\xff\xff"[..], AmqpError::TooLong { length: 0xff_ffff, limit: LIMIT }),
        (&b"\x08\x00\x00\x00\x00\x00\x00\x00"[..], AmqpError::End { byte: 0 }),
        (&b"\x01\x00\x00\x00\x00\x00\x05\x00\x0a\x00\x33\x00\xce"[..], AmqpError::Trailing { bytes: 1 }),
        (&b"\x01\x00\x00\x00\x00\x00\x06\x00\x0a\x00\x3c\x01\xff\xce"[..], AmqpError::Utf8),
    ] {
        assert_eq!(read(bytes, bytes.len()), Err(expected.clone()));
        assert_eq!(read(bytes, 1), Err(expected), "byte by byte");
    }
    assert_eq!(read(b"AMQP\x00", 1), Ok(Vec::new()), "it may still become a version");
    assert!(AmqpError::Version { theirs: [0, 1, 0, 0] }.to_string().contains("1-0-0, not 0-9-1"));
}

#[test]
fn a_password_is_not_shown() {
    let start = Method::StartOk {
        properties: Table::default(),
        mechanism: short("PLAIN"),
        response: Secret::new("\0user\0hunter2".into()),
        locale: short("en_US"),
    };
    assert!(!format!("{start:?}").contains("hunter2"));
}

#[test]
fn long_texts_are_cut_between_characters() {
    let text = "é".repeat(200);
    assert_eq!(Short::new(text.as_str()), None);
    assert_eq!(Short::cut(&text).as_str(), "é".repeat(127));
}
