//! The ports of the device, by number.
//!
//! A data port may not listen yet when it is named, so refusals are met with patience; and a connection that is
//! never answered ends, too.

use crate::fault::{Code, Fault};
use crate::mux::{BoxDuplex, Mux, MuxError};
use std::pin::Pin;
use std::time::Duration;

/// 30 tries, 2 s apart, as the field does it.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(2);
/// All tries together.
const LIMIT: Duration = Duration::from_secs(90);

pub type Opened<'a> = Pin<Box<dyn Future<Output = Result<BoxDuplex, MuxError>> + Send + 'a>>;

/// A way to a device's ports.
pub trait Ports: Send + Sync {
    fn open(&self, port: u16) -> Opened<'_>;
}

/// Device `device` of usbmuxd.
pub struct OnMux {
    pub mux: Mux,
    pub device: u32,
}

impl Ports for OnMux {
    fn open(&self, port: u16) -> Opened<'_> {
        Box::pin(self.mux.connect(self.device, port))
    }
}

/// A connection to `port`, as soon as the device listens there.
///
/// # Errors
/// `link-silent` when nobody answered within the limit; else what usbmuxd said.
pub async fn connect(ports: &dyn Ports, port: u16) -> Result<BoxDuplex, Fault> {
    let trying = async {
        let mut tries = 0;
        loop {
            match ports.open(port).await {
                Ok(stream) => return Ok(stream),
                Err(MuxError::Refused(_)) if tries < TRIES => {
                    // The first refusals are routine and short.
                    let pause = if tries < 5 { Duration::from_millis(100) } else { PAUSE };
                    tries += 1;
                    tokio::time::sleep(pause).await;
                }
                Err(err) => return Err(err.into()),
            }
        }
    };
    let silent = || Fault::new(Code::LinkSilent, format!("port {port} did not open within {} s", LIMIT.as_secs()));
    tokio::time::timeout(LIMIT, trying).await.unwrap_or_else(|_| Err(silent()))
}
