//! Enums whose variants are stable words: in JSON, in logs, in files and on command lines they are written alike.

macro_rules! words {
    ($(#[$about:meta])* $kind:ident { $($(#[$doc:meta])* $name:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize,
        )]
        pub enum $kind { $($(#[$doc])* #[serde(rename = $word)] $name,)* }

        impl $kind {
            pub const ALL: &'static [$kind] = &[$($kind::$name,)*];

            /// The stable word.
            pub fn as_str(self) -> &'static str {
                match self { $($kind::$name => $word,)* }
            }

            pub fn named(word: &str) -> Option<$kind> {
                $kind::ALL.iter().copied().find(|each| each.as_str() == word)
            }
        }
    };
}

pub(crate) use words;
