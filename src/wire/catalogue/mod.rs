//! Firmware catalogues: which build may be fetched from where for which product.
//!
//! Three documents name the same files: Apple's version plist (URL and SHA-1; offered means signed now),
//! AppleDB (SHA-256 and size), ipsw.me v4 (all of it, from volunteers). Each becomes a list of [`Offer`]s;
//! who merges them is `firmware`. Decisions:
//! - A document that is no catalogue (a portal's page, nothing, half a file) is an error. A single bad entry
//!   inside a good document is skipped and counted, so one slip of Apple's does not end every restore.
//! - Digests are lower-case hex here; the sources mix the case and leave some empty.
//! - `http:` becomes `https:` (the same paths answer both), `protected:` entries are paid-era remains.

mod apple;
mod json;

pub use apple::apple_versions;
pub use json::{appledb, ipswme};

use super::WireError;
use crate::ids::{BuildId, ProductType, Version};
use serde::{Deserialize, Serialize};

/// Largest catalogue that is read; Apple's has some MB.
pub const MAX_CATALOGUE: usize = 64 << 20;

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Apple,
    Appledb,
    Ipswme,
}

/// One build for one product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub product: ProductType,
    pub build: BuildId,
    pub version: Version,
    /// `https:`, or what the catalogue had where that was something else than `http:` to Apple.
    pub url: String,
    /// 40 hex digits, lower case.
    pub sha1: Option<String>,
    /// 64 hex digits, lower case.
    pub sha256: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// None where the source does not say.
    pub signed: Option<bool>,
    pub source: Source,
}

/// What a document held.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    pub offers: Vec<Offer>,
    /// Entries that could not be read.
    pub skipped: usize,
}

/// Hex digits of exactly that many characters, lower case; none for the empty string and for nonsense.
fn hex(text: Option<&str>, digits: usize) -> Option<String> {
    let text = text?.trim();
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

/// A URL that can be fetched. Loopback stays as it is: the bench has no TLS.
fn fetchable(url: &str) -> Option<String> {
    let rest = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(_), _) => return Some(url.to_owned()),
        (None, Some(rest)) => rest,
        _ => return None,
    };
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let loopback = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
    Some(if loopback { url.to_owned() } else { format!("https://{rest}") })
}

fn nothing(what: &'static str, offers: Offers) -> Result<Offers, WireError> {
    if offers.offers.is_empty() && offers.skipped > 0 {
        return Err(WireError::malformed(what, format!("none of its {} entries can be read", offers.skipped)));
    }
    Ok(offers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_digests_are_made_uniform() {
        assert_eq!(fetchable("http://a.apple.com/x").as_deref(), Some("https://a.apple.com/x"));
        assert_eq!(fetchable("http://127.0.0.1:80/x").as_deref(), Some("http://127.0.0.1:80/x"));
        assert_eq!(fetchable("http://127.0.0.1.evil.org/x").as_deref(), Some("https://127.0.0.1.evil.org/x"));
        assert_eq!(fetchable("protected://x"), None);
        assert_eq!(hex(Some("AB"), 2).as_deref(), Some("ab"));
        assert_eq!((hex(Some(""), 40), hex(Some("zz"), 2), hex(None, 2)), (None, None, None));
    }
}
