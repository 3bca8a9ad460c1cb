//! Answers as bad servers give them: each is named in `status`, costs its source alone, and is over with the first good answer.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{Duration, Instant};
use touchline_e2e::https::Https;
use touchline_e2e::poll::{PollSite, catalogues};
use touchline_harness::fixture::quoted;
use touchline_harness::{process, wait};
use touchline_simulator::api::{Api, ApiOptions, Behaviour};

const BACK: Duration = Duration::from_secs(60);
/// The source that is ill.
const ILL: &str = "/catalogue/1";

/// Documents that change all the time: no answer is like the one before.
fn restless(documents: usize) -> Api {
    Api::start(&ApiOptions { matches: 0, documents, rate: 50.0, ..ApiOptions::default() }).unwrap()
}

/// Two sources that have so long for an answer.
fn start(whole: &str) -> PollSite {
    let api = restless(2);
    let feed = catalogues(&api, 2, "500ms", "")
        .replace("title = \"/title\"", &format!("title = \"/title\"\nwhole = \"{whole}\""));
    let site = PollSite::of(api, &feed, |_| {});
    site.wait_live(2);
    site
}

fn failing(site: &PollSite) -> u64 {
    site.count("/feeds/0/sources/failing")
}

/// Why the one fails that does.
fn why(site: &PollSite) -> Option<String> {
    Some(site.status("/feeds/0/sources/worst/why")?.as_str()?.to_owned())
}

#[test]
fn what_a_bad_server_does_is_named_and_over_with_the_next_good_answer() {
    let site = start("1500ms");
    for (behaviour, words) in [
        (Behaviour::Trickle(1, Duration::from_secs(1)), "not complete in time"),
        (Behaviour::Cut, "ended before it was complete"),
        (Behaviour::Html, "HTML or XML where JSON was promised"),
        (Behaviour::Circle, "redirects too often, or to where it may not lead"),
        (Behaviour::ToFile, "redirects too often, or to where it may not lead"),
        (Behaviour::Status(502), "status 502"),
    ] {
        site.api.behave(ILL, behaviour);
        wait::until(words, BACK, || why(&site).filter(|why| why.contains(words)));
        assert_eq!(failing(&site), 1, "{behaviour:?} costs its source alone");
        site.api.behave(ILL, Behaviour::Prompt);
        wait::until("a good answer", BACK, || (failing(&site) == 0).then_some(()));
    }
    site.wait_live(2);
    assert_eq!(site.count("/workers/restarts"), 0);
}

#[test]
fn an_answer_that_is_longer_than_its_head_says_is_no_answer() {
    let site = start("30s");
    let number = || site.document("course-1").unwrap()["extra"]["course-1"]["change"].as_u64().unwrap();
    site.api.behave(ILL, Behaviour::Understated);
    // What was asked before is over with the second request from now on.
    let wait_for = |more: u64| {
        let before = site.asked(ILL).requests;
        wait::until("requests", BACK, || (site.asked(ILL).requests >= before + more).then_some(()));
    };
    wait_for(2);
    let before = number();
    wait_for(3);
    assert_eq!(number(), before, "half an answer says nothing");
    site.api.behave(ILL, Behaviour::Prompt);
    wait::until("a whole answer", BACK, || (number() > before).then_some(()));
}

#[test]
fn a_refused_key_is_one_clear_line_and_no_hammering() {
    let site = start("30s");
    site.api.behave(ILL, Behaviour::Status(401));
    let words = "refuses the key or the login";
    site.daemon.wait_for_log(words, BACK);
    let (asked, until) = (site.asked(ILL).requests, Instant::now() + Duration::from_secs(6));
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(site.asked(ILL).requests, asked, "it is asked again after half a minute at the earliest");
    let log = site.daemon.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(words)).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("course-1") && lines[0].contains("401"), "{lines:?}");
    assert!(why(&site).unwrap().contains(words), "it is in the status, too");
}

#[test]
fn a_server_without_tls_where_it_was_promised_is_named() {
    let api = restless(2);
    let plain = format!("http://{}{ILL}", api.address);
    let feed = catalogues(&api, 2, "500ms", "");
    assert!(feed.contains(&plain), "{feed}");
    let site = PollSite::of(api, &feed.replace(&plain, &plain.replace("http:", "https:")), |_| {});
    site.wait_live(1);
    let why = wait::until("why", BACK, || why(&site));
    assert!(why.contains("TLS failed") && why.contains("ca_file"), "{why}");
}

#[test]
fn a_server_whose_certificate_nobody_knows_is_named_and_asked_for_nothing() {
    let https = Https::start(r#"{"title":"Course of the secret server"}"#);
    let secure = format!("https://{}{ILL}", https.address);
    let feed = |api: &Api| {
        let feed = catalogues(api, 2, "500ms", "");
        let plain = format!("http://{}{ILL}", api.address);
        assert!(feed.contains(&plain), "{feed}");
        feed.replace(&plain, &secure)
    };
    let api = restless(2);
    let text = feed(&api);
    let site = PollSite::of(api, &text, |_| {});
    site.wait_live(1);
    let why = wait::until("why", BACK, || why(&site));
    assert!(why.contains("TLS failed") && why.contains("ca_file"), "{why}");
    assert_eq!(https.answered(), 0, "no key or cookie is told to whoever it is");
    drop(site);
    // With its authority it is a source like others.
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), &https.authority).unwrap();
    let api = restless(2);
    let text = feed(&api);
    let trusts = format!("kind = \"poll\"\nca_file = {}", quoted(authority.path()));
    let site = PollSite::of(api, &text.replace("kind = \"poll\"", &trusts), |_| {});
    site.wait_live(2);
    assert!(https.answered() > 0);
}

#[test]
fn an_address_that_is_neither_http_nor_https_is_refused_by_check() {
    let api = restless(1);
    let folder = tempfile::tempdir().unwrap();
    let plain = format!("http://{}/catalogue/0", api.address);
    for url in ["file:///etc/hostname", "ftp://127.0.0.1/a", "gopher://127.0.0.1/", "/etc/hostname"] {
        let feed = catalogues(&api, 1, "500ms", "").replace(&plain, url);
        std::fs::write(folder.path().join("touchline.toml"), &feed).unwrap();
        let checked = process::run(folder.path(), &["check", "--config", "touchline.toml"]);
        assert!(!checked.status.success(), "{url}");
        let said = [checked.stdout, checked.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
        let line = feed.lines().position(|line| line.starts_with("url = ")).unwrap() + 1;
        assert!(said.contains(&format!("touchline.toml:{line}")), "where: {url}: {said}");
        assert!(said.contains("http://") && said.contains("https://"), "what is expected: {url}: {said}");
    }
    assert_eq!(api.requests(), 0, "nothing is asked by a check");
}
