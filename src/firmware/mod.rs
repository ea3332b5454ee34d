//! To be furnished.
mod archive;
#[cfg(test)]
mod archive_tests;
