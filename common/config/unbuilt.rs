//! Settings of parts that this version does not have: set to anything but their default, they are refused.
//!
//! Invariant: `not in this build` stands in each message, so that no setting seems to work that does nothing.
//! Whoever builds a part removes its line here.

use super::Config;
use super::check::Findings;
use super::locate::Place;
use super::sections::{SandboxConfig, SandboxMode};
use super::streams::StreamsConfig;
use serde::Serialize;

const LEFT_OUT: &str = "expected it to be left out";

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    if cfg!(not(feature = "kafka")) {
        let StreamsConfig { kafka, kafka_options, .. } = config.streams.clone();
        let unbuilt = StreamsConfig { kafka, kafka_options, ..StreamsConfig::default() };
        refuse_all("streams", &unbuilt, findings);
    }
    let sandbox = &config.sandbox;
    match sandbox.mode {
        SandboxMode::Off | SandboxMode::BestEffort => {}
        SandboxMode::Strict => {
            let expected = "expected \"off\" or \"best-effort\"";
            refuse(&Place::key("sandbox", "mode"), "mode", expected, findings);
        }
    }
    refuse_all("sandbox", &SandboxConfig { mode: SandboxMode::default(), ..sandbox.clone() }, findings);
}

/// Refuses each key of a table that is set to anything but its default.
fn refuse_all<T: Default + Serialize>(name: &str, table: &T, findings: &mut Findings<'_>) {
    // Plain data with text keys, which TOML can always write.
    let keys = |table: &T| toml::Table::try_from(table).unwrap_or_default();
    let built = keys(&T::default());
    for (key, _) in keys(table).iter().filter(|(key, value)| built.get(*key) != Some(value)) {
        refuse(&Place::key(name, key), key, LEFT_OUT, findings);
    }
}

fn refuse(place: &Place, key: &str, expected: &str, findings: &mut Findings<'_>) {
    findings.add(place, format!("`{key}` is set to what is not in this build"), expected);
}
