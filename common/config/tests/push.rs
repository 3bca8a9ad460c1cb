//! Feeds of kind `push`: what is read, printed and refused.

use super::super::*;

const FEED: &str = "[[feed]]\nkind = \"push\"\nurl = \"ws://h:1/x\"\ntopic = \"/t\"\n";
const ASKS: &str = "topics = [\"a\"]\nsubscribe = '{\"op\":\"sub\",\"t\":{TOPICS},\"id\":{N}}'\n";

fn messages(more: &str) -> Vec<String> {
    match Config::parse(&format!("{FEED}{more}"), "t.toml") {
        Ok(_) => Vec::new(),
        Err(errors) => errors.mistakes().iter().map(|one| one.message.clone()).collect(),
    }
}

#[test]
fn all_of_it_is_read_and_what_is_printed_is_read_again() {
    let text = format!(
        "{FEED}{ASKS}{}",
        r#"
username = "u"
password_env = "P"
unsubscribe = '{"op":"unsub","t":{TOPICS}}'
each = '{"channel":"book","id":"{TOPIC}"}'
batch = 20
messages_per_s = 4.5
heartbeat = { every = "10s", send = "ping" }
idle_limit = "40s"
alive = "message"
refusing_codes = [1008, 4401]
packed = "gzip"
items = "/data"
body = "/body"
snapshot = [{ at = "/img", is = true }, { at = "/kind", is = ["SUB_IMAGE", 7], of = "message" }]
delta = { at = "/kind", is = "delta" }
removed = { at = "/gone" }
acknowledged = { at = "/op", is = "subscribed", topic = "/t" }
refused = { at = "/op", is = "error", number = "/id", why = "/text" }
reply = { at = "/ping", send = '{"pong":{VALUE}}' }
merge = { key = "id", amount = "size" }
sequence = { at = "/seq", rule = "previous", from = "/prev" }
held_deltas = 5
[feed.login]
greeting = { at = "/hello" }
send = '{"login":"{USERNAME}","password":"{PASSWORD}"}'
accepted = { at = "/ok" }
refused = { at = "/error", why = "/error" }
deadline = "3s"
[feed.resume]
tokens = { CLK = "/clk", INITIAL = "/initial" }
of = "message"
subscribe = '{"op":"sub","t":{TOPICS},"clk":"{CLK}","initial":"{INITIAL}"}'
[feed.reading]
title = "/name"
"#
    );
    let config = Config::parse(&text, "t.toml").unwrap();
    let feed = config.feed.first().unwrap();
    let push = &feed.push;
    assert_eq!(push.merge, Merge::Keyed(KeyedBy { key: "id".to_owned(), amount: "size".to_owned() }));
    assert_eq!(push.snapshot.0[0].is.0, ["true"]);
    assert_eq!(
        (push.snapshot.0[1].is.0.as_slice(), push.snapshot.0[1].of),
        (&["SUB_IMAGE".to_owned(), "7".to_owned()][..], Of::Message)
    );
    assert_eq!(feed.beats.heartbeat.send.as_str(), "ping");
    assert_eq!(feed.follows().match_topics.first().map(Template::as_str), Some("{ID}"));
    assert_eq!(feed.named_matches().ids, ["a"]);
    let again = Config::parse(&config.to_toml(), "printed").unwrap();
    assert_eq!(again, config);
    assert_eq!(Config::from_child_json(&config.to_child_json().unwrap()).unwrap(), config);
}

#[test]
fn few_lines_are_enough() {
    assert_eq!(messages(ASKS), [""; 0]);
    let one = "topics_file = \"f\"\nsubscribe = '{\"sub\":\"{TOPIC}\"}'\nheartbeat = \"5s\"\nmerge = \"deep-merge\"";
    assert_eq!(messages(one), [""; 0]);
    let list = "subscribe = '{\"sub\":{TOPICS}}'\nlist = { url = \"https://h/x\", items = \"/data\", match_topic = \"m.{ID}\" }";
    assert_eq!(messages(list), [""; 0]);
    let config = Config::parse(&format!("{FEED}{list}"), "t.toml").unwrap();
    let follows = config.feed.first().unwrap().follows();
    assert_eq!(follows.list_topic, LIST_TOPIC);
    assert_eq!(follows.match_topics.first().map(Template::as_str), Some("m.{ID}"));
}

#[test]
fn what_cannot_work_is_refused() {
    for (text, said) in [
        ("topics = [\"a\"]", "without `subscribe` nothing would be followed"),
        ("subscribe = '{\"a\":{TOPICS}}'", "neither topics nor a list"),
        ("topics = [\"a\"]\nsubscribe = '{\"a\":{TOPICS}'", "no JSON with its places filled"),
        ("topics = [\"a\"]\nsubscribe = '{\"a\":1}'", "no place for a topic"),
        ("topics = [\"a\"]\nsubscribe = '{\"a\":{TOPICS},\"b\":\"{TOPIC}\"}'", "one topic and several"),
        (
            "topics = [\"a\"]\nsubscribe = '{\"a\":{TOPICS},\"b\":\"{CLK}\"}'",
            "`{CLK}` stands for nothing here",
        ),
    ] {
        let found = messages(text);
        assert!(found.len() == 1 && found[0].contains(said), "{text}: {found:?}");
    }
    for (more, said) in [
        ("list = { topic = \"l\" }", "either named topics or a list"),
        ("batch = 0", "`batch` is 0"),
        ("messages_per_s = 0.0", "messages per second"),
        ("idle_limit = \"10s\"", "would be given up"),
        ("refusing_codes = [7]", "not a WebSocket's close code"),
        ("matches = [\"a\"]", "`matches` means nothing"),
        ("strategy = \"dumps\"", "held, not taken in turn"),
        ("acknowledged = { at = \"/op\" }", "nothing that is named"),
        ("refused = { topic = \"/t\" }", "where to look was not said"),
        ("snapshot = { at = \"/a/*\" }", "a step that finds"),
        ("merge = { key = \"\" }", "no member by which items are known"),
        ("sequence = { at = \"/n\", rule = \"previous\" }", "the item before"),
        ("sequence = { rule = \"next\" }", "where the number is"),
        ("resume = { tokens = { CLK = \"/clk\" } }", "tokens that are never sent"),
        ("resume = { tokens = { clk = \"/clk\" }, subscribe = '{\"t\":{TOPICS}}' }", "bad word for a token"),
        ("login = { send = '{\"u\":\"{USERNAME}\"}' }", "has a name or a password"),
        ("login = { accepted = { at = \"/ok\" } }", "a login that is not sent"),
        ("reply = { at = \"/ping\" }", "a reply of nothing"),
        ("rooms = [\"a\"]", "for feeds of kind \"rooms\""),
    ] {
        let found = messages(&format!("{ASKS}{more}"));
        assert!(found.len() == 1 && found[0].contains(said), "{more}: {found:?}");
    }
    let wrong = messages(&format!("{ASKS}merge = \"mix\""));
    assert!(wrong[0].contains("no form of deltas"), "{wrong:?}");
    let url = Config::parse(
        "[[feed]]\nkind = \"push\"\nurl = \"tcp://h:1\"\ntopic = \"/t\"\ntopics = [\"a\"]\nsubscribe = '{\"t\":{TOPICS}}'",
        "t",
    );
    assert!(url.unwrap_err().one_line().contains("no push server is over tcp://"));
    let other = Config::parse("[[feed]]\nheartbeat = \"3s\"\nsubscribe = \"x\"", "t").unwrap_err();
    let said: Vec<&str> = other.mistakes().iter().map(|one| one.message.as_str()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
}

#[test]
fn headers_may_come_from_the_environment_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "hunter2\n").unwrap();
    let text = format!("{FEED}{ASKS}headers_file = {{ X-Key = {:?} }}", file.to_str().unwrap());
    let mut config = Config::parse(&text, "t").unwrap_or_else(|errors| panic!("{errors}"));
    config.feed[0].secret_headers.values = config.feed[0].read_headers().unwrap();
    for shown in [config.to_toml(), format!("{config:?}")] {
        assert!(shown.contains("X-Key") && !shown.contains("hunter2"), "{shown}");
    }
    let child = Config::from_child_json(&config.to_child_json().unwrap()).unwrap();
    assert_eq!(child.feed[0].headers.expose()["X-Key"], "hunter2");
    for (more, said) in [
        ("headers_env = { \"X Y\" = \"A\" }", "bad name of a header"),
        ("headers_env = { Upgrade = \"A\" }", "has its own `Upgrade`"),
    ] {
        let found = messages(&format!("{ASKS}{more}"));
        assert!(found.len() == 1 && found[0].contains(said), "{more}: {found:?}");
    }
    let other = Config::parse("[[feed]]\nheaders_env = { A = \"B\" }", "t").unwrap_err();
    assert!(other.one_line().contains("kinds \"poll\" and \"push\""), "{}", other.one_line());
}
