//! Configuration files of any bytes: mistakes are seen, and what is accepted reaches the children unchanged.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchline_common::config::Config;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    match Config::parse(&text, "fuzz.toml") {
        Ok(config) => {
            let seen = config.to_child_json().unwrap();
            assert_eq!(Config::from_child_json(&seen).unwrap().to_child_json().unwrap(), seen);
        }
        Err(errors) => {
            assert!(!errors.mistakes().is_empty());
            let _ = (errors.to_string(), errors.one_line());
        }
    }
});
