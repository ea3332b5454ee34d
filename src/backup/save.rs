//! A whole backup run: work tree, conversation, verdict, generation.
//!
//! The connection is opened by the caller's function after the work tree stands: linking half a million files takes
//! seconds, in which a phone that is already connected would wait for an answer to its greeting.

use super::{BackupOptions, Cancel, Generation, InfoFacts, Received, Vault, Verdict, Wire, backup};
use crate::event::{Event, Step, Tell};
use crate::fault::Fault;
use crate::ids::Udid;

/// A backup that is in the vault.
#[derive(Clone, Debug)]
pub struct Saved {
    pub generation: Generation,
    pub verdict: Verdict,
    pub received: Received,
}

impl Saved {
    /// Is something missing that the device could not read? Then the outcome is "partial".
    pub fn is_partial(&self) -> bool {
        self.received.failed_count > 0
    }
}

/// Backs the device `udid` up into a new generation of the vault. After a failure the older generations are as they
/// were, and the work tree stays where the device can go on with it.
///
/// `talked` is called when the conversation is over, with whether it went well: the device is not needed any more.
///
/// # Errors
/// Of `open`, [`backup`] and [`super::Work::publish`]; [`crate::fault::Code::Locked`].
#[expect(clippy::too_many_arguments, reason = "whom, what, how, and who hears of it")]
pub fn save<W: Wire>(
    vault: &Vault,
    udid: &Udid,
    info: Option<&InfoFacts>,
    options: &BackupOptions,
    open: impl FnOnce() -> Result<W, Fault>,
    talked: impl FnOnce(bool),
    tell: &dyn Tell,
    cancel: &Cancel,
) -> Result<Saved, Fault> {
    let desk = vault.take(udid)?;
    let work = desk.begin(options.full, tell, cancel)?;
    let run = || {
        let received = backup(&mut open()?, udid, work.tree(), options, tell, cancel)?;
        if let Some(info) = info {
            work.put_info(info)?;
        }
        Ok(received)
    };
    let received = run();
    talked(received.is_ok());
    match received {
        Ok(received) => {
            let published = work.publish(&received, tell, cancel);
            let (generation, verdict) = published.map_err(|fault| fault.during(Step::VerifyBackup))?;
            Ok(Saved { generation, verdict, received })
        }
        Err(fault) => {
            match work.give_up() {
                Ok(true) => {
                    tell.tell(Event::Note { text: "the next backup can go on where this one was interrupted".into() });
                }
                Ok(false) => {}
                // The first failure is the one to report.
                Err(other) => tell.tell(Event::Warning { text: format!("the work tree was not put away: {other}") }),
            }
            Err(fault)
        }
    }
}
