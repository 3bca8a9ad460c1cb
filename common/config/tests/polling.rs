//! Feeds of kind `poll`: what their sources are, and mistakes in them.

use super::*;
use crate::config::{Play, Role};

const API: &str = r#"
[[feed]]
name = "api"
kind = "poll"
[[feed.source]]
name = "matches"
url = "https://h/matches?status=inprogress&key={token:/key}"
list = "/matches"
after = "token"
page = { by = "number", param = "page", size = 100 }
[[feed.source]]
name = "events"
url = "https://h/matches/{ID}/events"
[[feed.source]]
name = "token"
url = "https://h/token"
every = "60s"
"#;

fn mistakes_of(text: &str) -> Vec<String> {
    Config::parse(text, FILE).map_or_else(
        |errors| errors.mistakes().iter().map(|mistake| mistake.message.clone()).collect(),
        |_| Vec::new(),
    )
}

#[test]
fn the_form_of_a_source_says_what_it_is_and_the_topics_follow() {
    let config: Config = toml::from_str(API).unwrap();
    let feed = &config.feed[0];
    assert_eq!(feed.poll.roles(), [Role::List, Role::PerMatch, Role::Step]);
    assert_eq!(feed.diffusion.list_topic, "list");
    assert_eq!(feed.diffusion.match_topics, ["events/{ID}".parse().unwrap()]);
    assert!(feed.break_before_make && feed.matches.is_empty());
    assert_eq!(feed.stale_after, Dur::secs(120), "events are asked for each minute");
    assert_eq!(feed.end_linger, Dur::secs(60), "and once more after their match left the list");
    assert_eq!(mistakes_of(API), Vec::<String>::new());
    let child = Config::from_child_json(&config.to_child_json().unwrap()).unwrap();
    assert_eq!(child, config);
    let again: Config = toml::from_str(&config.to_toml()).unwrap();
    assert_eq!(again, config);
}

#[test]
fn matches_in_play_are_asked_for_as_often_as_is_said_and_others_seldom() {
    let text = API.replace("{ID}/events\"", "{ID}/events\"\nevery = \"7s\"");
    let config: Config = toml::from_str(&text).unwrap();
    let poll = &config.feed[0].poll;
    let seconds = |at: usize, play| poll.every(&poll.source[at], poll.roles()[at], play).as_secs();
    assert_eq!([Play::InPlay, Play::Scheduled].map(|play| seconds(1, play)), [7, 60]);
    assert_eq!([Play::InPlay, Play::Scheduled].map(|play| seconds(0, play)), [5, 5]);
    assert_eq!(config.feed[0].stale_after, Dur::secs(120), "scheduled ones say nothing in between");
}

#[test]
fn documents_are_matches_by_their_names() {
    let text = "[[feed]]\nkind = \"poll\"\n[[feed.source]]\nname = \"a\"\nurl = \"http://h/a\"\n[[feed.source]]\nname = \"b\"\nurl = \"http://h/b\"\n";
    let config: Config = toml::from_str(text).unwrap();
    assert_eq!(config.feed[0].matches, ["a", "b"]);
    assert_eq!(config.feed[0].diffusion.match_topics, ["{ID}".parse().unwrap()]);
    assert_eq!(config.feed[0].diffusion.list_topic, "");
}

#[test]
fn mistakes_in_sources_are_named() {
    let with = |source: &str| format!("{API}[[feed.source]]\nname = \"more\"\n{source}\n");
    for (source, message) in [
        ("url = \"https://h/{ID}\"\nevery = \"0s\"", "no time at all"),
        ("url = \"https://h/{ID}\"\nid = \"x\"", "no JSON pointer"),
        ("url = \"https://h/{ID}\"\nafter = \"nobody\"", "no source is called that"),
        ("url = \"https://h/{ID}/{events:/x}\"", "the url needs an answer of `events`"),
        (
            "url = \"https://h/{ID}/{more:/x}\"\nafter = \"more\"",
            "the sources wait for each other in a circle",
        ),
        ("url = \"https://h/x\"", "a document beside matches"),
        ("url = \"https://h/{ID}\"\npage = { by = \"link\" }", "only a list has pages"),
        ("url = \"file:///x\"", "bad scheme of a url"),
        ("", "a source without a url"),
    ] {
        let found = mistakes_of(&with(source));
        assert!(found.iter().any(|found| found.contains(message)), "{source}: {found:?}");
    }
    let twice = API.replace("name = \"token\"", "name = \"events\"");
    assert!(mistakes_of(&twice).iter().any(|found| found.contains("two sources are called `events`")));
    let none = "[[feed]]\nkind = \"poll\"\n";
    assert!(mistakes_of(none).iter().any(|found| found.contains("without a source")));
}

#[test]
fn keys_come_from_the_environment_or_a_file_and_are_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "hunter2\n").unwrap();
    let text = API.replace(
        "[[feed.source]]\nname = \"matches\"",
        &format!(
            "headers_file = {{ X-Key = {:?} }}\n[[feed.source]]\nname = \"matches\"",
            file.to_str().unwrap()
        ),
    );
    let mut config: Config = toml::from_str(&text).unwrap();
    config.feed[0].secret_headers.values = config.feed[0].read_headers().unwrap();
    for shown in [config.to_toml(), format!("{config:?}"), serde_json::to_string(&config).unwrap()] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let child = Config::from_child_json(&config.to_child_json().unwrap()).unwrap();
    assert_eq!(child.feed[0].headers.expose().get("X-Key").map(String::as_str), Some("hunter2"));
    std::fs::remove_file(&file).unwrap();
    let (key, why) = config.feed[0].read_headers().unwrap_err();
    assert!(key == "headers_file" && why.starts_with("X-Key: "), "{why}");
}

#[test]
fn what_only_polled_feeds_have_is_refused_elsewhere() {
    for key in ["quota_per_day = 5", "source = [{ name = \"a\" }]", "window = 20"] {
        let messages = messages(&format!("[[feed]]\n{key}\n"));
        assert!(messages.len() == 1 && messages[0].contains("feeds that are polled"), "{messages:?}");
    }
}

#[test]
fn a_quota_is_the_pools_in_batches_that_are_spread_over_the_day() {
    for (quota, batch) in [(1, 1), (1_000, 1), (2_881, 1), (100_000, 34), (u64::MAX, u32::MAX)] {
        let text = API.replace(
            "kind = \"poll\"",
            &format!("kind = \"poll\"\nquota_per_day = {}", quota.min(i64::MAX as u64)),
        );
        let config: Config = toml::from_str(&text).unwrap();
        let feed = &config.feed[0];
        assert_eq!(feed.poll.batch(), batch, "{quota}");
        let a_day = feed.connects_per_s * 86_400.0 * f64::from(feed.poll.batch());
        assert!((a_day / feed.poll.quota_per_day as f64 - 1.0).abs() < 1e-9, "{a_day}");
    }
}

#[test]
fn a_socket_pushes_the_matches_of_one_source() {
    let with = |socket: &str| {
        API.replace(
            "[[feed.source]]\nname = \"matches\"",
            &format!("[feed.socket]\n{socket}\n[[feed.source]]\nname = \"matches\""),
        )
    };
    let good = "url = \"wss://ws.h:443/?apiKey={X-Key}\"\nsource = \"events\"";
    assert_eq!(mistakes_of(&with(good)), Vec::<String>::new());
    let config: Config = toml::from_str(&with(good)).unwrap();
    assert_eq!(config.feed[0].poll.socket.changes, ["/changes/added", "/changes/updated"]);
    assert_eq!(toml::from_str::<Config>(&config.to_toml()).unwrap(), config);
    for (socket, message) in [
        ("url = \"dpt://ws.h:443\"\nsource = \"events\"", "bad scheme of a WebSocket"),
        ("url = \"wss://ws.h:443\"\nsource = \"matches\"", "no source's matches"),
        ("url = \"wss://ws.h:443\"", "no source's matches"),
        ("url = \"wss://ws.h:443\"\nsource = \"events\"\nsubscribe = \"{}\"", "asks for no match"),
        ("url = \"wss://ws.h:443\"\nsource = \"events\"\nchanges = [\"x\"]", "no JSON pointer"),
        ("url = \"wss://ws.h:443\"\nsource = \"token\"", "needs its answers"),
    ] {
        let found = mistakes_of(&with(socket));
        assert!(found.iter().any(|found| found.contains(message)), "{socket}: {found:?}");
    }
}
