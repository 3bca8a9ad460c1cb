//! Servers that are none, or none of ours.

use super::*;

/// What a connection says that is lost to a server which plays `play`.
fn lost_to(form: Option<Form>, play: impl FnOnce(Box<dyn Stream>) + Send + 'static) -> String {
    let (address, thread) = serve(None, play);
    let mut bench = Bench::new(plan(&address, None, form));
    let why = bench.lost();
    drop(bench);
    thread.join().unwrap();
    why
}

/// Reads a request to its end and answers it with the same bytes every time.
fn answers(answer: &str) -> impl FnOnce(Box<dyn Stream>) + Send + 'static {
    let answer = answer.to_owned();
    move |mut stream| {
        read_request(&mut *stream);
        let _ = stream.write_all(answer.as_bytes());
        while stream.read(&mut [0; 1000]).is_ok_and(|count| count > 0) {}
    }
}

fn read_request(stream: &mut dyn Stream) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

#[test]
fn a_web_server_is_quoted_with_what_to_do() {
    for (answer, wanted) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "the server answers 'HTTP/1.1 200 OK' instead of opening a WebSocket; check host, port and path in `url`: this may be a web server, not a push server",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            "the server answers 'HTTP/1.1 403 Forbidden' instead of opening a WebSocket; check `username`, the password and `headers`",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\n\r\n",
            "the server answers 'HTTP/1.1 302 Found' instead of opening a WebSocket; it points to 'https://login.example/': if that is right, put it into `url`",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
            "the server's Sec-WebSocket-Accept does not belong to our request; something between answers in its place",
        ),
        (
            "SSH-2.0-OpenSSH\r\n",
            "the answer to the WebSocket request is not HTTP but begins with 'SSH-2.0-OpenSSH\\r…'; check the scheme and the port in `url`",
        ),
    ] {
        for form in [Form::V4, Form::Zap] {
            let why = lost_to(Some(form), answers(answer));
            assert_eq!(why, wanted);
        }
    }
}

#[test]
fn headers_without_an_end_are_cut_off() {
    let huge = format!(
        "HTTP/1.1 101 Switching Protocols\r\n{}",
        "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(2000)
    );
    let why = lost_to(Some(Form::V4), answers(&huge));
    assert_eq!(why, "the answer to the WebSocket request has more than 16384 bytes of headers");
}

/// Whatever trickles, the handshake has one deadline, and the text says which part of it was waited for.
#[test]
fn a_handshake_that_trickles_ends_at_its_deadline() {
    let trickle = |bytes: &'static [u8]| {
        move |mut stream: Box<dyn Stream>| {
            for byte in bytes.iter().cycle() {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    };
    let authority = Authority::new();
    for (tls, form, bytes, wanted) in [
        (
            false,
            Some(Form::V4),
            &b"HTTP/1.1 101 Switching Protocols\r\nX-A: b\r\nX-A: b\r\nX-A: b\r\n"[..],
            " (the answer to the WebSocket request)",
        ),
        // The head of a TLS record of 16 kB that never gets whole.
        (true, None, &[0x16, 3, 3, 0x3f, 0, 2, 0, 0x3e, 0xf0, 3, 3][..], " (the TLS handshake)"),
        (false, None, &b"\x23\x04\x64\x04idididididididididididididididid"[..], ""),
    ] {
        let (address, thread) = serve(None, trickle(bytes));
        let trusted = tls.then(|| TlsPlan::new("127.0.0.1", &authority.trust()).unwrap());
        let mut plan = plan(&address, trusted, form);
        plan.session.handshake_deadline = Duration::from_millis(400);
        let mut bench = Bench::new(plan);
        let began = Instant::now();
        let why = bench.lost();
        assert_eq!(
            why,
            format!(
                "the server did not finish the handshake within 400ms{wanted}; check the port and the scheme in `url`, or whether the server is overloaded"
            )
        );
        assert!(began.elapsed() >= Duration::from_millis(400));
        drop(bench);
        thread.join().unwrap();
    }
}

#[test]
fn tls_to_a_server_without_it_says_so() {
    let authority = Authority::new();
    let (address, thread) = serve(None, |mut stream| {
        let _ = stream.read(&mut [0; 1000]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        while stream.read(&mut [0; 1000]).is_ok_and(|count| count > 0) {}
    });
    let trusted = TlsPlan::new("127.0.0.1", &authority.trust()).unwrap();
    let mut bench = Bench::new(plan(&address, Some(trusted), Some(Form::V4)));
    assert_eq!(
        bench.lost(),
        "127.0.0.1 does not answer in TLS; check the port in `url`, or take the scheme without TLS (dpt or ws)"
    );
    drop(bench);
    thread.join().unwrap();
}

#[test]
fn broken_frames_and_messages_without_measure_end_the_connection() {
    let frames: [(Vec<u8>, &str); 4] = [
        (
            b"\x81\x80\x00\x00\x00\x00".to_vec(),
            "the server masks its WebSocket frames, which only clients may",
        ),
        (
            b"\x82\x01a".to_vec(),
            "the other side sends binary messages, as later versions of the protocol do; only texts are understood",
        ),
        (
            b"\x81\x7f\x00\x00\x00\x00\x40\x00\x00\x00".to_vec(),
            "a WebSocket frame claims 1073741824 bytes, the limit is 4000000; raise limits.frame if that is right",
        ),
        (
            [&b"\x01\x00"[..], &[&[0x00, 0x7e, 0xff, 0xff][..], &[b'a'; 0xffff]].concat().repeat(62)]
                .concat(),
            "a WebSocket message has more than 4000000 bytes; raise limits.frame if that is right",
        ),
    ];
    for (bytes, wanted) in frames {
        let why = lost_to(Some(Form::V4), move |stream| {
            let mut server = Speaker::new(stream, Some(ServerTunnel::new(ServerConfig::default())));
            server.open();
            let _ = server.stream.write_all(&bytes);
            while server.stream.read(&mut [0; 1000]).is_ok_and(|count| count > 0) {}
        });
        assert_eq!(why, wanted);
    }
}

#[test]
fn a_close_of_the_websocket_is_the_end_of_the_session() {
    let why = lost_to(Some(Form::Zap), |stream| {
        let mut server = Speaker::new(stream, Some(ServerTunnel::new(ServerConfig::default())));
        server.open();
        // Going away, as servers do that are restarted.
        server.stream.write_all(b"\x88\x05\x03\xe9bye").unwrap();
        while server.stream.read(&mut [0; 1000]).is_ok_and(|count| count > 0) {}
    });
    assert_eq!(why, "the other side closed the WebSocket with 1001 (going away): bye");
}
