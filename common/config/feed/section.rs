//! A section of a `[[feed]]` table: its keys with their types and defaults, declared once.
//!
//! The keys of all sections stand in one flat table of the file, so they are read one by one and each goes to its section. Serde's `flatten`
//! would do that too, but it loses the places of mistakes.

use serde::de::MapAccess;
use serde::ser::SerializeMap;

pub(super) trait Section: Default {
    const KEYS: &'static [&'static str];

    /// Reads the value of `key`, one of [`Section::KEYS`].
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

/// Declares a section: `key: Type = default` for each key of the file, after `+` the fields that the file does not have.
macro_rules! section {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$doc:meta])* $key:ident: $type:ty = $default:expr,)*
            $(+ $(#[$more_doc:meta])* $more:ident: $more_type:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$doc])* pub $key: $type,)*
            $($(#[$more_doc])* pub $more: $more_type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* $($more: Default::default(),)* }
            }
        }

        impl $crate::config::feed::section::Section for $name {
            const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];

            fn read<'de, A: serde::de::MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
                match key {
                    $(stringify!($key) => self.$key = map.next_value()?,)*
                    _ => {}
                }
                Ok(())
            }

            fn write<M: serde::ser::SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                $(map.serialize_entry(stringify!($key), &self.$key)?;)*
                Ok(())
            }
        }
    };
}
pub(super) use section;
