//! From a captured packet to the piece of a TCP stream in it: link, IP and TCP heads.
//!
//! Heads are read as far as the stream needs them; checksums are not looked at, since captures on the sending host have
//! none yet. What is no TCP is reported, for the caller to count.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    pub from: SocketAddr,
    pub to: SocketAddr,
    /// The number of its first byte.
    pub number: u32,
    /// Whether it opens, ends or breaks off the stream.
    pub flags: Flags,
    /// What was captured of its bytes.
    pub payload: &'a [u8],
    /// How many more it had than were captured.
    pub missing: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// The first segment of a side.
    pub fn opens(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// It acknowledges something: an opening one is then the answer.
    pub fn acknowledges(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// The last segment of a side.
    pub fn ends(self) -> bool {
        self.0 & 0x01 != 0
    }

    pub fn resets(self) -> bool {
        self.0 & 0x04 != 0
    }
}

/// Why a packet has no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Its link's type is not known.
    Link(u32),
    /// It is no IP, or no TCP.
    Other,
    Fragment,
    /// A head is not whole.
    Cut,
}

/// The segment in a packet of a link's type.
pub fn segment(link: u32, data: &[u8]) -> Result<Segment<'_>, Passed> {
    ip(network(link, data)?)
}

/// What stands behind the link's head.
fn network(link: u32, data: &[u8]) -> Result<&[u8], Passed> {
    let behind = |size: usize| data.get(size..).ok_or(Passed::Cut);
    match link {
        // The loopback of BSD; the family before it is the capturing host's, and IP says itself what it is.
        0 | 108 => behind(4),
        1 => ethernet(data),
        12 | 14 | 101 | 228 | 229 => behind(0),
        113 => typed(data, 14, 16),
        276 => typed(data, 0, 20),
        other => Err(Passed::Link(other)),
    }
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// A head with the protocol's number at `at`, `size` bytes in all.
fn typed(data: &[u8], at: usize, size: usize) -> Result<&[u8], Passed> {
    match u16_at(data, at)? {
        IPV4 | IPV6 => data.get(size..).ok_or(Passed::Cut),
        _ => Err(Passed::Other),
    }
}

/// Behind at most two tags of virtual networks.
fn ethernet(data: &[u8]) -> Result<&[u8], Passed> {
    let mut at = 12;
    for _ in 0..2 {
        if !matches!(u16_at(data, at)?, 0x8100 | 0x88a8 | 0x9100) {
            break;
        }
        at += 4;
    }
    typed(data, at, at + 2)
}

fn u16_at(data: &[u8], at: usize) -> Result<u16, Passed> {
    let two = data.get(at..).and_then(|rest| rest.first_chunk::<2>()).ok_or(Passed::Cut)?;
    Ok(u16::from_be_bytes(*two))
}

fn ip(data: &[u8]) -> Result<Segment<'_>, Passed> {
    match data.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(data),
        Some(6) => ipv6(data),
        Some(_) => Err(Passed::Other),
        None => Err(Passed::Cut),
    }
}

const TCP: u8 = 6;

fn ipv4(data: &[u8]) -> Result<Segment<'_>, Passed> {
    let Some((head, _)) = data.split_first_chunk::<20>() else { return Err(Passed::Cut) };
    let size = usize::from(head[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if head[9] != TCP {
        return Err(Passed::Other);
    }
    // All bits but "do not fragment".
    if u16::from_be_bytes([head[6], head[7]]) & 0x3fff != 0 {
        return Err(Passed::Fragment);
    }
    if size < 20 {
        return Err(Passed::Other);
    }
    let from = Ipv4Addr::new(head[12], head[13], head[14], head[15]);
    let to = Ipv4Addr::new(head[16], head[17], head[18], head[19]);
    // Network cards that cut segments themselves leave the length at 0.
    let length = if total == 0 { data.len() } else { total };
    let body = data.get(size..length.min(data.len())).ok_or(Passed::Cut)?;
    tcp(from.into(), to.into(), body, length.saturating_sub(data.len()))
}

fn ipv6(data: &[u8]) -> Result<Segment<'_>, Passed> {
    const HEAD: usize = 40;
    /// Heads between that of IP and TCP's.
    const EXTENSIONS: usize = 8;
    let Some((head, _)) = data.split_first_chunk::<HEAD>() else { return Err(Passed::Cut) };
    let length = match usize::from(u16::from_be_bytes([head[4], head[5]])) {
        0 => data.len(),
        length => HEAD + length,
    };
    let address = |at: usize| -> Result<IpAddr, Passed> {
        let sixteen = data.get(at..).and_then(|rest| rest.first_chunk::<16>()).ok_or(Passed::Cut)?;
        Ok(IpAddr::V6(Ipv6Addr::from(*sixteen)))
    };
    let (mut next, mut at) = (head[6], HEAD);
    for _ in 0..EXTENSIONS {
        match next {
            TCP => {
                let body = data.get(at..length.min(data.len())).ok_or(Passed::Cut)?;
                return tcp(address(8)?, address(24)?, body, length.saturating_sub(data.len()));
            }
            // Hop by hop, routing, destination.
            0 | 43 | 60 => {
                let Some(&[kind, size]) = data.get(at..).and_then(|rest| rest.first_chunk::<2>()) else {
                    return Err(Passed::Cut);
                };
                next = kind;
                at += (usize::from(size) + 1) * 8;
            }
            44 => return Err(Passed::Fragment),
            _ => return Err(Passed::Other),
        }
    }
    Err(Passed::Other)
}

fn tcp(from: IpAddr, to: IpAddr, data: &[u8], missing: usize) -> Result<Segment<'_>, Passed> {
    let Some((head, _)) = data.split_first_chunk::<20>() else { return Err(Passed::Cut) };
    let size = usize::from(head[12] >> 4) * 4;
    if size < 20 {
        return Err(Passed::Other);
    }
    Ok(Segment {
        from: SocketAddr::new(from, u16::from_be_bytes([head[0], head[1]])),
        to: SocketAddr::new(to, u16::from_be_bytes([head[2], head[3]])),
        number: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        flags: Flags(head[13]),
        payload: data.get(size..).ok_or(Passed::Cut)?,
        missing,
    })
}
