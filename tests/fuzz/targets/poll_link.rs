//! Link headers of anybody: the next page is always at the server that was asked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchline_worker::feed::poll::next_page;

const SERVERS: [&str; 2] = ["http://h", "https://h.example:8443"];

fuzz_target!(|header: &str| {
    for server in SERVERS {
        for base in [server.to_owned(), format!("{server}/list?page=1"), format!("{server}?page=1")] {
            let Some(Ok(url)) = next_page(&base, header) else { continue };
            let rest = url.strip_prefix(server).expect("the same server");
            assert!(rest.is_empty() || rest.starts_with(['/', '?']), "{url}");
        }
    }
    let _ = next_page(header, header);
});
