//! The configuration against its contract: defaults, mistakes with their places, secrets, what is not built.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

const FILE: &str = "touchline.toml";

/// Every key and default, as the contract writes them.
const WHOLE: &str = r#"
[daemon]
run_dir = ""
state_dir = ""
[control]
read_uids = []
operate_uids = []
[pool]
min_workers = 1
max_workers = 64
spare_workers = 0
rebalance = true
drain_deadline = "20s"
[[feed]]
name = "inplay"
kind = "diffusion"
url = "dpt://127.0.0.1:8080"
protocol = "v4"
login_topics = []
headers = {}
ca_file = ""
insecure = false
strategy = "balanced"
payload = "inplay"
list_topic = "OVInPlay_1_3"
match_id = "{ID}"
match_topics = ["6V{ID}"]
time_topic = ""
feed_timezone = "Europe/London"
max_subscriptions = 50
max_connections = 64
connects_per_s = 20.0
subscribes_per_s = 500.0
over_cap = "auto"
break_before_make = false
resubscribe = false
stale_after = "60s"
end_linger = "10s"
reconcile_every = "0s"
only = { sports = [], competitions = [], teams = [], status = [] }
skip = { sports = [], competitions = [], teams = [], status = [] }
waiting_order = ["in_play", "start"]
mapping = ""
username = ""
[limits]
frame = "4MB"
inflated = "16MB"
inflate_ratio = 200
nodes = 100000
depth = 32
topics = 1000
out_queue = "16MB"
match_outbox = "8MB"
bulk_outbox = "16MB"
publish_deadline = "20ms"
coalesce = "auto"
[store]
path = "touchline.db"
snapshot_interval = "1s"
max_write = "2MB"
event_commit = "10ms"
bulk_commit = "100ms"
settle = "2s"
keep_events = "30d"
keep_odds = "24h"
keep_chat = "7d"
keep_matches = "7d"
max_size = "10GB"
record_raw = false
raw_max_size = "1GB"
[lanes]
[streams]
redis = ""
rabbitmq = ""
prefix = "touchline"
maxlen = 100000
ndjson = ""
kafka = ""
[gateway]
listen = ""
read_token_file = ""
trusted_proxies = []
pub_listen = ""
pub_secret_file = ""
redis = ""
origins = []
[sandbox]
mode = "best-effort"
user = ""
group = ""
[log]
level = "info"
target = "stderr"
format = "line"
"#;

fn errors(text: &str) -> ConfigErrors {
    Config::parse(text, FILE).expect_err(text)
}

fn messages(text: &str) -> Vec<String> {
    errors(text).mistakes().iter().map(|mistake| mistake.message.clone()).collect()
}

/// The line and column of the only mistake.
fn place(text: &str) -> (usize, usize) {
    let errors = errors(text);
    let [mistake] = errors.mistakes() else { panic!("{errors}") };
    (mistake.line, mistake.column)
}

#[test]
fn the_whole_of_it_is_the_defaults() {
    let whole = Config::parse(WHOLE, FILE).unwrap();
    let short = Config::parse("[[feed]]\n", FILE).unwrap();
    assert_eq!(whole, short);
    assert_eq!(whole.feed, [FeedConfig::default()]);
    assert_eq!(Config::parse("", FILE).unwrap(), Config::default());
}

#[test]
fn built_in_templates_are_what_their_text_says() {
    let feed = FeedConfig::default();
    assert_eq!(feed.diffusion.match_id, "{ID}".parse().unwrap());
    assert_eq!(feed.diffusion.match_topics, ["6V{ID}".parse::<Template>().unwrap()]);
}

#[test]
fn what_is_printed_is_read_back_and_shows_every_key() {
    let config = Config::parse(WHOLE, FILE).unwrap();
    let printed = config.to_toml();
    assert_eq!(Config::parse(&printed, FILE).unwrap(), config);
    let is_key = |line: &&str| line.contains('=') && !line.contains('{');
    for line in WHOLE.lines().filter(is_key) {
        assert!(printed.contains(line), "{line} is not in\n{printed}");
    }
}

#[test]
fn matches_take_the_place_of_the_list() {
    let config = Config::parse("[[feed]]\nmatches = [\"a\", \"b\"]\n", FILE).unwrap();
    assert_eq!(config.feed[0].diffusion.list_topic, "");
    assert_eq!(Config::parse(&config.to_toml(), FILE).unwrap(), config);
    let both = messages("[[feed]]\nlist_topic = \"L\"\nmatches = [\"a\"]\n");
    assert_eq!(both, ["a feed has either a list or named matches, not both"]);
    let neither = messages("[[feed]]\nlist_topic = \"\"\n");
    assert_eq!(neither, ["a feed with neither a list nor matches would follow nothing"]);
}

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
    for text in [
        "[[feed]]\nkind = \"poll\"",
        "[[feed]]\nkind = \"rooms\"",
        "[[feed]]\nkind = \"push\"",
        "[[feed]]\nrooms = [\"a\"]",
        "[[feed]]\nquota_per_day = 5",
        "[[feed]]\nsource = [{ name = \"a\" }]",
        "[limits]\ncoalesce = \"5ms\"",
        "[limits]\ncoalesce = \"0ms\"",
        "[gateway]\nread_token_file = \"f\"",
        "[gateway]\ntrusted_proxies = [\"10.0.0.1\"]",
        "[gateway]\nlisten = \"127.0.0.1:8090\"",
        "[sandbox]\nmode = \"strict\"",
        "[sandbox]\nuser = \"nobody\"",
    ] {
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
        "[streams]\nmaxlen = 1000",
        "[streams]\nredis = \"redis://127.0.0.1:6379/0\"\nndjson = \"-\"",
    ] {
        assert!(Config::parse(text, FILE).is_ok(), "{text}");
    }
}

#[test]
fn sinks_are_told_what_they_cannot_do() {
    for (text, message) in [
        ("redis = \"127.0.0.1:6379\"", "bad scheme"),
        ("redis = \"redis://bob@h:1\"", "a login in the address"),
        ("redis = \"redis://h:0\"", "bad port"),
        ("redis = \"redis://:1\"", "bad host"),
        ("redis = \"redis://h:1/x\"", "bad database"),
        ("prefix = \"\"", "no usable prefix"),
        ("maxlen = 0", "`maxlen` is 0, so nothing would stay"),
        ("retry_max = \"0s\"", "no time at all"),
        ("redis_options = { lanes = [] }", "no lanes, so nothing would be sent"),
        ("redis_options = { batch = 0 }", "`batch` is 0"),
        ("redis_options = { timeout = \"0s\" }", "no time at all"),
        (
            "redis = \"redis://h:1\"\nredis_options = { ca_file = \"f\" }",
            "`ca_file` is for TLS, which this `redis` is without",
        ),
        ("ndjson_options = { batch = 20000 }", "`batch` is 20000"),
    ] {
        assert_eq!(messages(&format!("[streams]\n{text}\n")), [message], "{text}");
    }
    for redis in ["redis://h", "redis://h/3", "redis://[::1]", "redis://[::1]:1/0", "rediss://h.example:1"] {
        let config = Config::parse(&format!("[streams]\nredis = \"{redis}\"\n"), FILE);
        assert!(config.is_ok(), "{redis}: {config:?}");
    }
    let lanes = "[streams.ndjson_options]\nlanes = [\"priority\", \"chat\"]\n";
    let config = Config::parse(lanes, FILE).unwrap();
    assert_eq!(config.streams.ndjson_options.lanes, [SinkLane::Priority, SinkLane::Chat]);
    assert_eq!(Config::parse(&config.to_toml(), FILE).unwrap(), config);
}

#[test]
fn a_sinks_password_reaches_the_children_and_nothing_else() {
    let mut config = Config::default();
    config.streams.redis_options.password = Secret::new("hunter2".into());
    for shown in [config.to_toml(), format!("{config:?}"), serde_json::to_string(&config).unwrap()] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let child = Config::from_child_json(&config.to_child_json().unwrap()).unwrap();
    assert_eq!(child.streams.redis_options.password.expose(), "hunter2");
}

#[test]
fn each_transport_takes_what_belongs_to_it() {
    for (text, message) in [
        ("protocol = \"zap\"", "\"zap\" is spoken over a WebSocket, not over dpt"),
        ("url = \"dpts://h:1\"\nprotocol = \"zap\"", "\"zap\" is spoken over a WebSocket, not over dpts"),
        ("ca_file = \"f\"", "`ca_file` is for TLS, which dpt:// is without"),
        ("url = \"ws://h:1\"\ninsecure = true", "`insecure` is for TLS, which ws:// is without"),
        (
            "url = \"wss://h:1\"\ninsecure = true\nca_file = \"f\"",
            "any certificate is taken, so `ca_file` would mean nothing",
        ),
        ("headers = { A = \"b\" }", "headers are for a WebSocket, dpt:// has none"),
        ("url = \"ws://h:1\"\nheaders = { \"A B\" = \"b\" }", "bad name of a header"),
        ("url = \"ws://h:1\"\nheaders = { hOst = \"b\" }", "the request has its own `hOst`"),
        (
            "url = \"ws://h:1\"\nheaders = { Sec-WebSocket-Key = \"b\" }",
            "the request has its own `Sec-WebSocket-Key`",
        ),
        ("url = \"ws://h:1\"\nheaders = { A = \"b\\r\\nC: d\" }", "a control character in the value of `A`"),
        (
            "url = \"ws://h:1\"\nheaders = { Cookie = \"<redacted>\" }",
            "the value of `Cookie` is what is printed in place of a secret",
        ),
        ("login_topics = [\"a\\u0001\"]", "a control character in it"),
        ("login_topics = [\"\"]", "an empty topic"),
    ] {
        assert_eq!(messages(&format!("[[feed]]\n{text}\n")), [message], "{text}");
    }
    for text in [
        "url = \"dpts://h:1\"\nca_file = \"f\"",
        "url = \"wss://h:1/x?y=z\"\ninsecure = true",
        "url = \"wss://h:1\"\nprotocol = \"zap\"\nlogin_topics = [\"__time\", \"S_1\"]\nheaders = { Cookie = \"a=b\" }",
    ] {
        assert!(Config::parse(&format!("[[feed]]\n{text}\n"), FILE).is_ok(), "{text}");
    }
}

#[test]
fn a_header_that_sounds_like_a_secret_goes_to_children_and_nowhere_else() {
    let text = "[[feed]]\nurl = \"ws://h:1\"\nheaders = { Cookie = \"a=hunter2\", X-Api-Key = \"hunter2\", \
                authorization = \"Basic hunter2\", Origin = \"https://shown\" }\n";
    let config = Config::parse(text, FILE).unwrap();
    let printed = config.to_toml();
    assert!(printed.contains("Cookie = \"<redacted>\"") && printed.contains("https://shown"), "{printed}");
    assert!(!printed.contains("hunter2") && !format!("{config:?}").contains("hunter2"));
    let child = Config::from_child_json(&config.to_child_json().unwrap()).unwrap();
    assert_eq!(child, config);
    assert_eq!(child.feed[0].headers.expose()["Cookie"], "a=hunter2");
}

#[test]
fn no_report_shows_a_secret() {
    for text in [
        "[[feed]]\npassword = \"hunter2\"\n",
        "[[feed]]\nheaders = { Cookie = \"hunter2\", Authorization = \"hunter2\" }\n",
        "[[feed]]\n[feed.headers]\nX-Api-Key = \"hunter2\"\nnonsense = 3\n",
        "[[feed]]\nurl = \"dpt://bob:hunter2@h:1\"\n",
        "[[feed]]\nmax_connections = 0\npasword = 1 # near\nmy_secret = 'hunter2'\n",
        "[streams]\nredis = \"redis://:hunter2@h:1/0\"\n",
        "feed = [{ name = \"a\", password = \"hunter2\", max_connections = 0 }]\n",
        "[[feed]]\n\"password\" = \"\"\"\nhunter2 = ]\n\"\"\"\n",
        "[[feed]]\npassword = \"hunter2\n",
        "[[feed]]\npassword = '''\nhunter2\n",
    ] {
        let errors = errors(text);
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
        assert!(!errors.one_line().contains("hunter2"), "{}", errors.one_line());
        assert!(!format!("{errors:?}").contains("hunter2"));
    }
    let found = errors("[[feed]]\npassword = \"hunter2\"\n");
    assert_eq!(found.mistakes()[0].expected, "expected `password_env` or `password_file`");
}

#[test]
fn a_secret_reaches_the_children_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "hunter2\nrest\n").unwrap();
    let text = format!("[[feed]]\nusername = \"u\"\npassword_file = {:?}\n", file.to_str().unwrap());
    let mut config = Config::parse(&text, FILE).unwrap();
    config.feed[0].password = config.feed[0].read_password().unwrap();
    assert_eq!(config.feed[0].password.expose(), "hunter2");
    for shown in [config.to_toml(), format!("{config:?}"), serde_json::to_string(&config).unwrap()] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let child = Config::from_child_json(&config.to_child_json().unwrap()).unwrap();
    assert_eq!(child, config);
    assert_eq!(child.feed[0].password.expose(), "hunter2");

    config.feed[0].password_file = folder.path().join("none").display().to_string();
    let missing = config.feed[0].read_password().unwrap_err();
    assert!(missing.starts_with("password_file"), "{missing:?}");
    let wrong = Config::from_child_json("[{},[1],[]]").unwrap_err();
    assert!(wrong.to_string().contains("not of this build"));
}

#[test]
fn folders_by_user() {
    let user = |uid, runtime: Option<&str>, state: Option<&str>, home: Option<&str>| User {
        uid,
        runtime_dir: runtime.map(PathBuf::from),
        state_home: state.map(PathBuf::from),
        home: home.map(PathBuf::from),
    };
    for (user, run, state) in [
        (user(0, Some("/run/user/0"), None, Some("/root")), "/run/touchline", "/var/lib/touchline"),
        (user(7, Some("/run/user/7"), Some("/s"), None), "/run/user/7/touchline", "/s/touchline"),
        (user(7, None, None, Some("/h")), "/h/.local/state/touchline/run", "/h/.local/state/touchline"),
    ] {
        let mut config = Config::default();
        config.resolve_dirs(&user).unwrap();
        assert_eq!(config.daemon.run_dir, Path::new(run));
        assert_eq!(config.socket_path(), Path::new(run).join("control.sock"));
        assert_eq!(config.store_path(), Path::new(state).join("touchline.db"));
    }
    assert!(Config::default().resolve_dirs(&user(7, None, None, None)).is_err());
    let mut written =
        Config::parse("[daemon]\nrun_dir = \"/a\"\nstate_dir = \"b\"\n[store]\npath = \"/c\"", FILE).unwrap();
    written.resolve_dirs(&user(0, None, None, None)).unwrap();
    assert_eq!(written.daemon.run_dir, Path::new("/a"));
    assert!(written.daemon.state_dir.is_absolute() && written.daemon.state_dir.ends_with("b"));
    assert_eq!(written.store_path(), Path::new("/c"));
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

#[test]
fn units() {
    for (text, micros) in [
        ("250ms", 250_000),
        ("3s", 3_000_000),
        ("5m", 300_000_000),
        ("24h", 86_400_000_000),
        ("30d", 2_592_000_000_000),
        ("1.5s", 1_500_000),
        ("7us", 7),
        ("2 s", 2_000_000),
    ] {
        assert_eq!(text.parse::<Dur>().unwrap().get(), Duration::from_micros(micros), "{text}");
    }
    for bad in ["", "5", "s", "-1s", "1e3s", "1.s", ".5s", "1w", "99999999999999d", "11000d", "1s2"] {
        assert!(bad.parse::<Dur>().is_err(), "{bad}");
    }
    assert_eq!("4MB".parse::<ByteSize>().unwrap().get(), 4_000_000);
    assert_eq!("1.5kB".parse::<ByteSize>().unwrap().get(), 1_500);
    assert_eq!("1MiB".parse::<ByteSize>().unwrap().get(), 1 << 20);
    for bad in ["", "4", "MB", "-1MB", "4mb", "99999999999TB"] {
        assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
    }
}

#[test]
fn templates_are_filled() {
    let template: Template = "6V{ID}_{CL.ID}".parse().unwrap();
    let value = |name: &str| match name {
        "ID" => Some("7".into()),
        "CL.ID" => Some("1".into()),
        _ => None,
    };
    assert_eq!(template.names().collect::<Vec<_>>(), ["ID", "CL.ID"]);
    assert_eq!(template.fill(value).unwrap(), "6V7_1");
    assert_eq!(template.fill(|_| Some("".into())), Err("ID"));
    assert_eq!(template.fill(|name| value(name).filter(|_| name == "ID")), Err("CL.ID"));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        if let Err(errors) = Config::parse(&text, FILE) {
            prop_assert!(!errors.mistakes().is_empty());
            let _ = (errors.to_string(), errors.one_line());
        }
    }

    #[test]
    fn no_broken_configuration_panics(at in 0..WHOLE.len(), cut in 0..60usize, with in "[\\PC\n\"={}\\[\\]]{0,6}") {
        let start = WHOLE.floor_char_boundary(at);
        let end = WHOLE.ceil_char_boundary((at + cut).min(WHOLE.len())).max(start);
        let text = format!("{}{with}{}", &WHOLE[..start], &WHOLE[end..]);
        match Config::parse(&text, FILE) {
            Ok(config) => prop_assert_eq!(Config::parse(&config.to_toml(), FILE).unwrap(), config),
            Err(errors) => {
                for mistake in errors.mistakes() {
                    prop_assert!(mistake.line >= 1 && mistake.line <= text.lines().count() + 1);
                    prop_assert!(mistake.column >= 1);
                }
                let _ = (errors.to_string(), errors.one_line());
            }
        }
    }

    #[test]
    fn durations_come_back(micros in 0..300_000_000_000_000u64) {
        let dur = Dur(Duration::from_micros(micros));
        prop_assert_eq!(dur.to_string().parse::<Dur>().unwrap(), dur);
    }

    #[test]
    fn sizes_come_back(bytes in 0..i64::MAX as u64) {
        let size = ByteSize(bytes);
        prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
    }

    #[test]
    fn addresses_come_back(text in "[a-z]{0,5}(://)?\\PC{0,20}(:[0-9]{0,6})?") {
        if let Ok(url) = text.parse::<Url>() {
            prop_assert_eq!(url.to_string().parse::<Url>().unwrap(), url);
        }
    }
}
