use super::guess::{Known, Of, guess};
use super::merging::{Deltas, Rule, number_member};
use super::recorded::{Recorded, Said};
use super::text::{Answers, configuration};
use super::*;
use crate::cli::output::Audience;
use crate::cli::verbs;
use touchline_common::config::{FeedConfig, Merge as Configured, SequenceRule};

fn recorded(messages: &[(Said, &str)]) -> Recorded {
    let mut recorded = Recorded::default();
    for (said, text) in messages {
        recorded.add(*said, text.as_bytes()).unwrap();
    }
    recorded
}

fn answers(topic: &str, subscribe: &str) -> Answers {
    Answers {
        name: "new".to_owned(),
        url: "ws://127.0.0.1:1/".to_owned(),
        topics: vec![topic.to_owned()],
        subscribe: subscribe.to_owned(),
        max_subscriptions: 50,
        ..Answers::default()
    }
}

/// The feed that is written, as it is read again.
fn written(answers: &Answers, messages: &[(Said, &str)]) -> (FeedConfig, String) {
    let text = configuration(answers, &recorded(messages)).unwrap();
    let config = Config::parse(&text, "new").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    (config.feed[0].clone(), text)
}

#[test]
fn images_and_ladders_of_several_markets_in_a_message() {
    let messages = [
        (
            Said::Snapshot,
            r#"{"op":"mcm","clk":"a1","mc":[{"id":"1.2","img":true,"marketDefinition":{"status":"OPEN","runners":[{"id":1},{"id":2}]},"rc":[{"id":1,"atb":[[1.5,2],[1.4,3]]},{"id":2,"ltp":3}]}]}"#,
        ),
        (
            Said::Delta,
            "{\"op\":\"mcm\",\"clk\":\"a2\",\"mc\":[{\"id\":\"1.2\",\"rc\":[{\"id\":1,\"atb\":[[1.5,0]]}]}]}\n{\"op\":\"mcm\",\"clk\":\"b3\",\"mc\":[{\"id\":\"1.2\",\"rc\":[{\"id\":2,\"ltp\":4}]}]}",
        ),
        (Said::Ignored, r#"{"op":"mcm","clk":"b4","ct":"HEARTBEAT"}"#),
        (Said::Acknowledged, r#"{"op":"status","id":7,"statusCode":"SUCCESS"}"#),
        (
            Said::Refused,
            r#"{"op":"status","id":8,"statusCode":"FAILURE","errorCode":"LIMIT","marketIds":["1.2"]}"#,
        ),
        (Said::Greeting, r#"{"op":"connection","connectionId":"1-2"}"#),
        (Said::Accepted, r#"{"op":"status","id":1,"statusCode":"SUCCESS"}"#),
    ];
    let answers = Answers {
        login: r#"{"op":"login","key":"{PASSWORD}"}"#.to_owned(),
        username: "me".to_owned(),
        password_env: "KEY".to_owned(),
        ..answers("1.2", r#"{"op":"sub","id":{N},"ids":{TOPICS}}"#)
    };
    let (feed, text) = written(&answers, &messages);
    for line in [
        "items = \"/mc\"",
        "topic = \"/id\"",
        "snapshot = { at = \"/img\", is = true }",
        "ignored = { at = \"/ct\", is = \"HEARTBEAT\", of = \"message\" }",
        "acknowledged = { at = \"/statusCode\", is = \"SUCCESS\", number = \"/id\" }",
        "refused = { at = \"/statusCode\", is = \"FAILURE\", topic = \"/marketIds\", number = \"/id\", why = \"/errorCode\" }",
        "merge = { key = \"id\" }",
    ] {
        assert!(text.lines().any(|written| written == line), "{line}:\n{text}");
    }
    assert!(feed.push.sequence.at.steps().is_empty(), "no number: {text}");
    assert_eq!(feed.push.login.refused.0.len(), 1, "{text}");
    assert!(
        text.contains("accepted = { at = \"/statusCode\", is = \"SUCCESS\", of = \"message\" }"),
        "{text}"
    );
}

#[test]
fn books_whose_deltas_name_the_number_before() {
    let messages = [
        (
            Said::Snapshot,
            r#"{"type":"snapshot","market":"b","seq":7,"bids":[["0.5","1"],["0.4","2"]],"last":"1"}"#,
        ),
        (
            Said::Delta,
            r#"[{"type":"delta","market":"b","prev":7,"seq":9,"bids":[["0.5","0"]]},{"type":"delta","market":"b","prev":9,"seq":12,"bids":[]}]"#,
        ),
        (Said::Ignored, "{\"type\":\"pong\"}\n{\"type\":\"heartbeat\",\"time\":7}"),
        (Said::Acknowledged, r#"{"type":"subscribed","id":1,"markets":["b"]}"#),
    ];
    let (feed, text) = written(&answers("b", r#"{"type":"subscribe","markets":{TOPICS}}"#), &messages);
    let push = &feed.push;
    assert_eq!(push.sequence.rule, SequenceRule::Previous, "{text}");
    assert_eq!((push.sequence.at.to_string(), push.topic.to_string()), ("/seq".into(), "/market".into()));
    assert!(matches!(&push.merge, Configured::Keyed(_)), "{text}");
    assert!(text.contains("ignored = { at = \"/type\", is = [\"pong\", \"heartbeat\"] }"), "{text}");
    assert!(
        text.contains("acknowledged = { at = \"/type\", is = \"subscribed\", topic = \"/markets\" }"),
        "{text}"
    );
}

#[test]
fn scores_in_merge_patches_and_in_operations() {
    let set = (
        Said::Snapshot,
        r#"{"op":"set","topic":"g","seq":1,"data":{"home":{"name":"A"},"away":{"name":"B"},"status":"live","score":{"home":0,"away":0}}}"#,
    );
    let merge = (
        Said::Delta,
        "{\"op\":\"merge\",\"topic\":\"g\",\"seq\":2,\"data\":{\"score\":{\"home\":1}}}\n{\"op\":\"merge\",\"topic\":\"g\",\"seq\":3,\"data\":{\"note\":null}}",
    );
    let end = (Said::Removed, r#"{"op":"end","topic":"g"}"#);
    let of = answers("g", r#"{"subscribe":"{TOPIC}"}"#);
    let (feed, text) = written(&of, &[set, merge, end]);
    assert_eq!(
        (&feed.push.merge, feed.push.sequence.rule),
        (&Configured::Merge, SequenceRule::Next),
        "{text}"
    );
    assert!(
        text.contains("body = \"/data\"") && text.contains("removed = { at = \"/op\", is = \"end\" }"),
        "{text}"
    );
    assert!(text.contains("score = { home = \"/score/home\", away = \"/score/away\" }"), "{text}");
    let patch = (
        Said::Delta,
        r#"{"op":"patch","topic":"g","seq":2,"data":[{"op":"replace","path":"/score/home","value":1}]}"#,
    );
    let (feed, text) = written(&of, &[set, patch]);
    assert_eq!(feed.push.merge, Configured::Patch, "{text}");
    assert!(text.contains("body = \"/data\"\n"), "{text}");
}

#[test]
fn other_shapes() {
    let known = |topic: &str| vec![topic.to_owned()];
    let of = |messages: &[(Said, &str)], topics: &[String]| {
        guess(&recorded(messages), &Known { topics, number: None })
    };
    // An object by topic; documents that replace one another.
    let both = r#"{"data":{"A":{"p":1,"q":2}}}"#;
    let found = of(&[(Said::Snapshot, both), (Said::Delta, both)], &known("A")).unwrap();
    assert_eq!(found.items.unwrap().to_string(), "/data");
    assert_eq!((found.topic.guess, found.merge.guess, found.snapshot.guess), (None, Deltas::Replace, None));
    // An array of one as the body, a word of the message, objects with an amount.
    let snapshot = r#"{"arg":{"symbol":"A"},"action":"all","data":[{"u":4,"b":[{"price":1,"size":2},{"price":2,"size":3}]}]}"#;
    let delta = r#"{"arg":{"symbol":"A"},"action":"some","data":[{"u":6,"b":[{"price":1,"size":0}]}]}"#;
    let found = of(&[(Said::Snapshot, snapshot), (Said::Delta, delta)], &known("A")).unwrap();
    assert_eq!(found.body.unwrap().to_string(), "/data/0");
    assert_eq!(found.merge.guess, Deltas::Keyed { key: "price".into(), amount: "size".into() });
    let sequence = found.sequence.guess.unwrap();
    assert_eq!((sequence.at.to_string().as_str(), &sequence.rule), ("/data/0/u", &Rule::Rising));
    assert_eq!(
        found.snapshot.guess.map(|when| (when.at.to_string(), when.of)),
        Some(("/action".into(), Of::Item))
    );
    // A topic by its name alone is told so; nothing at all is a mistake.
    let found = of(&[(Said::Snapshot, snapshot)], &known("B")).unwrap();
    assert!(
        found.topic.note.contains("by its name alone")
            && found.topic.guess.unwrap().to_string() == "/arg/symbol"
    );
    assert!(of(&[(Said::Snapshot, "[1, \"x\", null]")], &known("B")).is_err());
    assert_eq!(number_member(r#"{"req":{"id":{N}},"t":{TOPICS}}"#).as_deref(), Some("id"));
    assert_eq!(number_member("no {N} JSON"), None);
}

#[test]
fn any_message_is_looked_at_in_little_time_and_what_is_no_json_is_named() {
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let wide = format!("{{\"topic\":\"t\",\"x\":[{}0]}}", "{\"id\":1},".repeat(200_000));
    let all = recorded(&[(Said::Snapshot, &wide), (Said::Delta, &deep)]);
    let topics = ["t".to_owned()];
    let found = guess(&all, &Known { topics: &topics, number: None }).unwrap();
    assert_eq!(found.topic.guess.unwrap().to_string(), "/topic");
    let wrong = Recorded::default().add(Said::Delta, b"{\"a\":1}\n<html>").unwrap_err();
    assert!(wrong.contains("line 2 is no JSON"), "{wrong}");
    assert!(Recorded::default().add(Said::Delta, b"").is_err());
}

/// What the verb prints, with so many answers on a terminal.
fn run(args: &[&str], typed: Option<&str>) -> (Result<Code, Failure>, String, String) {
    let args = ["touchline", "feed", "new"].iter().chain(args);
    let matches = verbs::command().try_get_matches_from(args).unwrap();
    let matches = matches.subcommand_matches("feed").unwrap().subcommand_matches("new").unwrap();
    let (mut printed, mut prompts) = (Vec::new(), Vec::new());
    let mut printer = Printer::new(&mut printed, Audience::Programs);
    let outcome = match typed {
        None => new_feed(matches, &mut Asking::Nobody, OutputFormat::Text, &mut printer),
        Some(typed) => {
            let mut input = typed.as_bytes();
            let mut asking = Asking::Somebody { input: &mut input, prompts: &mut prompts };
            new_feed(matches, &mut asking, OutputFormat::Text, &mut printer)
        }
    };
    printer.flush().unwrap();
    drop(printer);
    (outcome, String::from_utf8(printed).unwrap(), String::from_utf8(prompts).unwrap())
}

#[test]
fn what_is_not_given_is_asked_for_on_a_terminal_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.json");
    std::fs::write(&file, r#"{"topic":"g","data":{"a":1}}"#).unwrap();
    let typed =
        format!("ws://127.0.0.1:1/\ng, h\n{{\"subscribe\":\"{{TOPIC}}\"}}\n\n{}\n\n\n\n\n", file.display());
    let (outcome, printed, prompts) = run(&[], Some(&typed));
    assert!(matches!(outcome, Ok(Code::Done)), "{outcome:?} {prompts}");
    assert!(
        printed.contains("topics = [\"g\", \"h\"]") && printed.contains("topic = \"/topic\""),
        "{printed}"
    );
    assert_eq!(prompts.matches("\n> ").count(), 9, "{prompts}");
    let is_refused = |args: &[&str], said: &str| {
        let (outcome, printed, _) = run(args, None);
        match outcome {
            Err(Failure::Line(Code::Usage, text) | Failure::Report(Code::Usage, text)) => {
                assert!(text.contains(said) && printed.is_empty(), "{text}");
            }
            other => panic!("{other:?}"),
        }
    };
    is_refused(&[], "--url is needed");
    let full = ["--url", "ws://h:1/", "--topics", "g", "--subscribe"];
    is_refused(&[&full[..], &["{TOPIC}"]].concat(), "--snapshot FILE or --delta FILE");
    let file = file.to_str().unwrap();
    // What the rules of the configuration refuse is not printed.
    is_refused(&[&full[..], &["{\"op\":1}", "--snapshot", file]].concat(), "subscribe");
    is_refused(&[&full[..], &["{TOPIC}", "--snapshot", "/nowhere"]].concat(), "--snapshot /nowhere");
}
