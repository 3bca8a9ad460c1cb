//! Events and odds, row by row, as they come: their forms, where they go on after a break, and their ends.

use super::*;

#[test]
fn events_one_a_line() {
    let event = |seq: u64| json!({"seq": seq, "match": "7", "type": "goal", "score": {"home": 1, "away": 0}, "payload": {"a": "x,\"y\""}});
    let stream = |events: &[Value]| {
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        Daemon::answering(vec![format!("{{\"ok\":true,\"result\":null}}\n{lines}")])
    };
    let daemon = stream(&[event(1), event(2)]);
    let ran = daemon.run(&["events", "--since", "0", "--lane", "priority"]);
    assert_eq!((ran.code, ran.out), (Code::Done, format!("{}\n{}\n", event(1), event(2))));
    assert_eq!(daemon.asked(), [json!({"verb": "events", "args": {"since": 0, "lane": "priority"}})]);

    let csv = stream(&[event(1)]).run(&["events", "--format", "csv"]).out;
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("seq,id,revision") && lines[0].ends_with("recovered,payload"));
    assert_eq!(lines[1], r#"1,,,,7,,,goal,,,,,,,,,,,1-0,,,"{""a"":""x,\""y\""""}""#);

    let limited = stream(&[event(1), event(2), event(3)]).run(&["events", "--follow", "--limit", "2"]);
    assert_eq!((limited.code, limited.out.lines().count()), (Code::Done, 2));
    let ended = stream(&[event(1)]).run(&["events", "--follow"]);
    assert_eq!((ended.code, ended.out.lines().count()), (Code::NotRunning, 1));
    let part = |events: &[Value]| {
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        format!("{{\"ok\":true,\"result\":null}}\n{lines}")
    };
    let refused = format!("{}\n", json!({"ok": false, "code": 4, "error": "no recorder"}));
    let daemon = Daemon::answering(vec![part(&[event(1), event(2)]), refused, part(&[event(3)])]);
    let ran = daemon.run(&["events", "--follow", "--lane", "priority"]);
    assert_eq!((ran.code, ran.out.lines().count()), (Code::NotRunning, 3), "it goes on where it was");
    let again = json!({"verb": "events", "args": {"follow": true, "lane": "priority", "since": 2}});
    assert_eq!(daemon.asked()[1..], [again.clone(), again]);
}

#[test]
fn csv_has_its_header_and_quotes_what_would_break_a_line() {
    let rows = |rows: &[Value]| {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        Daemon::answering(vec![format!("{{\"ok\":true,\"result\":null}}\n{lines}")])
    };
    let comment = json!({"seq": 5, "match": "7", "feed": "f", "type": "comment", "lane": "chat", "id": "c",
        "user": "a,b", "text": "he said \"no\"\r\nand left", "amount": null, "at": "T", "feed_at": null});
    let csv = rows(&[comment]).run(&["events", "--lane", "chat", "--format", "csv"]).out;
    let quoted = "5,7,f,comment,chat,c,\"a,b\",\"he said \"\"no\"\"\r\nand left\",,T,\n";
    assert_eq!(csv, format!("seq,match,feed,type,lane,id,user,text,amount,at,feed_at\n{quoted}"));
    let comment = json!({"seq": 5, "match": "7", "type": "comment", "lane": "chat", "user": "a"});
    let daemon = rows(&[comment]);
    let csv =
        daemon.run(&["events", "--type", "comment,retract", "--type", "retract", "--format", "csv"]).out;
    assert_eq!(csv, "seq,match,feed,type,lane,id,user,text,amount,at,feed_at\n5,7,,comment,chat,,a,,,,\n");
    assert_eq!(daemon.asked(), [json!({"verb": "events", "args": {"type": "comment,retract,retract"}})]);
    for (args, columns) in [
        (["--type", "comment", "--format", "csv"], "seq,id,revision"),
        (["--type", "gift", "--format", "csv"], "seq,match,feed,type,lane,id,user"),
    ] {
        let none = rows(&[]).run(&[&["events"][..], &args[..]].concat()).out;
        assert!(none.starts_with(columns) && none.lines().count() == 1, "{none}");
    }
    for args in [["--type", "goals"], ["--type", "goal,gift"]] {
        assert_eq!(rows(&[]).run(&[&["events"][..], &args[..]].concat()).code, Code::Usage);
    }
    let none = rows(&[]).run(&["events", "--lane", "odds", "--format", "csv"]);
    assert_eq!((none.code, none.out.lines().count()), (Code::Done, 1), "the header alone");
}

#[test]
fn a_break_before_the_first_row_loses_none() {
    let begun = || format!("{}\n", json!({"ok": true, "result": {"seq": 41}}));
    let row = format!("{}{}\n", begun(), json!({"seq": 42, "match": "7", "type": "goal"}));
    let daemon = Daemon::answering(vec![begun(), row.clone()]);
    let ran = daemon.run(&["events", "--follow", "--json"]);
    assert_eq!((ran.code, ran.out.lines().count()), (Code::NotRunning, 2), "the row, and why it ends");
    assert_eq!(daemon.asked()[1], json!({"verb": "events", "args": {"follow": true, "since": 41}}));
    // Who asked for some of the past asks for it again, since none of it has come.
    let daemon = Daemon::answering(vec![begun(), row]);
    daemon.run(&["events", "--follow", "--since", "3", "--json"]);
    assert_eq!(daemon.asked()[1], json!({"verb": "events", "args": {"follow": true, "since": 3}}));
}

#[test]
fn events_in_words_name_their_matches() {
    let matches = json!([{"match": "7", "feed": "inplay", "name": "A v B"}]);
    let event = |id: &str| {
        json!({"seq": 1, "match": id, "feed": "inplay", "type": "goal", "side": "home", "minute": 12,
        "at": "2026-01-02T16:20:45.678901Z", "score": {"home": 1, "away": 0}, "payload": {"n": 1}})
    };
    let daemon = Daemon::answering(vec![
        format!("{}\n", json!({"ok": true, "result": matches})),
        format!("{{\"ok\":true,\"result\":null}}\n{}\n{}\n", event("7"), event("8")),
    ]);
    let ran = daemon.run(&["events", "--format", "text"]);
    let expected = "16:20:45 12' GOAL home 1-0 A v B\n16:20:45 12' GOAL home 1-0 8\n";
    assert_eq!((ran.code, ran.out.as_str()), (Code::Done, expected), "{}", ran.err);
}

#[test]
fn odds_of_an_unknown_match_are_an_error() {
    let unknown = "{\"ok\":false,\"code\":1,\"error\":\"no match 7 is known\"}\n";
    for args in [&["odds", "7"][..], &["odds", "7", "--json"]] {
        let none = format!("{}\n", json!({"ok": true, "result": []}));
        let daemon = Daemon::answering(vec![none, unknown.to_owned()]);
        let ran = daemon.run(args);
        assert_eq!(ran.code, Code::Failed, "{args:?}");
        let (out, err) = match args.contains(&"--json") {
            true => ("{\"code\":1,\"error\":\"no match 7 is known\",\"ok\":false}\n", ""),
            false => ("", "touchline: no match 7 is known\n"),
        };
        assert_eq!((ran.out.as_str(), ran.err.as_str()), (out, err), "{args:?}");
        assert_eq!(daemon.asked()[1], json!({"verb": "match", "args": {"match": "7"}}));
    }
    let ran = Daemon::answering(vec![unknown.to_owned()]).run(&["odds", "7", "--follow"]);
    assert_eq!(ran.code, Code::Failed);
    let ran = Daemon::ok(&[json!([]), json!({})]).run(&["odds", "7"]);
    assert_eq!((ran.code, ran.out.as_str()), (Code::Done, "no odds\n"));
}
