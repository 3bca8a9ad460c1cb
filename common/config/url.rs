//! The address of a feed: `dpt://host:port`, `tcp://host:port`, `wss://host:port/path`.
//!
//! Invariant: host and port are never empty; a login in the address is refused, so that no secret stands in a place
//! that is printed.

use super::units::as_text;
use std::fmt;
use std::str::FromStr;

/// How bytes travel to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Dpt,
    Dpts,
    /// A bare stream, as rooms have it.
    Tcp,
    Ws,
    Wss,
}

impl Transport {
    pub const ALL: [Self; 5] = [Self::Dpt, Self::Dpts, Self::Tcp, Self::Ws, Self::Wss];

    pub const fn has_tls(self) -> bool {
        match self {
            Self::Dpts | Self::Wss => true,
            Self::Dpt | Self::Tcp | Self::Ws => false,
        }
    }

    pub const fn is_websocket(self) -> bool {
        match self {
            Self::Ws | Self::Wss => true,
            Self::Dpt | Self::Dpts | Self::Tcp => false,
        }
    }

    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Dpt => "dpt",
            Self::Dpts => "dpts",
            Self::Tcp => "tcp",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    pub transport: Transport,
    /// A name or an address; without brackets also for IPv6.
    pub host: String,
    /// The port, not 0.
    pub port: u16,
    /// Path and query, empty or beginning with `/`.
    pub path: String,
}

impl Url {
    pub fn new(transport: Transport, host: &str, port: u16) -> Self {
        Self { transport, host: host.to_owned(), port, path: String::new() }
    }

    /// `host:port`, as resolvers take it; IPv6 in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl Default for Url {
    fn default() -> Self {
        Self::new(Transport::Dpt, "127.0.0.1", 8080)
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let transport = Transport::ALL.into_iter().find(|t| t.scheme() == scheme).ok_or(UrlError::Scheme)?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        if authority.contains('@') {
            return Err(UrlError::Login);
        }
        let (host, port) = authority.rsplit_once(':').ok_or(UrlError::NoPort)?;
        let host = bare_host(host)?;
        let port = port.parse::<u16>().ok().filter(|&port| port > 0).ok_or(UrlError::Port)?;
        let path = if path == "/" { "" } else { path };
        match transport {
            Transport::Dpt | Transport::Dpts | Transport::Tcp if !path.is_empty() => Err(UrlError::Path),
            Transport::Ws | Transport::Wss if path.chars().any(|c| c.is_control() || c == ' ') => {
                Err(UrlError::Path)
            }
            Transport::Dpt | Transport::Dpts | Transport::Tcp | Transport::Ws | Transport::Wss => {
                Ok(Self { transport, host: host.to_owned(), port, path: path.to_owned() })
            }
        }
    }
}

pub(super) fn bare_host(host: &str) -> Result<&str, UrlError> {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().map(|_| inner).map_err(|_| UrlError::Host);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() || host.len() > 253 || !host.chars().all(allowed) {
        Err(UrlError::Host)
    } else {
        Ok(host)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.transport.scheme(), self.authority(), self.path)
    }
}

as_text!(Url, "an address as text, such as \"dpt://127.0.0.1:8080\"");

/// What is wrong with an address. The address is not repeated: it might carry a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    Scheme,
    Login,
    NoPort,
    /// No number from 1 to 65535.
    Port,
    Host,
    /// A path where none belongs, or a bad one.
    Path,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => {
                "bad scheme, expected dpt://, dpts://, tcp://, ws:// or wss:// and then host:port"
            }
            Self::Login => {
                "a login in the address, expected it in `username` and `password_env` or `password_file`"
            }
            Self::NoPort => "no port, expected scheme://host:port",
            Self::Port => "bad port, expected a number from 1 to 65535",
            Self::Host => "bad host, expected a name, an IPv4 address or an IPv6 address in brackets",
            Self::Path => "bad path, expected nothing after the port (a path is for ws and wss only)",
        })
    }
}

impl std::error::Error for UrlError {}
