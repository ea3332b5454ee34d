//! Bytes to values and back. No IO, no clock; lengths are capped before anything is allocated.
//!
//! The tool and the bench use the same types, so they cannot drift apart.

pub mod asr;
pub mod baseband;
pub mod catalogue;
pub mod devicelink;
pub mod dfu;
pub mod fdr;
pub mod ftab;
pub mod iboot;
pub mod img3;
pub mod img4;
pub mod keybag;
pub mod lockdown;
pub mod manifest;
pub mod muxd;
pub mod preboard;
pub mod restored;
pub mod seal;
pub mod tss;
pub mod usb;
pub mod usbip;
pub mod usbmux;
pub mod x509;

/// Bytes that are not what the protocol says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("{what}: ends too early")]
    Short { what: &'static str },
    #[error("{what}: {length} is beyond the cap of {cap}")]
    TooLong { what: &'static str, length: u64, cap: u64 },
    #[error("{what}: {why}")]
    Malformed { what: &'static str, why: String },
}

impl WireError {
    pub fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        WireError::Malformed { what, why: why.into() }
    }
}

impl From<WireError> for crate::fault::Fault {
    fn from(err: WireError) -> Self {
        use crate::fault::{Code, Fault};
        let code = match err {
            WireError::TooLong { .. } => Code::LinkAbsurd,
            _ => Code::LinkGarbage,
        };
        Fault::new(code, err.to_string())
    }
}
