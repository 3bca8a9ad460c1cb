//! Answers as people read them: status, lists, documents, numbers.

use super::*;

#[test]
fn status_as_json_is_what_the_daemon_wrote() {
    let answer = "{\"ok\":true,\"result\":{\"version\":\"1\",\"a\":1.50,\"z\":[]}}\n";
    let daemon = Daemon::answering(vec![answer.to_owned()]);
    let ran = daemon.run(&["status", "--json"]);
    assert_eq!((ran.code, ran.out.as_str()), (Code::Done, "{\"version\":\"1\",\"a\":1.50,\"z\":[]}\n"));
    assert_eq!(daemon.asked(), [json!({"verb": "status", "args": {}})]);
}

#[test]
fn status_for_people() {
    let golden = "\
touchline 0.1.0 (abc): degraded, up 3m12s
pid 4000000001, epoch 12

matches   250 listed, 248 live, 2 waiting; 3 ended
workers   6 of 64 ready; 0 restarts
recorder  ready: 250 documents, 1234 events, 0 queued, 0 dropped
gateway   off; sandbox: landlock off, seccomp off

FEED    KIND       STATE     ASKED  ACKED  LIVE  CAP
inplay  diffusion  degraded    251    251   249   50
inplay: 2 matches waiting for capacity
";
    let ran = Daemon::ok(&[status("degraded")]).run(&["status"]);
    assert_eq!(ran.out, golden);
    assert!(golden.lines().all(|line| line.len() <= 80));
    let mut after_deaths = status("degraded");
    let at = format!("{:.4}", jiff::Timestamp::now());
    let second = at[..19].to_owned();
    after_deaths["deaths"] = json!([
        {"child": "worker", "worker": 3, "feed": "inplay", "generation": 2, "pid": 71, "at": at, "exit": null,
            "signal": 6, "core": true, "why": "no load report for 10012 ms", "uptime_s": 65.0, "matches": 17, "match": "90000012C1A", "last_activity": "ready"},
        {"child": "recorder", "worker": null, "feed": "", "generation": 1, "pid": null, "at": at, "exit": 1,
            "signal": null, "core": false, "why": "", "uptime_s": 0.5, "matches": 0, "last_activity": "starting for 500 ms"},
        {"child": "worker", "worker": 4, "at": "2020-01-02T03:04:00Z", "uptime_s": 0.5, "matches": 0}]);
    let golden = golden.to_owned()
        + &format!(
            "
DIED                 WHO       PID  HOW                 UP  MATCHES
{second}  w3         71  signal 6 (core)  1m05s       17
{second}  recorder    -  exit 1           0.5 s        0
w3: no load report for 10012 ms, at match 90000012C1A
recorder: starting for 500 ms
1 death more than an hour ago
"
        );
    assert_eq!(Daemon::ok(&[after_deaths]).run(&["status"]).out, golden);
    let mut busy = status("ready");
    busy["workers"] =
        json!({"ready": 5, "starting": 1, "draining": 2, "parked": 3, "restarts": 1, "max": 64});
    busy["matches"] = json!({"listed": 9, "live": 7, "ending": 2, "ended": 1});
    let recent =
        json!({"child": "worker", "worker": 4, "at": at, "signal": 9, "why": "killed", "uptime_s": 0.5});
    busy["deaths"] = json!(vec![recent; 7]);
    let shown = Daemon::ok(&[busy]).run(&["status"]).out;
    for line in [
        "matches   9 listed, 7 live, 2 ending; 1 ended\n",
        "workers   5 of 64 ready, 1 starting, 2 draining, 3 parked; 1 restart\n",
        "2 more deaths in the last hour\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("hour ago"), "{shown}");
    // An empty answer, of whatever version, is shown all the same.
    assert_eq!(Daemon::ok(&[json!({})]).run(&["status"]).code, Code::Done);
}

#[test]
fn status_shows_each_sink_and_why_it_waits() {
    let sinks = json!([
        {"name": "redis", "state": "delivering", "delivered": 7, "last_error": "it was down"},
        {"name": "ndjson", "state": "backing off", "lag_rows": 1, "next_retry_s": 2.0, "last_error": "the disk is full"},
    ]);
    let ran = Daemon::ok(&[json!({"state": "ready", "recorder": {"state": "ready", "sinks": sinks}})])
        .run(&["status"]);
    let expected = "sink      redis delivering: 7 delivered, 0 refused, 0 rows behind\n\
        sink      ndjson backing off: 0 delivered, 0 refused, 1 row behind\n          tried again in 2.0 s: the disk is full\n";
    assert!(ran.out.contains(expected), "{}", ran.out);
}

#[test]
fn lists_for_people() {
    let workers = json!([{"worker": 1, "pid": 2, "state": "ready", "feed": "inplay", "connection": "up", "matches": 50,
        "subscriptions": 50, "reserved": 0, "cap": 50, "busy": 0.12, "diffs_per_s": 812.0, "bytes_per_s": 51234.0,
        "receive_queue_bytes": 0, "receive_queue_peak_bytes": 65536, "server_queue": null,
        "lag_us": {"p50": 90, "p99": 700}, "rss_bytes": 3145728, "restarts": 0, "generation": 1, "uptime_s": 9.1,
        "last_exit": null}]);
    let golden = "\
W  PID  STATE  FEED    LINK  SUBS/CAP  BUSY  DIFFS/S     P99  QUEUE     RSS     UP
1    2  ready  inplay  up       50/50   12%      812  700 us    0 B  3.1 MB  9.1 s
";
    assert_eq!(Daemon::ok(&[workers]).run(&["workers"]).out, golden);
    let matches = json!([{"match": "7", "feed": "inplay", "worker": 1, "epoch": 3, "state": "live", "version": 17,
        "updated_at": "x", "age_ms": 12, "name": "A\u{1b}[2J v B"}, {"match": "8", "feed": "inplay", "worker": null,
        "epoch": null, "state": "waiting", "version": null, "updated_at": null, "age_ms": null, "name": null}]);
    let golden = "\
MATCH     STATE    W  EPOCH  VERSION    AGE  NAME
inplay/7  live     1      3       17  12 ms  A\\u{1b}[2J v B
inplay/8  waiting  -      -        -      -  -
";
    let daemon = Daemon::ok(&[matches]);
    assert_eq!(daemon.run(&["matches", "--feed", "inplay", "--worker", "1", "--state", "live"]).out, golden);
    assert_eq!(
        daemon.asked(),
        [json!({"verb": "matches", "args": {"feed": "inplay", "worker": 1, "state": "live"}})]
    );
    let gap = json!([{"id": 1, "feed": "inplay", "match": "7", "worker": 2, "started_at": "a", "ended_at": null, "reason": "worker died"}]);
    assert!(Daemon::ok(&[gap]).run(&["gaps"]).out.ends_with("inplay/7  2  a        open   worker died\n"));
}

#[test]
fn a_document_for_people() {
    let document = json!({"match": "7", "feed": "inplay", "source": "match", "epoch": 3, "version": 17,
        "received_at": "r", "updated_at": "u", "stale": false, "sport": "soccer", "name": "A v B",
        "status": "in_play", "period": "2nd half", "clock": {"seconds": 2712, "running": true, "down": false, "at": "x"},
        "score": {"text": "1-0", "home": 1, "away": 0, "periods": [{"home": 1, "away": 0}]},
        "stats": {"corners": {"home": 3, "away": 1}}, "market_order": ["m2", "m1", "gone"],
        "markets": {"m1": {"name": "Second", "suspended": true, "selections": {}},
            "m2": {"name": "Result", "suspended": false, "selections": {
                "s2": {"name": "B", "odds": 3.5, "odds_text": "5/2", "suspended": true, "order": 1},
                "s1": {"name": "A", "odds": 2.25, "odds_text": "5/4", "open": 2.1, "suspended": false, "order": 0}}}}});
    let golden = "\
A v B  1-0 (1-0)
inplay/7
soccer, in_play, 2nd half, clock 45:12 running
version 17 of epoch 3, from the match, updated u
  corners 3-1

Result
  SELECTION  LINE  ODDS  AS WRITTEN  OPEN
  A             -  2.25         5/4   2.1
  B             -   3.5         5/2     -  suspended

Second (suspended)
";
    assert_eq!(Daemon::ok(&[document]).run(&["match", "inplay/7"]).out, golden);
}

#[test]
fn numbers_as_people_read_them() {
    for (seconds, text) in
        [(0.41, "0.4 s"), (59.9, "59 s"), (185.0, "3m05s"), (7_620.0, "2h07m"), (356_400.0, "4d03h")]
    {
        assert_eq!(table::age(seconds), text);
    }
    assert_eq!(table::age(f64::NAN), "-");
    for (number, text) in [
        (0.0, "0"),
        (0.5, "0.5"),
        (812.0, "812"),
        (999.4, "999"),
        (999.9, "1.0k"),
        (51_234.0, "51.2k"),
        (999_999.0, "1.0M"),
        (4e12, "4.0T"),
    ] {
        assert_eq!(table::scaled(number), text, "{number}");
    }
    assert_eq!(micros(1_250), "1.2 ms");
    for (count, text) in [(0.0, "0 B"), (999.0, "999 B"), (51_234.0, "51.2 kB"), (3_145_728.0, "3.1 MB")] {
        assert_eq!(bytes(count), text);
    }
    assert_eq!(table::age_ms(12_000), "12 s");
    assert_eq!(short("Köln gegen", 5), "Köln…");
    assert_eq!(clean("a\u{202e}b\n"), "a\\u{202e}b\\u{a}");
}
