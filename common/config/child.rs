//! The configuration as the coordinator hands it to its children, and the resolving of the secrets in it.
//!
//! Invariant: the only text with a secret in it, a password or a header's value, is [`Config::to_child_json`]'s, which goes through a socketpair and
//! nowhere else.

use super::{Config, FeedConfig, GatewayConfig, Headers, Secret};
use std::collections::BTreeMap;

/// A password is at most this long; a longer file is the wrong file.
const MAX_PASSWORD: usize = 4096;

impl Config {
    /// The whole configuration with the resolved secrets, for `Welcome`.
    ///
    /// # Errors
    /// A path in it that is no UTF-8.
    pub fn to_child_json(&self) -> Result<String, String> {
        let passwords: Vec<&str> = self.feed.iter().map(|feed| feed.password.expose()).collect();
        let headers: Vec<_> = self.feed.iter().map(FeedConfig::all_headers).collect();
        let mut streams = self.streams.clone();
        let sinks = streams.passwords().map(|password| password.expose().to_owned());
        serde_json::to_string(&(self, passwords, headers, sinks))
            .map_err(|error| format!("the configuration cannot be handed to a child: {error}"))
    }

    /// The other way.
    ///
    /// # Errors
    /// Text that is not from [`Config::to_child_json`] of this build. The text itself is not repeated.
    pub fn from_child_json(json: &str) -> Result<Self, String> {
        type Whole = (Config, Vec<String>, Vec<BTreeMap<String, String>>, Vec<String>);
        let (mut config, passwords, headers, sinks): Whole = serde_json::from_str(json).map_err(|error| {
            // The message of a wrong value would repeat it, and it may be a secret.
            let (line, column) = (error.line(), error.column());
            format!("the coordinator's configuration cannot be read at {line}:{column}: not of this build")
        })?;
        for ((feed, password), headers) in config.feed.iter_mut().zip(passwords).zip(headers) {
            feed.password = Secret::new(password);
            feed.headers = Headers::new(headers);
        }
        for (place, password) in config.streams.passwords().into_iter().zip(sinks) {
            *place = Secret::new(password);
        }
        Ok(config)
    }
}

impl GatewayConfig {
    /// The token that readers must have, in the first line of its file; `None`: whoever reaches it may read.
    ///
    /// # Errors
    /// Where it was looked for and not found; no secret is in it.
    pub fn read_token(&self) -> Result<Option<Secret>, String> {
        first_line(&self.read_token_file)
    }

    /// The secret that publishers must have; `None`: nobody publishes.
    ///
    /// # Errors
    /// As [`GatewayConfig::read_token`].
    pub fn pub_secret(&self) -> Result<Option<Secret>, String> {
        first_line(&self.pub_secret_file)
    }

    /// The password of the Redis where gateways meet.
    ///
    /// # Errors
    /// As [`GatewayConfig::read_token`].
    pub fn redis_password(&self) -> Result<Option<Secret>, String> {
        first_line(&self.redis_password_file)
    }
}

fn first_line(file: &str) -> Result<Option<Secret>, String> {
    if file.is_empty() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: cannot read it: {error}"))?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() || line.len() > MAX_PASSWORD {
        return Err(format!("{file}: no token in its first line"));
    }
    Ok(Some(Secret::new(line.to_owned())))
}

impl FeedConfig {
    /// The password from where the feed says it is; an empty one, if it says nothing.
    ///
    /// # Errors
    /// Where it was looked for and not found; no secret is in it.
    pub fn read_password(&self) -> Result<Secret, String> {
        read_password(&self.password_env, &self.password_file)
    }

    /// The headers whose values the feed says are in the environment or in files.
    ///
    /// # Errors
    /// The setting, and where its value was looked for and not found; no secret is in it.
    pub fn read_headers(&self) -> Result<BTreeMap<String, Secret>, (&'static str, String)> {
        let read = |key, name: &String, env: &str, file: &str| match read_password(env, file) {
            Ok(value) => Ok((name.clone(), value)),
            Err(why) => {
                // The words are those of a password's two settings.
                let place = why.split_once(": ").map_or(why.as_str(), |(_, place)| place);
                Err((key, format!("{name}: {place}")))
            }
        };
        let env =
            self.secret_headers.headers_env.iter().map(|(name, env)| read("headers_env", name, env, ""));
        let file =
            self.secret_headers.headers_file.iter().map(|(name, file)| read("headers_file", name, "", file));
        env.chain(file).collect()
    }

    fn all_headers(&self) -> BTreeMap<&str, &str> {
        let written = self.headers.expose().iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let secret = self.secret_headers.values.iter().map(|(name, value)| (name.as_str(), value.expose()));
        written.chain(secret).collect()
    }
}

/// The password in the environment variable `env`, else in the first line of `file`; an empty one, if neither is named.
///
/// # Errors
/// Where it was looked for and not found; no secret is in it.
pub fn read_password(env: &str, file: &str) -> Result<Secret, String> {
    if !env.is_empty() {
        return std::env::var(env)
            .map(Secret::new)
            .map_err(|_| format!("password_env: the environment has no text in {env}"));
    }
    if file.is_empty() {
        return Ok(Secret::default());
    }
    let text = std::fs::read_to_string(file).map_err(|error| format!("password_file {file}: {error}"))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() || line.len() > MAX_PASSWORD {
        return Err(format!("password_file {file}: expected a password in its first line"));
    }
    Ok(Secret::new(line.to_owned()))
}
