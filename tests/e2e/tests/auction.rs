//! The example of an auction before two gateways that meet in a Redis: a bid placed at one is on every page, a page that was away shows the
//! truth when it is back, and a gateway that is killed in the last second costs no bid.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use touchline_e2e::BACK;
use touchline_e2e::brokers::Redis;
use touchline_e2e::served::{Peer, Served, ask, free};
use touchline_harness::consumer::Own;
use touchline_harness::process::Reaper;
use touchline_harness::{process, wait};

/// Bids whose way to the pages is timed, and how long it may take for nine in ten of them.
const TIMED: u64 = 40;
const SOON: Duration = Duration::from_millis(100);
/// How long the auction goes on.
const ENDS: u64 = 60;
/// Bids around the death of a gateway.
const LAST: u64 = 30;

/// The example's processes before two gateways.
struct Auction {
    gateways: [Served; 2],
    address: SocketAddr,
    _processes: [Own; 2],
    _redis: Redis,
    _folder: tempfile::TempDir,
}

fn example(role: &str, arguments: &[String], log: &Path) -> Own {
    let python = std::env::var_os("TOUCHLINE_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/examples/auction/auction.py");
    let process = Own::start(Command::new(python).arg(script).arg(role).args(arguments), log);
    wait::until(role, BACK, || std::fs::read_to_string(log).ok()?.contains("ing\n").then_some(()));
    process
}

impl Auction {
    fn start() -> Option<Auction> {
        let redis = Redis::start()?;
        let address = free();
        let settings = format!("redis = \"{}\"\norigins = [\"http://{address}\"]\n", redis.url());
        let gateways = [Served::start(0.0, &settings), Served::start(0.0, &settings)];
        let folder = tempfile::tempdir().unwrap();
        let each = |scheme: &str, of: fn(&Served) -> SocketAddr| -> Vec<String> {
            gateways
                .iter()
                .flat_map(|one| ["--gateway".to_owned(), format!("{scheme}://{}", of(one))])
                .collect()
        };
        let common = ["--redis".to_owned(), redis.url()];
        let mut serve = [&common[..], &each("ws", |one| one.readers)].concat();
        let own = ["--listen", &address.to_string(), "--item", "100", "--ends", &ENDS.to_string()];
        serve.extend(own.map(str::to_owned));
        let mut publish = [&common[..], &each("http", |one| one.publishers)].concat();
        publish.extend(["--secret-file".to_owned(), gateways[0].secret.display().to_string()]);
        let processes = [
            example("serve", &serve, &folder.path().join("serve.log")),
            example("publish", &publish, &folder.path().join("publish.log")),
        ];
        Some(Auction { gateways, address, _processes: processes, _redis: redis, _folder: folder })
    }

    fn bid(&self, price: u64) {
        let body = json!({ "price": price, "bidder": format!("bidder {price}") }).to_string();
        let length = body.len();
        let request = format!("POST /bid HTTP/1.0\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}");
        let (status, why) = ask(self.address, &request);
        assert_eq!(status, 200, "{why}");
    }

    fn client(&self, gateway: usize) -> Option<Peer> {
        let peer = self.gateways[gateway].peer("?itemId=100", "websocket", "")?;
        peer.connected();
        Some(peer)
    }
}

fn price(peer: &Peer) -> u64 {
    peer.event("bid")[0]["price"].as_u64().unwrap()
}

#[test]
fn a_bid_is_on_every_page_soon_and_none_is_lost_with_a_gateway() {
    let _reaper = Reaper::new();
    let Some(auction) = Auction::start() else { return };
    let Some(one) = auction.client(0) else { return };
    let two = auction.client(1).unwrap();
    let mut took = Vec::new();
    for price_bid in 1..=TIMED {
        let began = Instant::now();
        auction.bid(price_bid);
        assert_eq!((price(&one), price(&two)), (price_bid, price_bid));
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let most = took[took.len() * 9 / 10];
    assert!(most <= SOON, "nine in ten bids took {most:?}, at the most {:?}", took.last().unwrap());
    // A page that comes late, at either.
    for gateway in [0, 1] {
        assert_eq!(price(&auction.client(gateway).unwrap()), TIMED);
    }
    // The gateway that the publisher is at is killed among the last bids.
    let mut heard = Vec::new();
    for price_bid in TIMED + 1..=TIMED + LAST {
        if price_bid == TIMED + LAST / 2 {
            process::send(auction.gateways[0].pid().unwrap(), Signal::SIGKILL);
        }
        auction.bid(price_bid);
        heard.push(price(&two));
    }
    assert_eq!(heard, (TIMED + 1..=TIMED + LAST).collect::<Vec<u64>>(), "each once, in their order");
    // The client of the one that died is back, and shows the truth.
    one.next("the newest bid", |line| line["args"][0]["price"] == TIMED + LAST);
    // Too low, and none of the publisher's business.
    let body = r#"{"price":1,"bidder":"late"}"#;
    let (status, why) = ask(
        auction.address,
        &format!("POST /bid HTTP/1.0\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    );
    assert!(status == 409 && why.contains("leading bid is"), "{status} {why}");
}

#[test]
fn a_browser_shows_bids_and_bids() {
    let (Some(browser), Some(modules)) =
        (std::env::var_os("TOUCHLINE_BROWSER"), std::env::var_os("TOUCHLINE_PAGE_PEER"))
    else {
        assert!(std::env::var_os("CI").is_none(), "TOUCHLINE_BROWSER is not set; scripts/test sets it");
        return eprintln!(
            "SKIPPED: TOUCHLINE_BROWSER or TOUCHLINE_PAGE_PEER is not set (scripts/need-browser installs both)"
        );
    };
    let _reaper = Reaper::new();
    let Some(auction) = Auction::start() else { return };
    let mut command = Command::new("node");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/page/auction.cjs"));
    command
        .arg(format!("http://{}/", auction.address))
        .env("TOUCHLINE_BROWSER", browser)
        .env("NODE_PATH", modules);
    let mut page = Peer::of(command);
    let shows = |page: &Peer, what: &str, is: &dyn Fn(&Value) -> bool| {
        page.next(what, |line| {
            assert_ne!(line["event"], "trouble", "{line}");
            is(line)
        })
    };
    shows(&page, "the connection", &|line| line["state"] == "live");
    auction.bid(5);
    shows(&page, "a bid of another", &|line| line["price"] == "5" && line["bidder"] == "bidder 5");
    page.say(&json!(["ann", 7]));
    shows(&page, "its own bid", &|line| line["price"] == "7" && line["bidder"] == "ann");
    // Away, and back at the other gateway.
    process::send(auction.gateways[0].pid().unwrap(), Signal::SIGKILL);
    auction.bid(9);
    shows(&page, "the bid that it may have missed", &|line| line["price"] == "9" && line["state"] == "live");
}
