//! Feeds of kind `rooms`: what they take, what they refuse, what they make of the names that all kinds have.

use super::*;

const ROOMS: &str = "[[feed]]\nkind = \"rooms\"\nurl = \"tcp://h:2243\"\n";

fn with(text: &str) -> String {
    format!("{ROOMS}{text}\n")
}

#[test]
fn named_rooms_and_a_ranking_are_read_and_written() {
    for text in [
        "rooms = [\"7\", \"8\"]",
        "rooms = [\"7\"]\nrooms_file = \"f\"",
        "rooms_file = \"f\"\nhosts = [\"ws://i:2244/sub\", \"wss://[::1]:443\"]\nheaders = { a = \"b\" }",
        "rooms = [\"7\"]\nusers = \"hash\"\nheartbeat = \"20s\"\nmax_rooms = 300\nmax_per_address = 50\nauth_file = \"f\"",
        "ranking = { url = \"https://h/top?n=9\", every = \"30s\", list = \"\", id = \"/id\", top = 9 }",
    ] {
        let config = Config::parse(&with(text), FILE).unwrap_or_else(|errors| panic!("{text}: {errors}"));
        let written = config.to_toml();
        assert!(written.contains("max_rooms") && !written.contains("match_topics"), "{written}");
        assert_eq!(
            Config::parse(&written, FILE).unwrap_or_else(|errors| panic!("{errors}")),
            config,
            "{text}"
        );
    }
}

#[test]
fn a_room_is_stale_no_sooner_than_a_second_heartbeat_is_answered() {
    let stale_after = |text: &str| {
        let config = Config::parse(&with(&format!("rooms = [\"7\"]\n{text}")), FILE).unwrap();
        config.feed.first().map(|feed| feed.stale_after)
    };
    assert_eq!(stale_after("heartbeat = \"60s\""), Some(Dur::secs(120)));
    assert_eq!(stale_after("stale_after = \"10s\""), Some(Dur::secs(60)));
    assert_eq!(stale_after("stale_after = \"90s\""), Some(Dur::secs(90)));
}

#[test]
fn what_rooms_cannot_be_is_said() {
    for (text, message) in [
        ("", "a feed with neither rooms nor a ranking would follow nothing"),
        (
            "rooms = [\"7\"]\nranking = { url = \"http://h/\" }",
            "a feed has either named rooms or a ranking, not both",
        ),
        ("rooms = [\"7\", \"7\"]", "the room is named twice"),
        ("rooms = [\"\"]", "bad id of a room"),
        ("rooms = [\"a\\tb\"]", "a control character in it"),
        ("rooms = [\"7\"]\nhosts = [\"dpt://h:1\"]", "no rooms are over dpt://"),
        ("rooms = [\"7\"]\nmax_rooms = 0", "`max_rooms` is 0"),
        ("rooms = [\"7\"]\nmax_per_address = 0", "`max_per_address` is 0"),
        ("rooms = [\"7\"]\nheartbeat = \"0s\"", "no time at all"),
        ("ranking = { url = \"ftp://h/\" }", "not an address of a ranking"),
        ("ranking = { url = \"http:///top\" }", "not an address of a ranking"),
        ("ranking = { url = \"http://h\", id = \"roomid\" }", "`id` is no JSON pointer"),
        ("ranking = { url = \"http://h\", every = \"0s\" }", "no time at all"),
        ("ranking = { url = \"http://h\", top = 0 }", "`top` is 0, so no room would be followed"),
        ("rooms = [\"7\"]\nmatches = [\"7\"]", "`matches` means nothing for a feed of kind \"rooms\""),
        (
            "rooms = [\"7\"]\nmax_subscriptions = 9",
            "`max_subscriptions` means nothing for a feed of kind \"rooms\"",
        ),
        ("rooms = [\"7\"]\nstrategy = \"dumps\"", "a room has no load that could be taken and let go"),
        ("rooms = [\"7\"]\nlist_topic = \"x\"", "`list_topic` is for feeds of kind \"diffusion\""),
        ("rooms = [\"7\"]\nca_file = \"f\"", "`ca_file` is for TLS, which tcp:// is without"),
    ] {
        assert_eq!(messages(&with(text)), [message], "{text}");
    }
    let reconciled = messages(&with("rooms = [\"7\"]\nreconcile_every = \"1m\""));
    assert!(reconciled[0].contains("cannot be loaded again"), "{reconciled:?}");
    let diffusion = messages("[[feed]]\nrooms = [\"7\"]\n");
    assert_eq!(diffusion, ["`rooms` is for feeds of kind \"rooms\""]);
    assert_eq!(messages("[[feed]]\nurl = \"tcp://h:1\"\n"), ["tcp:// is for rooms"]);
    let scheme = messages("[[feed]]\nkind = \"rooms\"\nurl = \"dpt://h:1\"\nrooms = [\"7\"]\n");
    assert_eq!(scheme, ["no rooms are over dpt://"]);
}

#[test]
fn what_is_followed_comes_from_the_kind() {
    let config = Config::parse(&with("rooms = [\"7\"]\nrooms_file = \"f\"\nmax_rooms = 9"), FILE).unwrap();
    let feed = &config.feed[0];
    let follows = feed.follows();
    assert_eq!((follows.list_topic.as_str(), follows.time_topic.as_str()), ("", ""));
    assert_eq!(follows.match_topics, ["{ID}".parse::<Template>().unwrap()]);
    let named = NamedMatches { ids: &["7".to_owned()], file: "f" };
    assert_eq!((feed.named_matches(), feed.worker_capacity()), (named, 9));
    let config = Config::parse(&with("ranking = { url = \"http://h/top\" }"), FILE).unwrap();
    assert_eq!(config.feed[0].follows().list_topic, "ranking");
    let diffusion = Config::parse("[[feed]]\nname = \"a\"\n", FILE).unwrap();
    assert_eq!(diffusion.feed[0].follows().list_topic, diffusion.feed[0].diffusion.list_topic);
}
