//! Examples of every verb that this build has: the end of its help, and a part of its man page.
//!
//! Invariant: each is what the parser takes; a test runs all of them through it. Words that a shell would read otherwise stand in none.

/// What follows `touchline`, and what that does.
type Example = (&'static str, &'static str);

/// The examples of a verb, or of one of the verbs of `log`.
pub(super) fn of(verb: &str) -> &'static [Example] {
    match verb {
        "run" => &[("run --config touchline.toml", "run in this terminal; the log goes to standard error")],
        "demo" => &[
            ("demo", "run until Ctrl-C"),
            ("demo --for 60s", "verify the output after a minute; exit with 0 or 1"),
            ("demo --for 60s --sink redis", "and verify what a real Redis holds then"),
            ("demo --matches 20 --rate 500 --burst 1,1s,1m", "a small one without bursts"),
            ("demo --feed rooms --for 60s", "300 rooms: every line is stored exactly once"),
            ("demo --feed poll --for 60s", "50 matches of an HTTP API that is polled"),
            ("demo --feed push --for 60s", "2,000 topics of a JSON push server, 100 a connection"),
        ],
        "simulate" => &[
            ("simulate --matches 20 --rate 500", "a small server on 127.0.0.1:8080"),
            ("simulate --cap 50 --over-cap error", "refuse what is above 50 subscriptions per connection"),
            ("simulate --transport wss --ca-file ca.pem", "a WebSocket over TLS"),
            ("simulate --feed rooms --matches 20 --listen 127.0.0.1:2243", "20 rooms"),
            ("simulate --feed poll --matches 20", "an HTTP API with 20 matches"),
            ("simulate --feed push --matches 20 --cap 5", "20 topics, 5 a connection"),
        ],
        "check" => &[
            ("check", "validate the configuration that run would use"),
            ("check --print", "all settings, with the defaults of those not given"),
        ],
        "status" => {
            &[("status", "daemon, workers, recorder and feeds"), ("status --json", "the same for scripts")]
        }
        "workers" => &[("workers", "a row for each worker")],
        "matches" => &[
            ("matches --state waiting", "matches that no worker has capacity for"),
            ("matches --feed inplay --worker 3", "matches of one worker"),
        ],
        "match" => {
            &[("match inplay/7", "match 7 of the feed inplay"), ("match 7 --json", "its document as JSON")]
        }
        "gaps" => &[("gaps", "when which match was not followed, and why")],
        "events" => &[
            ("events", "the newest 100"),
            ("events --follow", "new events as they happen"),
            ("events --match inplay/7 --since 0 --format csv", "all events of a match"),
            ("events --lane odds --follow", "every change of odds"),
            ("events --match live/21396 --type comment,gift --follow", "what is said in a room"),
        ],
        "odds" => &[("odds inplay/7", "all odds of a match"), ("odds 7 --follow", "new odds as they happen")],
        "probe" => &[
            ("probe inplay", "test the feed inplay of the configuration"),
            ("probe prices --messages 50", "show what was made of 50 messages of a push server"),
        ],
        "feed" | "new" => &[
            ("feed new", "ask for all it needs, and print a configuration"),
            (
                "feed new --url wss://push.example/ws --topics A,B --subscribe {TOPICS} --snapshot whole.json --delta deltas.jsonl",
                "from recorded messages",
            ),
        ],
        "health" => &[("health", "for a monitoring system: the exit code is the result")],
        "drain" => &[
            ("drain 3", "move the matches of worker 3 to others, then stop it; at most 60s"),
            ("drain 3 --timeout 5m", "the same, at most 5 minutes"),
        ],
        "move" => &[("move inplay/7 3", "move a match to worker 3; at most 60s")],
        "rebalance" => &[
            ("rebalance --dry-run", "print the moves that would be made"),
            ("rebalance", "make them; at most 60s"),
        ],
        "scale" => &[("scale --min 4 --max 64", "keep between 4 and 64 workers until the daemon restarts")],
        "resync" => &[("resync inplay/7", "load a match again")],
        "release" => &[("release inplay/7", "follow a match again that was quarantined")],
        "replay" => &[
            ("replay --match inplay/7", "each event and price of a match, from the store"),
            ("replay --match inplay/7 --at 45", "what was known in its minute 45"),
            (
                "replay --raw raw/20260102T150405.000000Z-w3-g1.raw",
                "recorded bytes through the same code again",
            ),
        ],
        "sink" | "rewind" => &[("sink rewind redis --since 0", "send all stored events to Redis again")],
        "log" => &[("log level debug", "log more"), ("log reopen", "after the log file was rotated")],
        "level" => &[
            ("log level debug", "log debug messages too"),
            ("log level info,touchline_worker::net=trace", "trace one module"),
        ],
        "reopen" => &[("log reopen", "after the log file was rotated")],
        "dissect" => &[
            ("dissect feed.pcap", "every message of the capture"),
            ("dissect feed.pcap.gz --type delta --topic 6V", "only the deltas of some topics"),
        ],
        "stop" => &[
            ("stop", "drain, stop and wait for the end; at most 45s"),
            ("stop --now", "stop without draining"),
        ],
        "ping" => &[("ping --timeout 1s", "exit with 0 if the daemon answers within a second")],
        "wait-ready" => &[
            ("wait-ready", "wait for at most 35s"),
            ("wait-ready --timeout 2m", "wait for at most 2 minutes"),
        ],
        "completions" => &[("completions bash", "print the script that bash reads")],
        "man" => &[
            ("man", "the overview"),
            ("man events", "the page of one verb"),
            ("man --dir man1", "all pages as files"),
        ],
        _ => &[],
    }
}

/// The examples as the end of a help; `None` of a verb without any.
pub(super) fn text(verb: &str) -> Option<String> {
    let examples = of(verb);
    if examples.is_empty() {
        return None;
    }
    let width = examples.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let line = |(command, what): &Example| format!("\n  touchline {command:<width$}  {what}");
    Some(format!("Examples:{}", examples.iter().map(line).collect::<String>()))
}
