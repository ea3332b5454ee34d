//! Digests of the image's chunks, made while the device boots.
//!
//! ASR wants them behind each chunk, and hashing is slower than the link. The boot chain leaves the processor idle for
//! a minute, so whoever comes first makes them then, once for all devices of this process; what is not ready when ASR
//! begins is made as it goes, and no chunk twice.

use crate::fault::Code;
use crate::firmware::RootImage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Dropping it ends the work.
pub(super) struct Warming(Arc<AtomicBool>);

impl Warming {
    pub fn begin(image: Arc<RootImage>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        tokio::task::spawn_blocking(move || match image.warm(&|| !ends.load(Ordering::Relaxed)) {
            Ok(()) => tracing::debug!("digests of the image are there"),
            Err(fault) if fault.code == Code::Cancelled => {}
            // Whoever sends the image meets the same fault, and says so.
            Err(fault) => tracing::info!(%fault, "digests of the image"),
        });
        Warming(over)
    }
}

impl Drop for Warming {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
