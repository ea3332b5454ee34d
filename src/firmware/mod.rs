//! To be furnished.
pub mod baseband;
