//! Enums of the bytes that the protocol names: each variant with its byte and its text in one line.
//!
//! A byte without a name is a value too, so that it is written again as it was read.

macro_rules! named_bytes {
    ($(#[$about:meta])* $type:ident { $($(#[$doc:meta])* $name:ident = $byte:literal, $text:literal;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$doc])* $name,)*
            /// A byte that the protocol does not name.
            Unknown(u8),
        }

        impl $type {
            pub const ALL: &'static [$type] = &[$($type::$name,)*];

            #[inline]
            pub const fn from_byte(byte: u8) -> $type {
                match byte {
                    $($byte => $type::$name,)*
                    other => $type::Unknown(other),
                }
            }

            /// The byte on the wire.
            pub const fn byte(self) -> u8 {
                match self {
                    $($type::$name => $byte,)*
                    $type::Unknown(byte) => byte,
                }
            }

            const fn text(self) -> Option<&'static str> {
                match self {
                    $($type::$name => Some($text),)*
                    $type::Unknown(_) => None,
                }
            }
        }
    };
}

pub(super) use named_bytes;
