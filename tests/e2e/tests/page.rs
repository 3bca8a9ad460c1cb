//! The live page in a real browser: what it shows, its layout at three widths, accessibility, hostile names, a gateway that dies.
//! `tests/peers/page/look.cjs` looks; here are the processes. Screenshots are kept under the target folder.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use touchline_e2e::rooms::{Over, RoomSite, ranked};
use touchline_e2e::{BACK, LIVE, Site};
use touchline_harness::consumer::skip;
use touchline_harness::{process, wait};
use touchline_simulator::Options;
use touchline_simulator::rooms::RoomOptions;

/// The packages of the browser's scripts, and the browser; `None`: they are not installed.
fn browser() -> Option<(OsString, OsString)> {
    let found = std::env::var_os("TOUCHLINE_PAGE_PEER").zip(std::env::var_os("TOUCHLINE_BROWSER"));
    if found.is_none() {
        skip("a browser (TOUCHLINE_PAGE_PEER or TOUCHLINE_BROWSER is not set)");
    }
    found
}

fn address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// What a script of the browser says; it must be content.
fn look(script: &str, (modules, browser): (OsString, OsString), arguments: &[&str]) -> String {
    let output = Command::new("timeout")
        .args(["120", "node"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/page").join(script))
        .args(arguments)
        .env("NODE_PATH", modules)
        .env("TOUCHLINE_BROWSER", browser)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.into_owned()
}

/// Where screenshots are kept.
fn screenshots() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_room_reads_like_a_chat() {
    let Some(browser) = browser() else { return };
    let address = address();
    let options = RoomOptions { rooms: 3, ..RoomOptions::default() };
    let site = RoomSite::live(&options, Over::Tcp, |_, server| {
        format!("{}\n[gateway]\nlisten = \"{address}\"\n", ranked(server, ""))
    });
    site.wait_for_status("the gateway", LIVE, |status| status["gateway"]["state"] == "ready");
    let room = site.server.truth().rooms()[0].to_string();
    let screenshot = screenshots().join("chat.png");
    look("chat.cjs", browser, &[&format!("http://{address}/"), &room, &screenshot.display().to_string()]);
}

#[test]
fn a_browser_shows_250_matches_as_they_are() {
    let Some(browser) = browser() else { return };
    let address = address();
    let options = Options { matches: 250, rate: 2_000.0, ..Options::default() };
    let site = Site::live(&options, &format!("[gateway]\nlisten = \"{address}\"\n"));
    site.wait_for_status("the gateway", LIVE, |status| status["gateway"]["state"] == "ready");
    let gateway = wait::until("the gateway's process", BACK, || {
        process::children(site.daemon.pid()).into_iter().find(|pid| process::is_gateway(*pid))
    });
    let screenshots = screenshots().display().to_string();
    let said =
        look("look.cjs", browser, &[&format!("http://{address}/"), &gateway.to_string(), &screenshots]);
    eprintln!("the page's thread at 250 matches and 2,000 changes a second: {said}");
}
