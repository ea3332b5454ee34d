//! Tables: facts as data files, looked up by pure functions.

pub mod backup_errors;
pub mod guess;
pub mod lockout;
pub mod models;
#[cfg(test)]
mod models_tests;
pub mod modes;
pub mod restore_status;
pub mod table;
