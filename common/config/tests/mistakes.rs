//! Mistakes: each with its place, in plain words, all of a file at once; and what is not built.

use super::*;

#[test]
fn every_mistake_is_reported_in_the_order_of_the_file() {
    let text = r#"
[pool]
min_workers = 5
max_workers = 2
[[feed]]
name = "a"
url = "http://x:1"
max_subscriptions = 0
match_topics = ["6V{ID"]
[[feed]]
name = "a"
list_topic = ""
conect_per_s = 3
[limits]
publish_deadline = "0s"
frame = 4
[lanes]
gool = "normal"
goal = "fast"
corner = "odds"
"#;
    let errors = errors(text);
    let found: Vec<(usize, &str)> =
        errors.mistakes().iter().map(|mistake| (mistake.line, mistake.message.as_str())).collect();
    assert_eq!(
        found,
        [
            (3, "`min_workers` (5) is more than `max_workers` (2)"),
            (7, "bad scheme"),
            (8, "`max_subscriptions` is 0"),
            (9, "open template brace"),
            (11, "two feeds are called `a`"),
            (12, "a feed with neither a list nor matches would follow nothing"),
            (13, "unknown key `conect_per_s`"),
            (15, "no time at all"),
            (16, "invalid type: integer `4`"),
            (18, "no event is called `gool`"),
            (19, "unknown value `fast`"),
            (20, "unknown value `odds`"),
        ]
    );
    assert_eq!(errors.mistakes()[6].expected, "did you mean `connects_per_s`?");
    assert_eq!(errors.mistakes()[9].expected, "did you mean `goal`?");
    assert!(
        errors.one_line().starts_with("touchline.toml:3:15: `min_workers` (5) is more"),
        "{}",
        errors.one_line()
    );
    assert!(errors.one_line().ends_with("(and 11 more: see `touchline check`)"));
    assert!(!errors.one_line().contains('\n'));
}

#[test]
fn a_report_reads_like_a_compilers() {
    let text = "[pool]\nmin_workers = 9\nmax_workers = 2\n\n[[feed]]\nname = \"inplay\"\nurl = \"dpt://127.0.0.1\"\n";
    let golden = "\
error: `min_workers` (9) is more than `max_workers` (2)
 --> touchline.toml:2:15
  |
2 | min_workers = 9
  |               ^ expected at most 2
3 | max_workers = 2
  |               - the most

error: no port
 --> touchline.toml:7:7
  |
7 | url = \"dpt://127.0.0.1\"
  |       ^^^^^^^^^^^^^^^^^ expected scheme://host:port

2 mistakes in touchline.toml";
    assert_eq!(errors(text).to_string(), golden);
}

#[test]
fn places_count_characters_and_point_at_the_value() {
    assert_eq!(place("[pool]\nmax_workers = 0\n"), (2, 15));
    assert_eq!(place("[[feed]]\nlist_topic = \"ä\"\nname = \"é\" # no\n"), (3, 8));
    assert_eq!(place("[[feed]]\nonly = { sports = [], x = 1 }\n"), (2, 23));
    assert_eq!(place("[feeds]\n"), (1, 2));
    assert_eq!(place("[[feed]]\n[[feed]]\nname = \"b\"\nlist_topic = \"\"\n"), (4, 14));
    assert_eq!(place("[[feed]]\nmatches = [\"a\", \"a\"]\n"), (2, 17));
    // What is not written stands at its table.
    assert_eq!(place("\n[[feed]]\n[[feed]]\n").0, 3);
}

#[test]
fn syntax_is_reported_with_its_place() {
    let errors = errors("[pool]\nmin_workers = \n");
    assert_eq!(errors.mistakes()[0].line, 2);
    assert!(Config::parse("a = 1\na = 2\n", FILE).is_err());
    assert!(Config::parse("[[feed]\n", FILE).is_err());
}

#[test]
fn single_mistakes() {
    for (text, message) in [
        ("[[feed]]\nname = \"a/b\"", "bad name of a feed"),
        ("[[feed]]\nname = \"\"", "bad name of a feed"),
        ("[[feed]]\nurl = \"dpt://h:0\"", "bad port"),
        ("[[feed]]\nurl = \"dpt://h:70000\"", "bad port"),
        ("[[feed]]\nurl = \"dpt://:80\"", "bad host"),
        ("[[feed]]\nurl = \"dpt://h:80/x\"", "bad path"),
        ("[[feed]]\nmatch_topics = []", "a match without topics cannot be followed"),
        ("[[feed]]\nmatch_topics = [\"x\"]", "no attribute in it, so all matches would have one topic"),
        ("[[feed]]\nmatch_topics = [\"{}\"]", "bad key in a template"),
        ("[[feed]]\nmatch_id = \"a}\"", "template brace closed without being opened"),
        ("[[feed]]\nlist_topic = \"a\\u0001b\"", "a control character in it"),
        ("[[feed]]\nmatches = [\"a\"]\nmatch_topics = [\"6V{IDD}\"]", "`{IDD}` has no value"),
        ("[feed]\nname = \"a\"", "`[feed]` is a single table"),
        ("[[feed]]\nmax_connections = 0", "`max_connections` is 0"),
        ("[[feed]]\nconnections_per_process = 0", "`connections_per_process` is 0"),
        ("[[feed]]\nconnects_per_s = 0", "`connects_per_s` is 0, so nothing would ever happen"),
        ("[[feed]]\nconnects_per_s = -1.0", "`-1` is not a rate"),
        ("[[feed]]\nsubscribes_per_s = nan", "`NaN` is not a rate"),
        ("[[feed]]\nstale_after = \"0ms\"", "no time at all"),
        (
            "[[feed]]\nstrategy = \"dumps\"\nreconcile_every = \"5m\"",
            "strategy \"dumps\" takes a load of each match in turn anyway",
        ),
        ("[[feed]]\norder_window = 1001", "`order_window` is 1001"),
        ("[[feed]]\norder_wait = \"2m\"", "`2m` would hold up each incident for too long"),
        ("[[feed]]\nmax_incidents = 0", "`max_incidents` is 0"),
        ("[[feed]]\nstale_after = \"5 parsecs\"", "`5 parsecs` is not a duration"),
        ("[[feed]]\nfeed_timezone = \"Europe/Lundon\"", "unknown time zone"),
        ("[[feed]]\nwaiting_order = [\"start\", \"start\"]", "a key stands in it twice"),
        ("[[feed]]\npassword_env = \"X\"", "a password without `username`"),
        (
            "[[feed]]\nusername = \"u\"\npassword_env = \"X\"\npassword_file = \"f\"",
            "a password from two places",
        ),
        (
            "[[feed]]\nmax_subscriptions = 1\ntime_topic = \"T\"",
            "a connection may hold 1 subscriptions, but one match takes 2",
        ),
        ("[[feed]]\npayload = \"topic-tree\"", "a feed with this payload has no match list"),
        (
            "[[feed]]\npayload = \"raw\"\nmatches = [\"a\"]\nstrategy = \"dumps\"",
            "a branch of topics has no load that could be taken and let go",
        ),
        ("[[feed]]\npayload = \"raw\"\nlist_topic = \"L\"", "a feed with this payload has no match list"),
        ("[store]\nraw_max_size = \"10kB\"", "too small for a recording"),
        ("[pool]\nmax_workers = 0", "`max_workers` is 0"),
        ("[pool]\nmax_workers = -1", "invalid value: integer `-1`"),
        ("[pool]\nspare_workers = 65", "`spare_workers` is more than `max_workers` (64)"),
        ("[lanes]\nodds_change = \"priority\"", "`odds_change` is of the bulk stream, whose lanes are fixed"),
        ("[lanes]\ngoal = \"odds\"", "unknown value `odds`"),
        ("[limits]\ncoalesce = \"soon\"", "`soon` is not a duration"),
        ("[limits]\ncoalesce = \"200ms\"", "`coalesce` is 200ms"),
        ("[limits]\nnodes = 0", "`nodes` is 0, so nothing would be accepted"),
        ("[limits]\nframe = \"0B\"", "no bytes at all"),
        ("[limits]\nframe = \"4 XB\"", "`4 XB` is not a size"),
        ("[store]\npath = \"\"", "the store has no path"),
        ("[log]\nlevel = \"loud\"", "bad log level: `loud` is not a level"),
        ("[log]\ntarget = \"\"", "the log goes nowhere"),
        ("[log]\nformat = \"xml\"", "unknown value `xml`"),
        ("pool = 3", "invalid type: integer `3`"),
        ("nonsense = 1", "unknown key `nonsense`"),
    ] {
        let messages = messages(text);
        assert_eq!(messages.len(), 1, "{text}: {messages:?}");
        assert!(messages[0].starts_with(message), "{text}: {messages:?}");
    }
}

#[test]
fn what_was_expected_is_said_in_plain_words() {
    for (text, expected) in [
        ("[pool]\nmax_workers = -1", "expected a whole number up to 65535"),
        ("[pool]\nmax_workers = \"7\"", "expected a whole number up to 65535"),
        ("[[feed]]\nmax_connections = 99999999999", "expected a whole number up to 4294967295"),
        ("[pool]\nrebalance = 1", "expected true or false"),
        ("[[feed]]\nname = 7", "expected text in quotes"),
        ("[[feed]]\nmatches = \"a\"", "expected a list in brackets, such as [\"a\", \"b\"]"),
        ("pool = 3", "expected a table"),
        ("[feed]\nname = \"a\"", "write `[[feed]]`"),
        ("[pol]\nmax_workers = 3", "did you mean `pool`?"),
        ("[[fede]]\nname = \"a\"", "did you mean `feed`?"),
    ] {
        let errors = errors(text);
        let [mistake] = errors.mistakes() else { panic!("{text}: {errors}") };
        assert_eq!(mistake.expected, expected, "{text}");
    }
}

#[test]
fn what_cannot_be_used_has_its_place_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    std::fs::write(&path, "[log]\nlevel = \"info\"\n[[feed]]\nname = \"a\"\nmapping = \"m\"\n").unwrap();
    let found = vec![
        Unusable::of_feed(0, "mapping", "m: broken", "expected a whole one"),
        Unusable::of_table("log", "target", "no folder", ""),
    ];
    let errors = ConfigErrors::unusable(&path, found);
    let places: Vec<(&str, usize, usize)> =
        errors.mistakes().iter().map(|one| (one.setting.as_str(), one.line, one.column)).collect();
    assert_eq!(places[1], ("feed[0].mapping", 5, 11));
    assert_eq!((places[0].0, places[0].1), ("log.target", 1), "at its table");
    assert!(errors.one_line().contains("t.toml:1:"), "{}", errors.one_line());
}

#[test]
fn what_is_not_built_is_refused_unless_it_is_the_default() {
    for text in ["[sandbox]\nmode = \"strict\"", "[sandbox]\nuser = \"nobody\""] {
        let messages = messages(text);
        assert!(messages.len() == 1 && messages[0].contains("not in this build"), "{text}: {messages:?}");
    }
    for text in [
        "[[feed]]\nover_cap = \"no-load\"",
        "[[feed]]\nresubscribe = true",
        "[[feed]]\nstrategy = \"multiplex\"\nconnections_per_process = 4",
        "[[feed]]\npayload = \"topic-tree\"\nmatches = [\"a\"]",
        "[[feed]]\npayload = \"raw\"\nmatches_file = \"f\"",
        "[sandbox]\nmode = \"off\"",
        "[store]\nrecord_raw = true",
        "[gateway]\nlisten = \"127.0.0.1:8090\"\nread_token_file = \"f\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\norigins = [\"https://example.org\"]",
        "[gateway]\nlisten = \"127.0.0.1:8090\"\npub_listen = \"127.0.0.1:8091\"\npub_secret_file = \"f\"",
        "[streams]\nmaxlen = 1000",
        "[streams]\nredis = \"redis://127.0.0.1:6379/0\"\nndjson = \"-\"",
    ] {
        assert!(Config::parse(text, FILE).is_ok(), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_line() {
    let error = Config::load(Path::new("/nowhere/touchline.toml")).unwrap_err();
    assert!(
        error.one_line().starts_with("/nowhere/touchline.toml: cannot read it: No such file"),
        "{}",
        error.one_line()
    );
    assert!(error.to_string().contains("/nowhere/touchline.toml"));
}
