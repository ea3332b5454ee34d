//! Doors for the fuzzers: parsers of a backup's own files that have no other way in from outside.
//!
//! The product reaches them through whole folders, which is too slow for millions of tries. Hidden from the
//! documentation, and no interface: `tests/fuzz` is the only user.

use super::{mbfile, plists};
use plist::Value;

/// Any of the lists of a backup folder.
///
/// # Errors
/// Why it is not believed.
pub fn plist(bytes: &[u8]) -> Result<Value, String> {
    plists::parse(bytes)
}

/// What is believed of one row's `file` column: the size of the content, and its wrapped key.
pub fn record(blob: &[u8]) -> (Option<u64>, Option<&[u8]>) {
    (mbfile::size_of(blob), mbfile::key_of(blob))
}
