//! The options of the simulated server, of `demo` and `simulate`: what they become, and the errors of those that are wrong.

use super::*;

/// The options as they are handed on, which must hold each of these parts.
fn asked(args: &[&str], parts: &[&str]) {
    let asked = touchline(args).asked;
    for part in parts {
        assert!(asked.contains(part), "{part}: {asked}");
    }
}

#[test]
fn the_options_of_demo_and_simulate() {
    asked(
        &["demo"],
        &[
            "transport: Dpt, protocol: V4, ca_file: None, matches: 250, rate: 20000.0, \
             burst: Some(Burst { factor: 10.0, len: 5s, every: 20s }), cap: Some(50), over_cap: Close, seed: 1,",
            "replay: [], replay_speed: 1.0 }, duration: None, dir: None, keep: No, sink: None, output: Text }",
        ],
    );
    let args =
        ["demo", "--matches", "9", "--rate", "2.5", "--for", "5s", "--replay", "a", "b", "--speed", "60"];
    let more = [
        "--dir",
        "d",
        "--keep",
        "--seed",
        "7",
        "--cap",
        "3",
        "--burst",
        "10,200ms,5s",
        "--sink",
        "redis",
        "--json",
    ];
    let wire = ["--transport", "wss", "--protocol", "zap"];
    asked(
        &[&args[..], &more, &wire].concat(),
        &[
            "transport: Wss, protocol: Zap, ca_file: None, matches: 9, rate: 2.5, \
             burst: Some(Burst { factor: 10.0, len: 200ms, every: 5s }), cap: Some(3), over_cap: Close, seed: 7,",
            "replay: [\"a\", \"b\"], replay_speed: 60.0 }, duration: Some(5s), dir: Some(\"d\"), keep: Yes, sink: Some(Redis), output: Json }",
        ],
    );
    asked(
        &["simulate", "--listen", "[::1]:0", "--truth", "127.0.0.1:9", "--churn", "30"],
        &[
            "listen: [::1]:0, transport: Dpt, protocol: V4, ca_file: None, matches: 250, rate: 1000.0, burst: None, cap: None, \
             over_cap: Close, seed: 1, churn: 30.0,",
            "payload: Inplay,",
            "max_depth: None, login: None, session: None, keep_alive: 0ns, on_resume: Queued, encoding: None, fragment_above: None,",
            "truth: Some(127.0.0.1:9), replay: [], replay_speed: 1.0 }, output: Text",
        ],
    );
    asked(&["simulate"], &["listen: 127.0.0.1:8080,"]);
    let args = ["simulate", "--cap", "9", "--over-cap", "thin", "--login", "u:secret", "--session", "t"];
    let more =
        ["--keep-alive", "60s", "--reload-on-resume", "--encoding", "zlib", "--fragment-above", "9000"];
    asked(
        &[&args[..], &more, &["--max-depth", "1000"]].concat(),
        &[
            "cap: Some(9), over_cap: Thin,",
            "max_depth: Some(1000), login: Some(Login { username: \"u\", .. }), session: Some(\"t\"), keep_alive: 60s, \
             on_resume: Reload, encoding: Zlib, fragment_above: Some(9000),",
        ],
    );
    asked(
        &["simulate", "--transport", "dpts", "--ca-file", "ca.pem"],
        &["transport: Dpts, protocol: V4, ca_file: Some(\"ca.pem\")"],
    );
}

#[test]
fn the_options_of_a_server_of_rooms() {
    asked(&["demo", "--feed", "rooms"], &["rooms: 300, rate: 5000.0, spread: 1000.0, seed: 1,"]);
    let args = ["demo", "--feed", "rooms", "--matches", "9", "--rate", "20000", "--seed", "7", "--for", "5s"];
    asked(&args, &["rooms: 9, rate: 20000.0, spread: 1000.0, seed: 7,", "duration: Some(5s), dir: None,"]);
    let args = ["simulate", "--feed", "rooms", "--listen", "127.0.0.1:2243", "--churn", "6"];
    asked(&args, &["RoomOptions { listen: 127.0.0.1:2243,", "rooms: 300, rate: 5000.0,", "churn: 6.0,"]);
}

#[test]
fn the_options_of_an_http_api() {
    asked(&["demo", "--feed", "poll"], &["matches: 50, documents: 0, rate: 100.0, churn: 0.0, seed: 1 }"]);
    let args = ["demo", "--feed", "poll", "--matches", "9", "--rate", "20", "--seed", "7", "--for", "5s"];
    asked(&args, &["matches: 9, documents: 0, rate: 20.0, churn: 0.0, seed: 7 }, duration: Some(5s)"]);
    let args = ["simulate", "--feed", "poll", "--listen", "127.0.0.1:2243", "--churn", "6"];
    asked(&args, &["ApiOptions { listen: 127.0.0.1:2243,", "churn: 6.0,"]);
}

#[test]
fn the_options_of_a_json_push_server() {
    asked(&["demo", "--feed", "push"], &["topics: 2000, rate: 4000.0, seed: 1, cap: 100, over_cap: Error,"]);
    let args = ["simulate", "--feed", "push", "--matches", "9", "--cap", "3", "--over-cap", "no-load"];
    asked(&args, &["topics: 9, rate: 4000.0, seed: 1, cap: 3, over_cap: NoSnapshot,"]);
}

#[test]
fn a_wrong_option_of_the_simulated_server_is_named_with_what_was_expected() {
    const WHOLE: &str = "expected a whole number of at least";
    for (bad, expected) in [
        ("demo --matches 0", "expected at least 1, or --replay FILE with it"),
        ("demo --feed rooms --cap 5", "--cap: a server of --feed rooms has none"),
        ("demo --feed rooms --sink redis", "expected --feed diffusion with it"),
        ("demo --feed rooms --matches 0", "--matches 0: nothing would be followed; expected at least 1"),
        ("demo --feed poll --matches 0", "--matches 0: nothing would be followed; expected at least 1"),
        ("demo --feed poll --cap 5", "--cap: a server of --feed poll has none"),
        ("simulate --feed poll --truth 127.0.0.1:9", "--truth: a server of --feed poll has none"),
        ("simulate --feed rooms --login u:secret", "--login: a server of --feed rooms has none"),
        ("demo --cap 0", "expected a whole number of at least 1"),
        ("demo --cap 5000000000", "--cap: expected a number from 1 to 4294967295"),
        ("demo --burst 1,5s,5s", "expected FACTOR,LEN,EVERY"),
        ("demo --protocol zap --transport dpts", "--protocol zap is spoken over a WebSocket, not over dpts"),
        ("simulate --listen here", "expected an address and a port"),
        ("simulate --transport tcp", "possible values: dpt, dpts, ws, wss"),
        ("simulate --transport", "possible values: dpt, dpts, ws, wss"),
        ("simulate --protocol v3", "possible values: v4, zap"),
        ("simulate --protocol zap", "expected ws or wss"),
        ("simulate --transport ws --ca-file ca.pem", "ws has no certificate; expected dpts or wss"),
        ("simulate --encoding gzip", "possible values: none, zlib, base64"),
        ("simulate --encoding zlib --transport wss", "expected --transport dpt or dpts"),
        ("simulate --fragment-above 0", WHOLE),
        ("simulate --fragment-above 10kB", WHOLE),
        ("simulate --fragment-above -5", WHOLE),
        ("simulate --max-depth 0", WHOLE),
        ("simulate --matches -1", WHOLE),
        ("simulate --rate -5", "expected a number of at least 0"),
        ("simulate --cap x", WHOLE),
        ("simulate --cap 5 --over-cap reset", "possible values: close, error, ignore, no-load, thin"),
        ("simulate --over-cap thin", "expected --cap N with it"),
        ("simulate --reload-on-resume", "expected --keep-alive DUR with it"),
        ("simulate --keep-alive forever", "is not a duration"),
        ("simulate --login secret", "expected USER:PASSWORD"),
        ("simulate --session a,b", "expected what follows S_"),
        ("simulate --session= --matches 1", "expected what follows S_"),
        ("simulate --encodings zlib", "a similar argument exists: '--encoding'"),
    ] {
        let args: Vec<&str> = bad.split(' ').collect();
        let ran = touchline(&args);
        assert_eq!((ran.code, ran.asked.as_str()), (Code::Usage, ""), "{bad}: {}", ran.err);
        assert!(ran.err.contains(expected), "{bad}: {}", ran.err);
        assert!(!ran.err.contains("secret"), "{}", ran.err);
    }
    for good in [
        "demo --matches 0 --replay a",
        "simulate --cap 5 --over-cap thin",
        "simulate --keep-alive 1s --reload-on-resume --session t",
    ] {
        let args: Vec<&str> = good.split(' ').collect();
        assert_eq!(touchline(&args).code, Code::Done, "{good}");
    }
}
