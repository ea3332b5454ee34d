//! The start from SecureROM: iBSS over DFU, then iBEC by whatever iBSS speaks.
//!
//! On chips up to A9 the loaded iBSS may still show as DFU and takes iBEC as a second DFU upload; later ones
//! show as recovery and take it as an upload with `go`. Both are accepted as they come. A device in DFU
//! mode whose serial string still carries the ROM's own tag (SRTG) is the ROM: it refused iBSS.

use super::boot::Chain;
use crate::event::Step;
use crate::fault::{Code, Fault};
use crate::ids::Mode;
use crate::usb::iboot::Iboot;

/// An iBSS that shows as DFU -> iBEC.
pub(super) async fn ibec(chain: &mut Chain<'_>, ibss: Iboot) -> Result<Iboot, Fault> {
    let waits = chain.boot.waits;
    let ticket = chain.ticket(&ibss).await?;
    let by_dfu = async {
        chain.began(Step::BootIbec, "over DFU");
        ibss.set_configuration(1).await?;
        chain.send_alone(&ibss, &ticket, "iBEC", Step::BootIbec).await?;
        let from = ibss.device().address;
        drop(ibss);
        let ibec = chain.takes_over(from, "iBEC", &[Mode::Recovery], waits.dfu_leave, waits.dfu_return).await;
        let ibec = ibec.map_err(|fault| match fault.code {
            Code::CameBackElsewhere => Fault::new(Code::BootRefused, format!("iBEC refused: {}", fault.detail)),
            _ => fault,
        })?;
        chain.done(Step::BootIbec, "");
        Ok(ibec)
    };
    by_dfu.await.map_err(|f: Fault| f.during(Step::BootIbec))
}

/// From SecureROM to a running iBSS.
pub(super) async fn ibss(chain: &mut Chain<'_>, rom: Iboot) -> Result<Iboot, Fault> {
    let waits = chain.boot.waits;
    let tag = rom.serial().srtg.clone();
    let ticket = chain.ticket(&rom).await?;
    chain.began(Step::BootIbss, "");
    chain.send_alone(&rom, &ticket, "iBSS", Step::BootIbss).await?;
    let from = rom.device().address;
    drop(rom);
    let modes = [Mode::Dfu, Mode::Recovery];
    let ibss = chain.takes_over(from, "iBSS", &modes, waits.dfu_leave, waits.dfu_return).await?;
    if ibss.mode() == Mode::Dfu && ibss.serial().srtg == tag {
        let tag = tag.unwrap_or_default();
        return Err(Fault::new(Code::BootRefused, format!("iBSS refused: the ROM ({tag}) is back in DFU")));
    }
    chain.done(Step::BootIbss, "");
    Ok(ibss)
}
