//! The configuration against its contract: defaults, mistakes with their places, secrets, what is not built.

mod connections;
mod mistakes;
mod polling;
mod push;
mod reading;
mod rooms;
mod secrets;

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
order_window = 16
order_wait = "2s"
max_incidents = 20000
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
redis_password_file = ""
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
