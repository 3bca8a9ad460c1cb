//! The header of a content: how long it is, and its properties.

use super::fields::Fields;
use super::frame::{FrameKind, frame};
use super::{AmqpError, Short};

/// The class of methods that carry contents.
const BASIC: u16 = 60;
/// The delivery mode of a message that outlives its broker.
pub const PERSISTENT: u8 = 2;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Its bytes.
    pub length: u64,
    pub properties: Properties,
}

/// The properties that have a use here; others are read over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    pub content_type: Option<Short>,
    /// [`PERSISTENT`], or 1: not.
    pub delivery_mode: Option<u8>,
    pub message_id: Option<Short>,
    /// What kind of message it is.
    pub kind: Option<Short>,
    pub app_id: Option<Short>,
}

/// A property of any content, by its bit, from the first that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    ContentType,
    DeliveryMode,
    MessageId,
    Kind,
    AppId,
    /// A short text, a byte, a number of 64 bits or a table that nothing here asks for.
    OtherShort,
    OtherByte,
    OtherNumber,
    OtherTable,
}

const ORDER: [(u16, Property); 14] = [
    (15, Property::ContentType),
    (14, Property::OtherShort),
    (13, Property::OtherTable),
    (12, Property::DeliveryMode),
    (11, Property::OtherByte),
    (10, Property::OtherShort),
    (9, Property::OtherShort),
    (8, Property::OtherShort),
    (7, Property::MessageId),
    (6, Property::OtherNumber),
    (5, Property::Kind),
    (4, Property::OtherShort),
    (3, Property::AppId),
    (2, Property::OtherShort),
];

/// Bits that stand for no property: one is reserved, the other announces more flags, which no class has.
const UNKNOWN: u16 = 0b11;

impl Content {
    pub(super) fn read(payload: &[u8]) -> Result<Content, AmqpError> {
        let mut fields = Fields::new(payload);
        let (_class, _weight) = (fields.u16()?, fields.u16()?);
        let length = fields.u64()?;
        let flags = fields.u16()?;
        if flags & UNKNOWN != 0 {
            return Err(AmqpError::Properties { flags });
        }
        let mut properties = Properties::default();
        for (_, property) in ORDER.into_iter().filter(|(bit, _)| flags & (1 << bit) != 0) {
            match property {
                Property::ContentType => properties.content_type = Some(fields.short()?),
                Property::DeliveryMode => properties.delivery_mode = Some(fields.u8()?),
                Property::MessageId => properties.message_id = Some(fields.short()?),
                Property::Kind => properties.kind = Some(fields.short()?),
                Property::AppId => properties.app_id = Some(fields.short()?),
                Property::OtherShort => _ = fields.short()?,
                Property::OtherByte => _ = fields.u8()?,
                Property::OtherNumber => _ = fields.u64()?,
                Property::OtherTable => _ = fields.long()?,
            }
        }
        fields.end()?;
        Ok(Content { length, properties })
    }

    /// Writes the header's frame.
    pub fn write(&self, channel: u16, out: &mut Vec<u8>) {
        let Properties { content_type, delivery_mode, message_id, kind, app_id } = &self.properties;
        let flags = [
            (15, content_type.is_some()),
            (12, delivery_mode.is_some()),
            (7, message_id.is_some()),
            (5, kind.is_some()),
            (3, app_id.is_some()),
        ];
        let flags = flags.iter().fold(0_u16, |flags, (bit, set)| flags | (u16::from(*set) << bit));
        frame(FrameKind::Header, channel, out, |out| {
            out.extend_from_slice(&BASIC.to_be_bytes());
            out.extend_from_slice(&[0; 2]);
            out.extend_from_slice(&self.length.to_be_bytes());
            out.extend_from_slice(&flags.to_be_bytes());
            if let Some(text) = content_type {
                text.write(out);
            }
            out.extend(*delivery_mode);
            for text in [message_id, kind, app_id].into_iter().flatten() {
                text.write(out);
            }
        });
    }
}
