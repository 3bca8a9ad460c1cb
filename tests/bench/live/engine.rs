//! What libcurl itself takes: a process that drives the worker's HTTP engine alone, at a fixed rate, and forgets what comes.

use super::cpu::used;
use crate::children::Child;
use crate::error::{BenchError, While};
use mio::{Events, Poll, Token};
use std::process::Stdio;
use std::time::{Duration, Instant};
use touchline_worker::net::Readiness;
use touchline_worker::net::http::{Http, Outcome, Request, Urgency};

const TOKEN: Token = Token(1);
const LONGEST: Duration = Duration::from_millis(100);
/// A shorter run would measure its start.
const WARM: Duration = Duration::from_secs(2);

/// Of one core, what the engine used for `rate` requests a second over `time`; `urls` are asked for in turn.
///
/// # Errors
/// When the process does not start, or a request fails.
pub fn engine_alone(urls: &[String], window: usize, rate: f64, time: Duration) -> Result<f64, BenchError> {
    let folder = tempfile::tempdir().during("making a folder")?;
    let file = folder.path().join("urls");
    std::fs::write(&file, urls.join("\n")).during("writing the urls")?;
    let mut command = Child::Engine.command();
    command.arg(&file).args([window.to_string(), rate.to_string(), time.as_secs_f64().to_string()]);
    let output = command.stderr(Stdio::null()).output().during("the engine alone")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(BenchError::new("the engine alone", text.trim()));
    }
    text.trim().parse().during("the engine alone")
}

/// The process: a file of urls, the window, requests a second, seconds.
///
/// # Errors
/// When an argument is missing, or a request fails.
pub fn engine(arguments: &[String]) -> Result<String, BenchError> {
    let [file, window, rate, seconds] = arguments else {
        return Err(BenchError::new("the engine alone", "expected a file, a window, a rate and seconds"));
    };
    let text = std::fs::read_to_string(file).during("reading the urls")?;
    let urls: Vec<&str> = text.lines().collect();
    let window: usize = window.parse().during("the window")?;
    let rate: f64 = rate.parse().during("the rate")?;
    let measured = Duration::from_secs_f64(seconds.parse().during("the seconds")?);
    let mut turning = Turning::new(window)?;
    let (began, mut started) = (Instant::now(), 0_usize);
    let mut before = None;
    loop {
        let elapsed = began.elapsed();
        if elapsed >= WARM && before.is_none() {
            before = Some(used([std::process::id()])?);
        }
        if elapsed >= WARM + measured {
            let time = used([std::process::id()])? - before.unwrap_or_default();
            return Ok((time.as_secs_f64() / measured.as_secs_f64()).to_string());
        }
        while (started as f64) < elapsed.as_secs_f64() * rate {
            let url = urls.get(started % urls.len().max(1)).copied().unwrap_or_default();
            turning.http.start(request(url), Instant::now()).during("a request")?;
            started += 1;
        }
        let next = Duration::from_secs_f64(started as f64 / rate);
        turning.turn(next.saturating_sub(began.elapsed()).min(LONGEST))?;
    }
}

struct Turning {
    poll: Poll,
    events: Events,
    http: Http,
}

impl Turning {
    fn new(window: usize) -> Result<Turning, BenchError> {
        Ok(Turning {
            poll: Poll::new().during("making the loop")?,
            events: Events::with_capacity(64),
            http: Http::new(TOKEN, window, window).during("making the engine")?,
        })
    }

    fn turn(&mut self, longest: Duration) -> Result<(), BenchError> {
        let due = self.http.deadline().map_or(longest, |due| due.saturating_duration_since(Instant::now()));
        // An interrupted wait is a short one.
        let _ = self.poll.poll(&mut self.events, Some(due.min(longest)));
        for event in &self.events {
            self.http.note(event.token(), Readiness::of(event));
        }
        self.http.advance(self.poll.registry(), Instant::now());
        while let Some((_, outcome)) = self.http.next() {
            if let Outcome::Failed(why) = outcome {
                return Err(BenchError::new("a request", why));
            }
        }
        Ok(())
    }
}

fn request(url: &str) -> Request {
    Request {
        url: url.to_owned(),
        headers: Vec::new(),
        proxy: String::new(),
        ca_file: String::new(),
        insecure: false,
        whole: Duration::from_secs(60),
        idle: Duration::from_secs(30),
        body_limit: 1 << 20,
        urgency: Urgency::Normal,
    }
}
