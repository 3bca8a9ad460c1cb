//! The packets of a capture file, pcap or pcapng, whatever the byte order, fed in pieces of any size.
//!
//! A block or packet is held whole, at most [`BLOCK_MAX`] bytes; a longer one ends the reading, for what claims more is no
//! capture. Blocks that say nothing about packets are stepped over.

use std::fmt;

/// The longest packet or block that is read, bytes. Capture programs cut packets at 256 KiB.
pub const BLOCK_MAX: usize = 1 << 24;
const INTERFACES: usize = 4_096;

/// Bytes of what is no capture that are shown.
const SHOWN: usize = 8;
const PCAP_HEAD: usize = 24;
const PACKET_HEAD: usize = 16;
const SECTION: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// Why a file is read no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureError {
    /// It begins like no capture file.
    NotACapture {
        /// Its first bytes, in hex.
        start: String,
    },
    /// A block or packet is longer than any capture program writes, or shorter than its own head.
    Length {
        /// What it claims, bytes.
        claimed: u64,
        /// Where it begins in the file, bytes.
        at: u64,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureError::NotACapture { start } if start.is_empty() => {
                f.write_str("not a capture: it is empty")
            }
            CaptureError::NotACapture { start } => {
                write!(f, "not a capture: it begins with {start}, expected a pcap or pcapng file")
            }
            CaptureError::Length { claimed, at } => {
                write!(f, "a packet of {claimed} bytes at byte {at}: the file is damaged there")
            }
        }
    }
}

impl std::error::Error for CaptureError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Nanoseconds since 1970 UTC; `None` if the file does not say.
    pub at: Option<i64>,
    pub link: u32,
    pub data: &'a [u8],
}

/// Takes the bytes of a file and gives its packets.
#[derive(Debug, Default)]
pub struct CaptureReader {
    bytes: Vec<u8>,
    start: usize,
    /// Bytes of the file before `start`.
    before: u64,
    form: Form,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Form {
    #[default]
    Unknown,
    Pcap {
        order: Order,
        link: u32,
        /// Nanoseconds of the smaller unit of its times.
        unit: i64,
    },
    Pcapng {
        order: Order,
    },
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Little,
    Big,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u32,
    snap: u32,
    /// Units of its times in a second; `None` if that is beyond all reason.
    per_second: Option<u64>,
}

struct Found {
    at: Option<i64>,
    link: u32,
    from: usize,
    to: usize,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let two = *bytes.get(at..)?.first_chunk::<2>()?;
        Some(match self {
            Order::Little => u16::from_le_bytes(two),
            Order::Big => u16::from_be_bytes(two),
        })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let four = *bytes.get(at..)?.first_chunk::<4>()?;
        Some(match self {
            Order::Little => u32::from_le_bytes(four),
            Order::Big => u32::from_be_bytes(four),
        })
    }
}

impl CaptureReader {
    /// Takes the next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.before += self.start as u64;
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next packet that is here as a whole.
    ///
    /// # Errors
    /// [`CaptureError`]; nothing can be read after it.
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, CaptureError> {
        loop {
            let step = match self.form {
                Form::Unknown => self.begin()?,
                Form::Pcap { order, link, unit } => self.packet(order, link, unit)?,
                Form::Pcapng { order } => self.block(order)?,
            };
            match step {
                Step::More => return Ok(None),
                Step::Again => {}
                Step::Packet(Found { at, link, from, to }) => {
                    let data = self.bytes.get(from..to).unwrap_or_default();
                    return Ok(Some(Packet { at, link, data }));
                }
            }
        }
    }

    /// Whether the file may end here: 0, else the bytes of what was begun.
    ///
    /// # Errors
    /// [`CaptureError::NotACapture`] if it was too short to be one.
    pub fn finish(&self) -> Result<usize, CaptureError> {
        match self.form {
            Form::Unknown => Err(self.not_a_capture()),
            Form::Pcap { .. } | Form::Pcapng { .. } => Ok(self.unread().len()),
        }
    }

    fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn not_a_capture(&self) -> CaptureError {
        let start = self.unread().iter().take(SHOWN).map(|byte| format!("{byte:02x}"));
        CaptureError::NotACapture { start: start.collect::<Vec<_>>().join(" ") }
    }

    fn length(&self, claimed: u64) -> CaptureError {
        CaptureError::Length { claimed, at: self.before + self.start as u64 }
    }

    fn begin(&mut self) -> Result<Step, CaptureError> {
        let unread = self.unread();
        let Some(magic) = Order::Big.u32(unread, 0) else { return Ok(Step::More) };
        let (order, unit) = match magic {
            0xa1b2_c3d4 => (Order::Big, 1_000),
            0xd4c3_b2a1 => (Order::Little, 1_000),
            0xa1b2_3c4d => (Order::Big, 1),
            0x4d3c_b2a1 => (Order::Little, 1),
            SECTION => {
                self.form = Form::Pcapng { order: Order::Big };
                return Ok(Step::Again);
            }
            // Reported with as many bytes as are shown, however the file comes in.
            _ if unread.len() < SHOWN => return Ok(Step::More),
            _ => return Err(self.not_a_capture()),
        };
        if unread.len() < PCAP_HEAD {
            return Ok(Step::More);
        }
        // The upper bits say how long a frame's checksum is, which is not needed here.
        let link = order.u32(unread, 20).unwrap_or_default() & 0x0fff_ffff;
        self.form = Form::Pcap { order, link, unit };
        self.start += PCAP_HEAD;
        Ok(Step::Again)
    }

    fn packet(&mut self, order: Order, link: u32, unit: i64) -> Result<Step, CaptureError> {
        let unread = self.unread();
        let (Some(seconds), Some(part), Some(captured)) =
            (order.u32(unread, 0), order.u32(unread, 4), order.u32(unread, 8))
        else {
            return Ok(Step::More);
        };
        let length = captured as usize;
        if length > BLOCK_MAX {
            return Err(self.length(captured.into()));
        }
        if unread.len() < PACKET_HEAD + length {
            return Ok(Step::More);
        }
        let at = i64::from(seconds) * 1_000_000_000 + i64::from(part) * unit;
        let from = self.start + PACKET_HEAD;
        self.start = from + length;
        Ok(Step::Packet(Found { at: Some(at), link, from, to: self.start }))
    }

    fn block(&mut self, order: Order) -> Result<Step, CaptureError> {
        let unread = self.unread();
        // A section says its own byte order, behind its type and length.
        let (Some(kind), Some(magic)) = (order.u32(unread, 0), Order::Big.u32(unread, 8)) else {
            return Ok(Step::More);
        };
        let order = match (kind, magic) {
            (SECTION, BYTE_ORDER) => Order::Big,
            (SECTION, _) if magic.swap_bytes() == BYTE_ORDER => Order::Little,
            (SECTION, _) => return Err(self.not_a_capture()),
            (_, _) => order,
        };
        let Some(claimed) = order.u32(unread, 4) else { return Ok(Step::More) };
        let length = claimed as usize;
        if !(12..=BLOCK_MAX).contains(&length) || !length.is_multiple_of(4) {
            return Err(self.length(claimed.into()));
        }
        let Some(body) = unread.get(8..length - 4) else { return Ok(Step::More) };
        if unread.len() < length {
            return Ok(Step::More);
        }
        let found = match kind {
            SECTION => {
                self.form = Form::Pcapng { order };
                self.interfaces.clear();
                None
            }
            1 => {
                let interface = interface(order, body);
                if self.interfaces.len() < INTERFACES {
                    self.interfaces.push(interface);
                }
                None
            }
            2 => self.enhanced(order, body, order.u16(body, 0).map(u32::from)),
            3 => self.simple(order, body),
            6 => self.enhanced(order, body, order.u32(body, 0)),
            _ => None,
        };
        let from = self.start + 8;
        self.start += length;
        Ok(match found {
            None => Step::Again,
            Some(found) => Step::Packet(Found { from: from + found.from, to: from + found.to, ..found }),
        })
    }

    /// A packet with its time and interface; the older form of the block differs in its first four bytes only.
    fn enhanced(&self, order: Order, body: &[u8], interface: Option<u32>) -> Option<Found> {
        let interface = self.interfaces.get(interface? as usize)?;
        let (high, low) = (order.u32(body, 4)?, order.u32(body, 8)?);
        let captured = order.u32(body, 12)? as usize;
        let to = 20 + captured.min(body.len().saturating_sub(20));
        let at = interface.nanoseconds(u64::from(high) << 32 | u64::from(low));
        Some(Found { at, link: interface.link, from: 20, to })
    }

    fn simple(&self, order: Order, body: &[u8]) -> Option<Found> {
        let interface = self.interfaces.first()?;
        let snap = if interface.snap == 0 { u32::MAX } else { interface.snap };
        let captured = order.u32(body, 0)?.min(snap) as usize;
        Some(Found {
            at: None,
            link: interface.link,
            from: 4,
            to: 4 + captured.min(body.len().saturating_sub(4)),
        })
    }
}

enum Step {
    /// More bytes are needed.
    More,
    /// Something was read that is no packet.
    Again,
    Packet(Found),
}

impl Interface {
    fn nanoseconds(&self, time: u64) -> Option<i64> {
        let nanoseconds = u128::from(time) * 1_000_000_000 / u128::from(self.per_second?);
        i64::try_from(nanoseconds).ok()
    }
}

/// An interface's link, and the unit of its times, which stands among its options.
fn interface(order: Order, body: &[u8]) -> Interface {
    const TIME_UNIT: u16 = 9;
    let link = order.u16(body, 0).map_or(u32::MAX, u32::from);
    let snap = order.u32(body, 4).unwrap_or(0);
    let mut per_second = Some(1_000_000);
    let mut options = body.get(8..).unwrap_or_default();
    while let (Some(code), Some(length)) = (order.u16(options, 0), order.u16(options, 2)) {
        let length = usize::from(length);
        if code == TIME_UNIT {
            per_second = match options.get(4) {
                Some(&power) if power < 0x80 => 10_u64.checked_pow(power.into()),
                Some(&power) => 2_u64.checked_pow((power & 0x7f).into()),
                None => per_second,
            };
        }
        options = options.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
    }
    Interface { link, snap, per_second }
}
