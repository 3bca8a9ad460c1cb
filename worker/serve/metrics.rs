//! `/metrics`: OpenMetrics, of what this process counts and what the coordinator says.

use super::connections::Counts;
use super::http::{Answer, Body, ContentType, Status};
use super::run::{Counters, FeedLink, Gateway};
use serde_json::Value;
use std::fmt::Write;
use std::time::Duration;

impl Gateway {
    /// `pool`: what `status` and `workers` said, if they did.
    pub(super) fn metrics(&self, pool: Option<&str>) -> Answer {
        let mut page = Page::default();
        self.own(&mut page);
        if let Some(pool) = pool.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
            of_pool(&pool, &mut page);
        }
        page.text.push_str("# EOF\n");
        Answer { status: Status::Ok, content: ContentType::OpenMetrics, body: Body::Text(page.text) }
    }

    fn own(&self, page: &mut Page) {
        let (matches, live) = self.items.count();
        page.gauge("touchline_gateway_documents", "documents held", matches as f64);
        page.gauge(
            "touchline_gateway_documents_live",
            "of these, followed by a worker and not stale",
            live as f64,
        );
        let is_open = matches!(self.feed, FeedLink::Open { .. });
        page.gauge(
            "touchline_gateway_feed_up",
            "whether the recorder's feed is connected",
            f64::from(u8::from(is_open)),
        );
        let Counts { requests, event_streams, websockets, sockets } = self.connections.counts();
        page.begin("touchline_gateway_clients", "gauge", "connections that are open");
        for (kind, count) in [
            ("request", requests),
            ("event_stream", event_streams),
            ("websocket", websockets),
            ("socket_io", sockets),
        ] {
            page.sample("touchline_gateway_clients", &[("kind", kind)], count as f64);
        }
        let Counters { requests, refused, slow, conflated, sent_bytes, fed, published, unpublished } =
            self.counters;
        self.of_sockets(page);
        for (name, help, value) in [
            ("touchline_gateway_requests", "requests read", requests),
            ("touchline_gateway_refused", "connections above a bound", refused),
            ("touchline_gateway_slow", "streams ended since their client was too slow for its events", slow),
            ("touchline_gateway_conflated", "patches that stand for several states", conflated),
            ("touchline_gateway_sent_bytes", "bytes written to clients", sent_bytes),
            ("touchline_gateway_fed", "changes of documents that came from the recorder", fed),
            ("touchline_gateway_published", "messages of publishers", published),
            ("touchline_gateway_unpublished", "requests of publishers that were refused", unpublished),
            ("touchline_gateway_events", "events read from the store", self.events.count),
        ] {
            page.counter(name, help, value as f64);
        }
    }
}

impl Gateway {
    fn of_sockets(&self, page: &mut Page) {
        let sockets = &self.sockets;
        for (name, help, value) in [
            ("touchline_gateway_sessions", "sessions of Socket.IO", sockets.io.engine.len()),
            ("touchline_gateway_rooms", "rooms that somebody is in", sockets.rooms.count()),
            ("touchline_gateway_retained", "messages kept for who joins later", sockets.retained.len()),
        ] {
            page.gauge(name, help, value as f64);
        }
        for (name, help, value) in [
            ("touchline_gateway_received", "events of Socket.IO's clients", sockets.received),
            ("touchline_gateway_broadcasts", "messages to rooms", sockets.broadcasts),
            ("touchline_gateway_delivered", "the same, one for each client", sockets.delivered),
        ] {
            page.counter(name, help, value as f64);
        }
        let (name, help) =
            ("touchline_gateway_publish_age_seconds", "from POST /pub to the write to a client");
        page.histogram(name, help, &sockets.ages);
    }
}

/// Upper ends of what is counted together, seconds.
const AGES: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];

/// Times, counted by how long they are.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// Of each of [`AGES`], those that are not in the one before.
    counts: [u64; AGES.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    pub(super) fn count(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.count += 1;
        self.sum += seconds;
        if let Some(count) =
            AGES.iter().position(|age| seconds <= *age).and_then(|at| self.counts.get_mut(at))
        {
            *count += 1;
        }
    }
}

fn of_pool(pool: &Value, page: &mut Page) {
    let number = |path: &str| pool.pointer(path).and_then(Value::as_f64).unwrap_or(0.0);
    for (name, help, path) in [
        ("touchline_matches", "matches listed", "/status/matches/listed"),
        ("touchline_matches_live", "matches of which a load is held", "/status/matches/live"),
        ("touchline_matches_waiting", "matches that wait for a place", "/status/matches/waiting"),
        ("touchline_matches_stale", "matches of which nothing came for long", "/status/matches/stale"),
        ("touchline_workers_ready", "workers that take work", "/status/workers/ready"),
        (
            "touchline_gaps_open",
            "times in which a match is not followed that have not ended",
            "/status/recorder/gaps_open",
        ),
        ("touchline_recorder_queue", "what waits to be committed", "/status/recorder/queue"),
        ("touchline_recorder_events", "events committed, as far as they are kept", "/status/recorder/events"),
        ("touchline_uptime_seconds", "since the coordinator's start", "/status/uptime_s"),
    ] {
        page.gauge(name, help, number(path));
    }
    page.counter(
        "touchline_restarts",
        "starts after a death, of all children",
        number("/status/workers/restarts"),
    );
    page.counter(
        "touchline_dropped",
        "observations that workers declared lost",
        number("/status/recorder/dropped"),
    );
    let none = Vec::new();
    let workers = pool.pointer("/workers").and_then(Value::as_array).unwrap_or(&none);
    for (name, help, path, scale) in [
        ("touchline_worker_matches", "matches that a worker follows", "/matches", 1.0),
        ("touchline_worker_diffs_per_second", "changes that a worker reads", "/diffs_per_s", 1.0),
        ("touchline_worker_bytes_per_second", "bytes that a worker reads", "/bytes_per_s", 1.0),
        ("touchline_worker_busy_ratio", "the part of the time that a worker works", "/busy", 1.0),
        (
            "touchline_worker_lag_p50_seconds",
            "from a read to its section, half are below",
            "/lag_us/p50",
            1e-6,
        ),
        ("touchline_worker_lag_p99_seconds", "the same, 99 of 100 are below", "/lag_us/p99", 1e-6),
        ("touchline_worker_resident_bytes", "memory of a worker", "/rss_bytes", 1.0),
    ] {
        page.begin(name, "gauge", help);
        for worker in workers {
            let slot = worker.get("worker").map(Value::to_string).unwrap_or_default();
            let feed = worker.get("feed").and_then(Value::as_str).unwrap_or_default();
            if let Some(value) = worker.pointer(path).and_then(Value::as_f64) {
                page.sample(name, &[("worker", &slot), ("feed", feed)], value * scale);
            }
        }
    }
}

/// The text as it grows; writing to it cannot fail.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.begin(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// `name` without the `_total` that its sample has.
    fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.begin(name, "counter", help);
        self.sample(&format!("{name}_total"), &[], value);
    }

    fn histogram(&mut self, name: &str, help: &str, times: &Histogram) {
        self.begin(name, "histogram", help);
        let mut below = 0;
        let bucket = format!("{name}_bucket");
        for (age, count) in AGES.iter().zip(times.counts) {
            below += count;
            self.sample(&bucket, &[("le", &age.to_string())], below as f64);
        }
        self.sample(&bucket, &[("le", "+Inf")], times.count as f64);
        self.sample(&format!("{name}_count"), &[], times.count as f64);
        self.sample(&format!("{name}_sum"), &[], times.sum);
    }

    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let open = if place == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{open}{label}=\"{value}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_counted_below_each_age() {
        let mut times = Histogram::default();
        for millis in [0, 1, 3, 400, 60_000] {
            times.count(Duration::from_millis(millis));
        }
        let mut page = Page::default();
        page.histogram("age", "h", &times);
        for line in [
            "# TYPE age histogram",
            "age_bucket{le=\"0.001\"} 2",
            "age_bucket{le=\"0.005\"} 3",
            "age_bucket{le=\"0.5\"} 4",
            "age_bucket{le=\"5\"} 4",
            "age_bucket{le=\"+Inf\"} 5",
            "age_count 5",
            "age_sum 60.404",
        ] {
            assert!(page.text.lines().any(|found| found == line), "{line}: {}", page.text);
        }
    }

    #[test]
    fn a_label_cannot_end_its_line() {
        let worker = json!({"worker": 1, "feed": "a\"\n\\b", "diffs_per_s": 2.5, "lag_us": {"p50": 90}});
        let mut page = Page::default();
        of_pool(&json!({"status": {"workers": {"restarts": 3}}, "workers": [worker]}), &mut page);
        assert!(page.text.contains("touchline_restarts_total 3\n"), "{}", page.text);
        let line = r#"touchline_worker_diffs_per_second{worker="1",feed="a\"\n\\b"} 2.5"#;
        assert!(page.text.lines().any(|found| found == line), "{}", page.text);
        assert!(page.text.contains("# TYPE touchline_restarts counter\n"));
    }
}
