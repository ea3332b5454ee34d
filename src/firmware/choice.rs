//! Which identity of a file is for the device on the cable.
//!
//! Chip and board decide, and the board's name where it is known; product types do not (one of them exists
//! with two chips), and file names never do. The variant is compared whole. An update that a file does not
//! have is not turned into an erase here or anywhere.

use crate::fault::{Code, Fault};
use crate::ids::{Bdid, Cpid};
use crate::wire::manifest::{Behaviour, BuildIdentity, BuildManifest, NoIdentity};

/// The identity to restore with. `board` as lockdown's `HardwareModel` writes it, in any case.
///
/// [`Code::FirmwareWrongDevice`] when the file is for other boards, [`Code::UpdateImpossible`] when it has
/// no update for this one, [`Code::FirmwareDamaged`] when it says contradictory things.
pub fn identity_for<'m>(
    manifest: &'m BuildManifest,
    cpid: Cpid,
    bdid: Bdid,
    board: Option<&str>,
    behaviour: Behaviour,
) -> Result<&'m BuildIdentity, Fault> {
    let chosen = manifest.choose(cpid, bdid, board, behaviour).map_err(|why| {
        let code = match (&why, behaviour) {
            (NoIdentity::OtherDevice { .. }, _) => Code::FirmwareWrongDevice,
            (NoIdentity::NoVariant { .. }, Behaviour::Update) => Code::UpdateImpossible,
            (NoIdentity::NoVariant { .. }, Behaviour::Erase) => Code::FirmwareWrongDevice,
            (NoIdentity::Ambiguous { .. }, _) => Code::FirmwareDamaged,
        };
        Fault::new(code, format!("{}: {why}", manifest.build))
    })?;
    if chosen.lacks_recovery() {
        let variant = chosen.recovery_variant().unwrap_or_default();
        let text = format!("{}: there is no {variant:?}, which this board's recovery system is", manifest.build);
        return Err(Fault::new(Code::FirmwareDamaged, text));
    }
    Ok(chosen)
}
