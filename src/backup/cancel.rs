//! The wish to stop, shared between whoever hears Ctrl-C and whoever works.

use crate::fault::Fault;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asked once, it stays asked. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Fault::cancelled`] once it was asked.
    pub fn check(&self) -> Result<(), Fault> {
        if self.asked() { Err(Fault::cancelled()) } else { Ok(()) }
    }
}
