//! Headers of requests whose values are secrets: what feeds of kinds `poll` and `push` have. Read by `FeedConfig::read_headers`.

use super::section::section;
use crate::config::secret::Secret;
use std::collections::BTreeMap;

section! {
    pub struct SecretHeaders {
        /// Headers whose values are in the environment: name of the header, name of the variable.
        headers_env: BTreeMap<String, String> = BTreeMap::new(),
        /// Headers whose values are in files, in the first line: name of the header, path.
        headers_file: BTreeMap<String, String> = BTreeMap::new(),
        +
        /// The values, once resolved. Never read from or written to the file.
        values: BTreeMap<String, Secret>,
    }
}
