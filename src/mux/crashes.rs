//! The names of the reports that a device wrote when something crashed.
//!
//! They are an AFC folder of their own. Before it is read, the mover is asked to bring the newest ones there: it says
//! `ping` when it has done so. One that stays silent costs the newest reports, not the list.

use super::Session;
use super::afc::Afc;
use super::duties::PATIENCE;
use crate::fault::{Code, Fault};
use tokio::io::AsyncReadExt;

const MOVER: &str = "com.apple.crashreportmover";
const COPY: &str = "com.apple.crashreportcopymobile";
const DONE: &[u8] = b"ping";

/// Names in the folder of crash reports; none where the device does not show it.
///
/// # Errors
/// `service-refused`, `device-locked`, or what the link gives.
pub async fn crash_reports(session: &mut Session) -> Result<Option<Vec<String>>, Fault> {
    if let Err(fault) = moved(session).await {
        tracing::info!(code = %fault.code, "crash reports were not moved");
    }
    Afc::over(session, COPY, false).await?.names("/").await
}

async fn moved(session: &mut Session) -> Result<(), Fault> {
    let mut stream = session.service(MOVER, false).await.map_err(Fault::from)?;
    let mut told = [0; DONE.len()];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut told)).await;
    match read {
        Ok(Ok(_)) if told == DONE => Ok(()),
        Ok(Ok(_)) => Err(Fault::new(Code::LinkGarbage, "the mover of crash reports says something else")),
        Ok(Err(err)) => Err(Fault::link(&err)),
        Err(_) => Err(Fault::new(Code::LinkSilent, "the mover of crash reports")),
    }
}
