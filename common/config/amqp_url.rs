//! The address of a RabbitMQ: `amqp://user@host:port/vhost`, `amqps://` for TLS.
//!
//! Invariant: host and port are never empty; a password in the address is refused, so that no secret stands in a place that is printed.
//! User and virtual host may be percent-encoded, as such addresses are written elsewhere; without a host of its own it is `/`.

use super::url::bare_host;
use std::fmt;
use std::str::FromStr;

const PLAIN_PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;
/// The longest user or virtual host, in bytes.
const LONGEST: usize = 255;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmqpUrl {
    pub has_tls: bool,
    /// `guest` where none is named.
    pub user: String,
    /// A name or an address; without brackets also for IPv6.
    pub host: String,
    pub port: u16,
    /// The virtual host.
    pub vhost: String,
}

impl AmqpUrl {
    /// `host:port`, as resolvers take it; IPv6 in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for AmqpUrl {
    type Err = AmqpUrlError;

    fn from_str(text: &str) -> Result<Self, AmqpUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(AmqpUrlError::Scheme)?;
        let has_tls = match scheme {
            "amqp" => false,
            "amqps" => true,
            _ => return Err(AmqpUrlError::Scheme),
        };
        let (authority, vhost) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = authority.rsplit_once('@').unwrap_or(("guest", authority));
        if user.contains(':') {
            return Err(AmqpUrlError::Password);
        }
        let (host, port) = match place.rsplit_once(':') {
            // The colons of an IPv6 address without a port are within its brackets.
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(AmqpUrlError::Port)?)
            }
            Some(_) | None => (place, if has_tls { TLS_PORT } else { PLAIN_PORT }),
        };
        let host = bare_host(host).map_err(|_| AmqpUrlError::Host)?.to_owned();
        let user = decoded(user).filter(|user| !user.is_empty()).ok_or(AmqpUrlError::User)?;
        let vhost = decoded(if vhost.is_empty() { "/" } else { vhost }).ok_or(AmqpUrlError::VirtualHost)?;
        Ok(Self { has_tls, user, host, port, vhost })
    }
}

/// The text with each `%` and two digits as the byte that they stand for; `None`: it is no such text, or too long.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        rest = after;
        bytes.push(digits.iter().try_fold(0_u8, |byte, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(byte * 16 + digit as u8)
        })?);
    }
    let text = String::from_utf8(bytes).ok()?;
    (text.len() <= LONGEST && !text.chars().any(char::is_control)).then_some(text)
}

/// What is wrong with an address. The address is not repeated: it might carry a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmqpUrlError {
    Scheme,
    Password,
    User,
    Host,
    /// No number from 1 to 65535.
    Port,
    VirtualHost,
}

impl fmt::Display for AmqpUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "bad scheme, expected amqp://user@host:port/vhost, or amqps:// for TLS",
            Self::Password => {
                "a password in the address, expected it in `password_env` or `password_file` of [streams.rabbitmq_options]"
            }
            Self::User => "bad user, expected a name before the @",
            Self::Host => "bad host, expected a name, an IPv4 address or an IPv6 address in brackets",
            Self::Port => "bad port, expected a number from 1 to 65535",
            Self::VirtualHost => "bad virtual host, expected its name, percent-encoded, such as %2F",
        })
    }
}

impl std::error::Error for AmqpUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read() {
        for (text, has_tls, user, authority, vhost) in [
            ("amqp://bob@h:1/v", false, "bob", "h:1", "v"),
            ("amqps://bob@h", true, "bob", "h:5671", "/"),
            ("amqp://h", false, "guest", "h:5672", "/"),
            ("amqp://h/", false, "guest", "h:5672", "/"),
            ("amqp://a%40b@[::1]:7/%2Fx%20y", false, "a@b", "[::1]:7", "/x y"),
            ("amqp://u@[::1]/a/b", false, "u", "[::1]:5672", "a/b"),
        ] {
            let url: AmqpUrl = text.parse().unwrap();
            let found = (url.has_tls, url.user.as_str(), url.authority(), url.vhost.as_str());
            assert_eq!(found, (has_tls, user, authority.to_owned(), vhost), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_named_and_not_repeated() {
        for (text, error) in [
            ("h:1", AmqpUrlError::Scheme),
            ("http://h:1", AmqpUrlError::Scheme),
            ("amqp://bob:hunter2@h:1/v", AmqpUrlError::Password),
            ("amqp://@h:1", AmqpUrlError::User),
            ("amqp://a%zz@h:1", AmqpUrlError::User),
            ("amqp://u@", AmqpUrlError::Host),
            ("amqp://u@h h", AmqpUrlError::Host),
            ("amqp://u@h:0", AmqpUrlError::Port),
            ("amqp://u@h:", AmqpUrlError::Port),
            ("amqp://u@h/%2", AmqpUrlError::VirtualHost),
            ("amqp://u@h/%00", AmqpUrlError::VirtualHost),
        ] {
            let found = text.parse::<AmqpUrl>().unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains("hunter2"));
        }
    }
}
