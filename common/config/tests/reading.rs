//! How JSON answers are read: the keys of a source, the mistakes in them, the shipped examples.

use super::*;
use crate::config::{ExtraRule, Listed, Ordered, Pointer, Pointers, Reading, StatReading, TextOrPointer};
use crate::model::Side;

const SOURCE: &str = r#"
[[feed]]
name = "api"
kind = "poll"
matches = ["7"]
[[feed.source]]
name = "match"
url = "https://h/matches/{ID}"
sport = "soccer"
competition = "/cup/name"
home = "/home"
state = "/state"
states = { Going = "in_play" }
clock = { minute = "/m" }
score = { home = "/h", away = "/a" }
stats = { corners = { home = "/c/0", away = "/c/1" }, fans = "/fans" }
events = ""
event = { type = ["/class", "/type"], types = { Y = "yellow_card", G = "goal" }, side = "/team", sides = { "/ids/home" = "home", "2" = "away" }, listing = "window", order = "by-clock", details = { player = "/p/[n=1]" } }
markets = { list = "/odds/*", id = "/id", selections = "/s", selection_id = ["/a", "/b"], price = "/p" }
extra = "drop"
"#;

/// The mistakes, but those of parts that are not built.
fn mistakes_of(text: &str) -> Vec<String> {
    let Err(errors) = Config::parse(text, FILE) else { return Vec::new() };
    let mistakes = errors.mistakes().iter();
    let built = mistakes.filter(|mistake| !mistake.message.contains("not in this build"));
    built.map(|mistake| format!("{}: {}", mistake.setting, mistake.message)).collect()
}

fn pointer(text: &str) -> Pointer {
    text.parse().unwrap()
}

#[test]
fn a_source_says_how_its_answers_are_read() {
    assert_eq!(mistakes_of(SOURCE), Vec::<String>::new());
    let config: Config = toml::from_str(SOURCE).unwrap();
    let reading = Reading::from(&config.feed[0].poll.source[0]);
    assert_eq!(reading.sport, Some(TextOrPointer::Text("soccer".to_owned())));
    assert_eq!(reading.competition, Some(TextOrPointer::At(pointer("/cup/name"))));
    assert_eq!(reading.stats["fans"], StatReading::Whole(pointer("/fans")));
    assert!(matches!(&reading.stats["corners"], StatReading::Sides(sides) if sides.away == pointer("/c/1")));
    assert_eq!(reading.events, Some(Pointer::default()), "the whole answer");
    let event = reading.event.unwrap();
    assert_eq!((event.listing, event.order), (Listed::Window, Ordered::ByClock));
    assert_eq!(event.sides["2"], Side::Away);
    assert_eq!(event.kind, Pointers(vec![pointer("/class"), pointer("/type")]));
    let markets = reading.markets.unwrap();
    assert_eq!((markets.id.0.len(), markets.selection_id.0.len()), (1, 2));
    assert_eq!((reading.extra, reading.title), (ExtraRule::Drop, None));
}

#[test]
fn a_reading_is_written_as_it_was_read() {
    let config: Config = toml::from_str(SOURCE).unwrap();
    let again: Config = toml::from_str(&config.to_toml()).unwrap();
    assert_eq!(again, config);
    assert_eq!(Config::from_child_json(&config.to_child_json().unwrap()).unwrap(), config);
}

#[test]
fn mistakes_are_named_with_their_place() {
    let source = |keys: &str| {
        format!(
            "[[feed]]\nkind = \"poll\"\n[[feed.source]]\nname = \"m\"\nurl = \"https://h/{{ID}}\"\n{keys}\n"
        )
    };
    for (keys, at, message) in [
        ("home = \"name\"", "source[0]", "begins with `/`"),
        ("score = { home = \"/h\" }", "source[0]", "missing field `away`"),
        ("stats = { corners = 7 }", "source[0]", "no statistic"),
        ("stats = { \"\" = \"/x\" }", "source[0].stats", "bad name of a statistic"),
        ("clock = {}", "source[0].clock", "a clock of nothing"),
        ("events = \"/e\"", "source[0].events", "happenings of which nothing is read"),
        ("event = { type = \"/t\" }", "source[0].event", "nothing says where the happenings are"),
        ("events = \"\"\nevent = {}", "source[0].event.type", "no pointer to a happening's type"),
        (
            "events = \"\"\nevent = { type = \"/t\", types = { G = \"tor\" } }",
            "source[0].event.types.G",
            "`tor` is no type of event",
        ),
        (
            "events = \"\"\nevent = { type = \"/t\", sides = { \"/~\" = \"home\" } }",
            "source[0].event.sides",
            "`~` in a JSON pointer",
        ),
        (
            "markets = { list = \"/m\", selections = \"/s\" }",
            "source[0].markets",
            "without a price or a result",
        ),
        ("markets = { selections = \"/s\", price = \"/p\" }", "source[0].markets", "where the markets are"),
        ("states = { live = \"playing\" }", "source[0]", "unknown value `playing`"),
        ("scores = \"/x\"", "source[0]", "unknown key `scores`"),
    ] {
        let found = mistakes_of(&source(keys));
        let is_it = |found: &String| found.contains(at) && found.contains(message);
        assert!(found.iter().any(is_it), "{keys}: {found:?}");
    }
}

#[test]
fn the_shipped_examples_are_without_a_mistake() {
    for (name, text, sources) in [
        ("sports.toml", include_str!("../../../scripts/examples/poll/sports.toml"), 3),
        ("catalogues.toml", include_str!("../../../scripts/examples/poll/catalogues.toml"), 3),
    ] {
        assert_eq!(mistakes_of(text), Vec::<String>::new(), "{name}");
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.feed[0].poll.source.len(), sources, "{name}");
    }
}

#[test]
fn the_shipped_examples_of_push_feeds_are_without_a_mistake() {
    for (name, text) in [
        ("exchange.toml", include_str!("../../../scripts/examples/push/exchange.toml")),
        ("books.toml", include_str!("../../../scripts/examples/push/books.toml")),
        ("scores.toml", include_str!("../../../scripts/examples/push/scores.toml")),
    ] {
        assert_eq!(mistakes_of(text), Vec::<String>::new(), "{name}");
    }
}
