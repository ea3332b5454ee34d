//! Tables: facts as data files, looked up by pure functions.

pub mod models;
pub mod modes;
