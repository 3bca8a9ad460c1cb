//! The live page in a real browser: what it shows, its layout at three widths, accessibility, hostile names, a gateway that dies.
//! `tests/peers/page/look.cjs` looks; here are the processes. Screenshots are kept under the target folder.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use touchline_e2e::{BACK, LIVE, Site};
use touchline_harness::{process, wait};
use touchline_simulator::Options;

#[test]
fn a_browser_shows_250_matches_as_they_are() {
    let peer = std::env::var_os("TOUCHLINE_PAGE_PEER").zip(std::env::var_os("TOUCHLINE_BROWSER"));
    let Some((modules, browser)) = peer else {
        assert!(
            std::env::var_os("CI").is_none(),
            "TOUCHLINE_PAGE_PEER and TOUCHLINE_BROWSER are not set; scripts/test sets them"
        );
        eprintln!("SKIPPED: TOUCHLINE_PAGE_PEER is not set (scripts/need-browser installs it)");
        return;
    };
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let options = Options { matches: 250, rate: 2_000.0, ..Options::default() };
    let site = Site::live(&options, &format!("[gateway]\nlisten = \"{address}\"\n"));
    site.wait_for_status("the gateway", LIVE, |status| status["gateway"]["state"] == "ready");
    let gateway = wait::until("the gateway's process", BACK, || {
        process::children(site.daemon.pid()).into_iter().find(|pid| process::is_gateway(*pid))
    });
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&screenshots).unwrap();

    let output = Command::new("timeout")
        .args(["120", "node"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/page/look.cjs"))
        .args([format!("http://{address}/"), gateway.to_string()])
        .arg(&screenshots)
        .env("NODE_PATH", modules)
        .env("TOUCHLINE_BROWSER", browser)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    eprintln!("the page's thread at 250 matches and 2,000 changes a second: {said}");
}
