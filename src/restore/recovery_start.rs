//! From iBoot's recovery mode (or an iBSS in it) to iBEC, and from iBEC into the ramdisk.
//!
//! The order of components and commands is the one that devices are used to; where it has no obvious
//! reason it is kept all the same. iBEC is always sent, even to a device that may be running one from an
//! attempt before: which of the two it is cannot be told reliably, and an iBEC takes another one.

use super::boot::{Booted, Chain};
use super::personalize;
use super::ticket::Ticket;
use crate::event::{Event, Step, Unit};
use crate::fault::{Code, Fault};
use crate::ids::Mode;
use crate::usb::iboot::Iboot;
use std::sync::Arc;
use std::time::Duration;

const BOOT_ARGS: &str = "rd=md0 nand-enable-reformat=1 -progress";
/// Up to iOS 15 an iBSS wants to hear that the transfer is over after `go`.
const LAST_TRAIN_WITH_FINISH: u32 = 19;

/// Sends iBEC to something that speaks recovery, and starts it: the iBoot of the installed system, or an iBSS.
pub(super) async fn ibec(chain: &mut Chain<'_>, iboot: Iboot, from_ibss: bool) -> Result<Iboot, Fault> {
    let waits = chain.boot.waits;
    let (before_go, leave, back) = match from_ibss {
        true => (waits.before_go, waits.dfu_leave, waits.dfu_return),
        false => (Duration::ZERO, waits.recovery_leave, waits.recovery_return),
    };
    let ticket = chain.ticket(&iboot).await?;
    let started = async {
        chain.began(Step::BootIbec, "");
        let before = iboot.getenv("build-version").await?;
        if !from_ibss {
            chain.hand_ticket(&iboot, &ticket).await?;
        }
        let sent = chain.send_alone(&iboot, &ticket, "iBEC", Step::BootIbec).await?;
        tokio::time::sleep(before_go).await;
        iboot.leave("go").await?;
        let train = personalize::train(chain.boot.identity);
        if !from_ibss || train.is_some_and(|train| train <= LAST_TRAIN_WITH_FINISH) {
            iboot.finish_transfer().await?;
        }
        let from = iboot.device().address;
        drop(iboot);
        let ibec = chain.takes_over(from, "iBEC", &[Mode::Recovery], leave, back).await?;
        let now = ibec.getenv("build-version").await?;
        if let (Some(before), Some(now), Some(sent)) = (&before, &now, &sent)
            && now == before
            && now != sent
        {
            return Err(Fault::new(Code::BootRefused, format!("iBEC refused: {now} is back, not {sent}")));
        }
        chain.done(Step::BootIbec, now.unwrap_or_default());
        Ok(ibec)
    };
    started.await.map_err(|f: Fault| f.during(Step::BootIbec))
}

/// iBEC -> kernel with the restore ramdisk.
pub(super) async fn to_ramdisk(chain: &mut Chain<'_>, ibec: Iboot) -> Result<Booted, Fault> {
    let ticket = chain.ticket(&ibec).await?;
    chain.began(Step::BootRamdisk, "");
    let booted = ramdisk(chain, ibec, ticket).await.map_err(|f| f.during(Step::BootRamdisk))?;
    chain.done(Step::BootRamdisk, "");
    Ok(booted)
}

async fn ramdisk(chain: &mut Chain<'_>, ibec: Iboot, ticket: Arc<Ticket>) -> Result<Booted, Fault> {
    let waits = chain.boot.waits;
    chain.hand_ticket(&ibec, &ticket).await?;
    let version = ibec.getenv("build-version").await?.unwrap_or_default();
    let style = ibec.getenv("build-style").await?.unwrap_or_default();
    chain.note(format!("iBEC {version} {style}"));
    if let Some(stage) = ibec.getenv("boot-stage").await?
        && !matches!(stage.trim(), "0" | "0x0" | "2" | "0x2")
    {
        return Err(Fault::new(Code::BootRefused, format!("iBEC is at boot stage {stage}, not at 2")));
    }
    if let Some(error) = ibec.getenv("radio-error").await? {
        chain.note(format!("radio-error {error}"));
    }
    chain.check_cancel()?;
    ibec.setenv("auto-boot", "false").await?;
    ibec.saveenv().await?;
    let loaded = load(chain, &ibec, &ticket).await;
    if loaded.is_err() {
        let text = "auto-boot is off: the device returns to recovery until it is restored or led out of it";
        chain.boot.tell.tell(Event::Warning { text: text.into() });
    }
    loaded?;
    let from = ibec.device().address;
    let port = ibec.device().port.clone();
    drop(ibec);
    chain.leaves(from, "the kernel", waits.kernel_leave).await?;
    let (ap_nonce, sep_nonce) = (ticket.ap_nonce.clone(), ticket.sep_nonce.clone());
    Ok(Booted { ticket, ap_nonce, sep_nonce, port })
}

/// Sends everything up to `bootx`.
async fn load(chain: &Chain<'_>, ibec: &Iboot, ticket: &Arc<Ticket>) -> Result<(), Fault> {
    let identity = chain.boot.identity;
    let by_iboot = personalize::loaded_by_iboot(identity);
    let mut names: Vec<&str> = Vec::new();
    let present = |name: &'static str| personalize::has(identity, name).then_some(name);
    names.extend(present("RestoreLogo"));
    names.extend(by_iboot.iter().map(String::as_str));
    names.extend(["RestoreRamDisk", "RestoreDeviceTree"]);
    names.extend(present("RestoreSEP"));
    names.push("RestoreKernelCache");

    let sizes: Vec<Option<u64>> =
        names.iter().map(|name| personalize::size(identity, &chain.boot.components, name)).collect();
    let total: Option<u64> = sizes.iter().copied().sum();
    let mut before = 0;
    for (name, size) in names.into_iter().zip(sizes) {
        if name == "RestoreRamDisk"
            && let Some(room) = ibec.getenv("ramdisk-size").await?
        {
            chain.note(format!("ramdisk-size {room}"));
        }
        let mut last = 0;
        let tell = chain.boot.tell;
        chain
            .send(ibec, ticket, name, &mut |done| {
                last = size.map_or(done, |size| done.min(size));
                tell.tell(Event::Progress { step: Step::BootRamdisk, unit: Unit::Bytes, done: before + last, total });
            })
            .await?;
        before += size.unwrap_or(last);
        follow(chain, ibec, name).await?;
    }
    Ok(())
}

/// The commands that belong to a component once it is in memory.
async fn follow(chain: &Chain<'_>, ibec: &Iboot, name: &str) -> Result<(), Fault> {
    match name {
        "RestoreLogo" => {
            ibec.command("setpicture 4").await?;
            ibec.command("bgcolor 0 0 0").await
        }
        "RestoreRamDisk" => {
            let _ = ibec.getenv("ramdisk-delay").await?;
            ibec.command("ramdisk").await?;
            tokio::time::sleep(chain.boot.waits.after_ramdisk).await;
            Ok(())
        }
        "RestoreDeviceTree" => ibec.command("devicetree").await,
        "RestoreSEP" => ibec.command("rsepfirmware").await,
        "RestoreKernelCache" => {
            ibec.finish_transfer().await?;
            ibec.setenv("boot-args", BOOT_ARGS).await?;
            chain.check_cancel()?;
            ibec.leave("bootx").await
        }
        _ => ibec.command("firmware").await,
    }
}
