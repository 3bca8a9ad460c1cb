//! The methods by which a connection and a channel are opened, an exchange is declared, and messages are published and confirmed.

use super::fields::{Fields, put_long};
use super::frame::{FrameKind, frame};
use super::{AmqpError, Short};
use touchline_common::config::Secret;

/// A table of named values, as it travels. Nothing here reads one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(pub Vec<u8>);

impl Table {
    /// With a text.
    pub fn text(mut self, name: &Short, value: &str) -> Table {
        name.write(&mut self.0);
        self.0.push(b'S');
        put_long(value.as_bytes(), &mut self.0);
        self
    }

    /// With a value that is true.
    pub fn set(mut self, name: &Short) -> Table {
        name.write(&mut self.0);
        self.0.extend_from_slice(b"t\x01");
        self
    }

    /// With a table inside.
    pub fn table(mut self, name: &Short, inner: &Table) -> Table {
        name.write(&mut self.0);
        self.0.push(b'F');
        put_long(&inner.0, &mut self.0);
        self
    }
}

/// What both sides agree upon; 0 is no bound, and no heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    pub channels: u16,
    /// The longest frame, in bytes, head and mark included.
    pub frame: u32,
    /// A sign of life at least so often, in seconds.
    pub heartbeat: u16,
}

/// Why a connection or a channel is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// 200 is none, 3xx and 4xx are of the channel, others of the connection.
    pub code: u16,
    pub text: Short,
    /// Class and number of the method that failed, or zeros.
    pub method: (u16, u16),
}

/// Whether an exchange is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declare {
    /// It is made, to outlive the broker, unless it is there.
    Durable,
    /// It must be there.
    Passive,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    Start {
        version: (u8, u8),
        properties: Table,
        mechanisms: String,
        locales: String,
    },
    StartOk {
        properties: Table,
        mechanism: Short,
        response: Secret,
        locale: Short,
    },
    Tune(Tuning),
    TuneOk(Tuning),
    Open {
        host: Short,
    },
    OpenOk,
    Close(Closing),
    CloseOk,
    /// The broker takes nothing for a while.
    Blocked {
        reason: Short,
    },
    Unblocked,
    ChannelOpen,
    ChannelOpenOk,
    ChannelClose(Closing),
    ChannelCloseOk,
    ExchangeDeclare {
        exchange: Short,
        kind: Short,
        declare: Declare,
    },
    ExchangeDeclareOk,
    Publish {
        exchange: Short,
        key: Short,
    },
    Return {
        code: u16,
        text: Short,
        exchange: Short,
        key: Short,
    },
    /// The broker has this message, or with `multiple` all up to this one.
    Ack {
        tag: u64,
        multiple: bool,
    },
    /// It has not, and will not.
    Nack {
        tag: u64,
        multiple: bool,
    },
    ConfirmSelect,
    ConfirmSelectOk,
    /// A method that nothing here asks for.
    Other {
        class: u16,
        method: u16,
    },
}

const PASSIVE: u8 = 0b01;
const DURABLE: u8 = 0b10;

impl Method {
    /// Class and number.
    pub const fn id(&self) -> (u16, u16) {
        match self {
            Method::Start { .. } => (10, 10),
            Method::StartOk { .. } => (10, 11),
            Method::Tune(_) => (10, 30),
            Method::TuneOk(_) => (10, 31),
            Method::Open { .. } => (10, 40),
            Method::OpenOk => (10, 41),
            Method::Close(_) => (10, 50),
            Method::CloseOk => (10, 51),
            Method::Blocked { .. } => (10, 60),
            Method::Unblocked => (10, 61),
            Method::ChannelOpen => (20, 10),
            Method::ChannelOpenOk => (20, 11),
            Method::ChannelClose(_) => (20, 40),
            Method::ChannelCloseOk => (20, 41),
            Method::ExchangeDeclare { .. } => (40, 10),
            Method::ExchangeDeclareOk => (40, 11),
            Method::Publish { .. } => (60, 40),
            Method::Return { .. } => (60, 50),
            Method::Ack { .. } => (60, 80),
            Method::Nack { .. } => (60, 120),
            Method::ConfirmSelect => (85, 10),
            Method::ConfirmSelectOk => (85, 11),
            Method::Other { class, method } => (*class, *method),
        }
    }

    pub(super) fn read(payload: &[u8]) -> Result<Method, AmqpError> {
        let mut fields = Fields::new(payload);
        let id = (fields.u16()?, fields.u16()?);
        let method = match id {
            (10, 10) => Method::Start {
                version: (fields.u8()?, fields.u8()?),
                properties: Table(fields.long()?.to_vec()),
                mechanisms: fields.text()?,
                locales: fields.text()?,
            },
            (10, 11) => Method::StartOk {
                properties: Table(fields.long()?.to_vec()),
                mechanism: fields.short()?,
                response: Secret::new(fields.text()?),
                locale: fields.short()?,
            },
            (10, 30) => Method::Tune(tuning(&mut fields)?),
            (10, 31) => Method::TuneOk(tuning(&mut fields)?),
            (10, 40) => {
                let host = fields.short()?;
                let (_reserved, _insist) = (fields.short()?, fields.u8()?);
                Method::Open { host }
            }
            (10, 41) => {
                fields.short()?;
                Method::OpenOk
            }
            (10, 50) => Method::Close(closing(&mut fields)?),
            (10, 51) => Method::CloseOk,
            (10, 60) => Method::Blocked { reason: fields.short()? },
            (10, 61) => Method::Unblocked,
            (20, 10) => {
                fields.short()?;
                Method::ChannelOpen
            }
            (20, 11) => {
                fields.long()?;
                Method::ChannelOpenOk
            }
            (20, 40) => Method::ChannelClose(closing(&mut fields)?),
            (20, 41) => Method::ChannelCloseOk,
            (40, 10) => {
                fields.u16()?;
                let (exchange, kind, bits) = (fields.short()?, fields.short()?, fields.u8()?);
                fields.long()?;
                let declare = if bits & PASSIVE == 0 { Declare::Durable } else { Declare::Passive };
                Method::ExchangeDeclare { exchange, kind, declare }
            }
            (40, 11) => Method::ExchangeDeclareOk,
            (60, 40) => {
                fields.u16()?;
                let (exchange, key) = (fields.short()?, fields.short()?);
                fields.u8()?;
                Method::Publish { exchange, key }
            }
            (60, 50) => Method::Return {
                code: fields.u16()?,
                text: fields.short()?,
                exchange: fields.short()?,
                key: fields.short()?,
            },
            (60, 80) => Method::Ack { tag: fields.u64()?, multiple: fields.u8()? & 1 == 1 },
            (60, 120) => Method::Nack { tag: fields.u64()?, multiple: fields.u8()? & 1 == 1 },
            (85, 10) => {
                fields.u8()?;
                Method::ConfirmSelect
            }
            (85, 11) => Method::ConfirmSelectOk,
            (class, method) => return Ok(Method::Other { class, method }),
        };
        fields.end()?;
        Ok(method)
    }

    /// Writes the method's frame.
    pub fn write(&self, channel: u16, out: &mut Vec<u8>) {
        frame(FrameKind::Method, channel, out, |out| {
            let (class, method) = self.id();
            out.extend_from_slice(&class.to_be_bytes());
            out.extend_from_slice(&method.to_be_bytes());
            self.write_fields(out);
        });
    }

    fn write_fields(&self, out: &mut Vec<u8>) {
        match self {
            Method::Start { version: (major, minor), properties, mechanisms, locales } => {
                out.extend_from_slice(&[*major, *minor]);
                put_long(&properties.0, out);
                put_long(mechanisms.as_bytes(), out);
                put_long(locales.as_bytes(), out);
            }
            Method::StartOk { properties, mechanism, response, locale } => {
                put_long(&properties.0, out);
                mechanism.write(out);
                put_long(response.expose().as_bytes(), out);
                locale.write(out);
            }
            Method::Tune(tuning) | Method::TuneOk(tuning) => {
                out.extend_from_slice(&tuning.channels.to_be_bytes());
                out.extend_from_slice(&tuning.frame.to_be_bytes());
                out.extend_from_slice(&tuning.heartbeat.to_be_bytes());
            }
            Method::Open { host } => {
                host.write(out);
                out.extend_from_slice(&[0; 2]);
            }
            Method::Close(closing) | Method::ChannelClose(closing) => {
                out.extend_from_slice(&closing.code.to_be_bytes());
                closing.text.write(out);
                out.extend_from_slice(&closing.method.0.to_be_bytes());
                out.extend_from_slice(&closing.method.1.to_be_bytes());
            }
            Method::Blocked { reason } => reason.write(out),
            // An empty short text, an empty long one, a bit that is not set.
            Method::OpenOk | Method::ChannelOpen | Method::ConfirmSelect => out.push(0),
            Method::ChannelOpenOk => out.extend_from_slice(&[0; 4]),
            Method::ExchangeDeclare { exchange, kind, declare } => {
                out.extend_from_slice(&[0; 2]);
                exchange.write(out);
                kind.write(out);
                out.push(match declare {
                    Declare::Durable => DURABLE,
                    Declare::Passive => PASSIVE,
                });
                put_long(&[], out);
            }
            Method::Publish { exchange, key } => {
                out.extend_from_slice(&[0; 2]);
                exchange.write(out);
                key.write(out);
                // Neither mandatory nor immediate: a message that no queue wants is nobody's fault.
                out.push(0);
            }
            Method::Return { code, text, exchange, key } => {
                out.extend_from_slice(&code.to_be_bytes());
                text.write(out);
                exchange.write(out);
                key.write(out);
            }
            Method::Ack { tag, multiple } | Method::Nack { tag, multiple } => {
                out.extend_from_slice(&tag.to_be_bytes());
                out.push(u8::from(*multiple));
            }
            Method::CloseOk
            | Method::Unblocked
            | Method::ChannelCloseOk
            | Method::ExchangeDeclareOk
            | Method::ConfirmSelectOk
            | Method::Other { .. } => {}
        }
    }
}

fn tuning(fields: &mut Fields<'_>) -> Result<Tuning, AmqpError> {
    Ok(Tuning { channels: fields.u16()?, frame: fields.u32()?, heartbeat: fields.u16()? })
}

fn closing(fields: &mut Fields<'_>) -> Result<Closing, AmqpError> {
    Ok(Closing { code: fields.u16()?, text: fields.short()?, method: (fields.u16()?, fields.u16()?) })
}
