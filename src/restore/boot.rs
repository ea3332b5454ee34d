//! From recovery or DFU into the restore ramdisk.
//!
//! The chain is: (iBSS over DFU,) iBEC, then ramdisk, device tree, SEP and kernel, each personalised with a
//! ticket for this device and this nonce. What is decided here, for the stages in `dfu_start` and
//! `recovery_start`:
//! - A nonce belongs to a boot stage. After each stage it is read again and *compared*; only a changed one
//!   asks Apple again (most devices change it, some do not).
//! - "Accepted" is never concluded from an upload. A stage ran when the device left and came back as what
//!   the stage makes of it; one that did not leave, or came back as it was, refused the image.
//! - Every return is matched by ECID on the opened device (`usb::wait`, `usb::iboot`).
//! - An IMG3 device (A6 and older) is handed its ticket by itself before iBEC and before what iBEC loads; one
//!   that came from DFU gets it in front of iBEC. Of ROMs that show no nonce iBSS is signed without.
//! - The chain can be left between two components; within one it goes on, since an iBoot that waits for the
//!   rest of an upload answers nothing else.

use super::personalize::{self, Components};
use super::rescue::absent;
use super::ticket::{self, Sign, Ticket};
use super::{dfu_start, img3, recovery_start};
use crate::event::{Event, Step, Tell, Unit};
use crate::fault::{Code, Fault};
use crate::ids::{Bdid, Cpid, Ecid, Mode, PortPath};
use crate::usb::iboot::Iboot;
use crate::usb::wait::{Watch, Who};
use crate::usb::{Address, Bus, UsbDevice};
use crate::wire::manifest::BuildIdentity;
use crate::wire::tss::Form;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The device that the plan was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub ecid: Ecid,
    pub cpid: Cpid,
    pub bdid: Bdid,
}

/// Budgets of the chain. The default is for real devices.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// From whatever mode to one that it can be restored from.
    pub into_recovery: Duration,
    /// To be seen at the start.
    pub find: Duration,
    /// DFU start: iBSS or iBEC was sent; to leave, and to come back.
    pub dfu_leave: Duration,
    pub dfu_return: Duration,
    /// Recovery start: iBEC was started; to leave, and to come back.
    pub recovery_leave: Duration,
    pub recovery_return: Duration,
    /// After `bootx`.
    pub kernel_leave: Duration,
    /// Before `go` in an iBSS, and after `ramdisk`: iBoot does its work without saying when it is done.
    pub before_go: Duration,
    pub after_ramdisk: Duration,
    /// From the kernel's start to restored, and the longest silence of restored.
    pub restored: Duration,
    pub silence: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        let s = Duration::from_secs;
        Waits {
            into_recovery: s(120),
            find: s(10),
            dfu_leave: s(10),
            dfu_return: s(30),
            recovery_leave: s(60),
            recovery_return: s(60),
            kernel_leave: s(30),
            before_go: s(1),
            after_ramdisk: s(2),
            restored: s(300),
            silence: super::link::SILENCE,
        }
    }
}

impl Waits {
    /// The limits so many times shorter, but none below 2 s: for the bench. What the device needs for its work
    /// stays as it is.
    pub fn shortened(self, times: u32) -> Self {
        let short = |limit: Duration| (limit / times.max(1)).max(limit.min(Duration::from_secs(2)));
        Waits {
            into_recovery: short(self.into_recovery).max(self.into_recovery.min(Duration::from_secs(10))),
            find: short(self.find),
            dfu_leave: short(self.dfu_leave),
            dfu_return: short(self.dfu_return),
            recovery_leave: short(self.recovery_leave),
            recovery_return: short(self.recovery_return),
            kernel_leave: short(self.kernel_leave),
            restored: short(self.restored),
            silence: short(self.silence),
            ..self
        }
    }
}

/// Everything that the chain needs.
pub struct Boot<'a> {
    pub bus: Arc<dyn Bus>,
    pub target: Target,
    /// The identity that is restored: it decides between erase and update, the chain is the same.
    pub identity: &'a BuildIdentity,
    pub components: Arc<dyn Components>,
    pub sign: &'a dyn Sign,
    pub tell: &'a dyn Tell,
    pub cancel: CancellationToken,
    pub waits: Waits,
}

/// The device started the restore ramdisk and left the bus.
#[derive(Debug)]
pub struct Booted {
    /// For the nonce of the last stage: the session hands this one to restored.
    pub ticket: Arc<Ticket>,
    pub ap_nonce: Vec<u8>,
    pub sep_nonce: Option<Vec<u8>>,
    /// Where it will appear in restore mode.
    pub port: PortPath,
}

/// The chain under way. What one action leaves behind, the next one takes up.
pub struct Chain<'a> {
    pub(super) boot: Boot<'a>,
    pub(super) who: Who,
    pub(super) watch: Watch,
    from_dfu: bool,
    ticket: Option<Arc<Ticket>>,
    /// The boot stage that runs on the device now.
    iboot: Option<Iboot>,
}

impl<'a> Chain<'a> {
    /// Opens the target, found in recovery or DFU. It is looked for on the bus itself, since another one may be there.
    ///
    /// # Errors
    /// At the stage `find`: `no-such-device`, `wrong-mode`, `stranger-device`, `firmware-wrong-device`, `usb-*`.
    pub async fn begin(boot: Boot<'a>) -> Result<Chain<'a>, Fault> {
        let watch = Watch::open(Arc::clone(&boot.bus)).await.map_err(|e| Fault::from(e).during(Step::Find))?;
        let who = Who { ecid: boot.target.ecid, port: None };
        let mut chain = Chain { boot, who, watch, from_dfu: false, ticket: None, iboot: None };
        let iboot = chain.find().await.map_err(|f| f.during(Step::Find).on(chain.who.ecid))?;
        chain.from_dfu = iboot.mode() == Mode::Dfu;
        chain.iboot = Some(iboot);
        Ok(chain)
    }

    /// SecureROM -> iBSS.
    ///
    /// # Errors
    /// Of all three actions, with the stage set: what `sign` gives, `tss-invalid-answer`, `nonce-unread`,
    /// `boot-refused`, `never-came-back`, `came-back-in-another-mode`, `usb-*`, `firmware-damaged`,
    /// `firmware-digest`, `cancelled`.
    pub async fn boot_ibss(&mut self) -> Result<(), Fault> {
        let rom = self.take()?;
        let ibss = dfu_start::ibss(self, rom).await.map_err(|f| f.during(Step::BootIbss))?;
        self.iboot = Some(ibss);
        Ok(())
    }

    /// iBoot or iBSS -> iBEC.
    pub async fn boot_ibec(&mut self) -> Result<(), Fault> {
        let before = self.take()?;
        let ibec = match (before.mode(), self.from_dfu) {
            (Mode::Dfu, _) => dfu_start::ibec(self, before).await?,
            (_, from_ibss) => recovery_start::ibec(self, before, from_ibss).await?,
        };
        self.iboot = Some(ibec);
        Ok(())
    }

    /// iBEC -> the kernel of the restore ramdisk, which leaves the bus. It does not wait for restored. After a fault
    /// `auto-boot` may be off: see [`super::rescue`].
    pub async fn boot_ramdisk(&mut self) -> Result<Booted, Fault> {
        let ibec = self.take()?;
        recovery_start::to_ramdisk(self, ibec).await
    }

    /// Is it SecureROM that runs on the device?
    #[cfg(test)]
    pub fn at_rom(&self) -> bool {
        self.iboot.as_ref().is_some_and(|iboot| iboot.mode() == Mode::Dfu && iboot.serial().is_rom())
    }

    fn take(&mut self) -> Result<Iboot, Fault> {
        self.iboot.take().ok_or_else(|| Fault::new(Code::Internal, "no boot stage is open"))
    }

    async fn find(&mut self) -> Result<Iboot, Fault> {
        let device = self.watch.comes(&self.who, &[Mode::Recovery, Mode::Dfu], self.boot.waits.find).await;
        let device = device.map_err(absent)?;
        let iboot = self.open(&device).await?;
        let (serial, target) = (iboot.serial(), &self.boot.target);
        let (cpid, bdid) = (serial.cpid, serial.bdid);
        if cpid.is_some_and(|c| c != target.cpid) || bdid.is_some_and(|b| b != target.bdid) {
            let detail = format!(
                "chip {cpid:?} board {bdid:?} answers where chip {} board {} was planned",
                target.cpid, target.bdid
            );
            return Err(Fault::new(Code::StrangerDevice, detail));
        }
        ticket::fits(self.boot.identity, target.cpid, target.bdid)?;
        Ok(iboot)
    }

    pub async fn open(&mut self, device: &UsbDevice) -> Result<Iboot, Fault> {
        let iboot = Iboot::open(&self.boot.bus, device, self.who.ecid).await?;
        self.who.port = Some(device.port.clone());
        self.boot.tell.tell(Event::Seen { mode: iboot.mode(), ecid: Some(self.who.ecid) });
        Ok(iboot)
    }

    pub fn check_cancel(&self) -> Result<(), Fault> {
        if self.boot.cancel.is_cancelled() { Err(Fault::cancelled()) } else { Ok(()) }
    }

    pub fn began(&self, step: Step, what: impl Into<String>) {
        self.boot.tell.tell(Event::StepBegan { step, what: what.into() });
    }

    pub fn done(&self, step: Step, what: impl Into<String>) {
        self.boot.tell.tell(Event::StepDone { step, what: what.into() });
    }

    pub fn note(&self, text: impl Into<String>) {
        self.boot.tell.tell(Event::Note { text: text.into() });
    }

    /// The ticket for the nonce that the device shows now; Apple is asked when there is none for it yet.
    pub async fn ticket(&mut self, iboot: &Iboot) -> Result<Arc<Ticket>, Fault> {
        self.ticket_inner(iboot).await.map_err(|f| f.during(Step::Ticket))
    }

    async fn ticket_inner(&mut self, iboot: &Iboot) -> Result<Arc<Ticket>, Fault> {
        let form = self.form();
        let nonces = ticket::usable(form, iboot.serial(), iboot.nonces().await?)?;
        if let Some(ticket) = self.ticket.as_ref().filter(|t| t.serves(&nonces)) {
            self.note("the nonce did not change: the ticket stays");
            return Ok(Arc::clone(ticket));
        }
        self.check_cancel()?;
        let again = self.ticket.is_some();
        self.began(Step::Ticket, if again { "the nonce changed" } else { "" });
        let modes = ticket::Modes::of(iboot.serial());
        let request = ticket::Request { form, modes, ecid: self.who.ecid, nonces: &nonces };
        let ticket = Arc::new(ticket::obtain(&request, self.boot.identity, self.boot.sign).await?);
        self.done(Step::Ticket, "");
        self.ticket = Some(Arc::clone(&ticket));
        Ok(ticket)
    }

    fn form(&self) -> Form {
        ticket::form(self.boot.target.cpid, self.boot.target.bdid)
    }

    /// Gives an iBoot of an IMG3 device the ticket by itself; every IMG4 carries its own.
    pub async fn hand_ticket(&self, iboot: &Iboot, ticket: &Ticket) -> Result<(), Fault> {
        if ticket.form == Form::Img4 {
            return Ok(());
        }
        self.check_cancel()?;
        iboot.upload(ticket.der.clone(), &mut |_| {}).await?;
        iboot.command("ticket").await
    }

    /// Personalises component `name` and uploads it. `progress` hears the bytes of it that were taken.
    /// Gives the iBoot version in it, if it is one.
    pub async fn send(
        &self,
        iboot: &Iboot,
        ticket: &Arc<Ticket>,
        name: &str,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Option<String>, Fault> {
        self.check_cancel()?;
        let mut ready = personalize::component(self.boot.identity, &self.boot.components, ticket, name).await?;
        if self.from_dfu && name == "iBEC" && ticket.form == Form::Img3 {
            ready = img3::behind_ticket(ready, ticket);
        }
        iboot.upload_from(ready.image, ready.length, progress).await.map_err(|mut fault| {
            fault.detail = format!("{name}: {}", fault.detail);
            fault
        })?;
        Ok(ready.version)
    }

    /// As [`Chain::send`] for a step that has one component, with its progress told.
    pub async fn send_alone(
        &self,
        iboot: &Iboot,
        ticket: &Arc<Ticket>,
        name: &str,
        step: Step,
    ) -> Result<Option<String>, Fault> {
        let total = personalize::size(self.boot.identity, &self.boot.components, name);
        let tell = self.boot.tell;
        self.send(iboot, ticket, name, &mut |done| {
            let done = total.map_or(done, |total| done.min(total));
            tell.tell(Event::Progress { step, unit: Unit::Bytes, done, total });
        })
        .await
    }

    /// Waits until the stage that was sent took over: the old device leaves, then it is back in one of
    /// `modes`. One that does not leave refused `what`.
    pub async fn takes_over(
        &mut self,
        from: Address,
        what: &str,
        modes: &[Mode],
        leave: Duration,
        back: Duration,
    ) -> Result<Iboot, Fault> {
        self.leaves(from, what, leave).await?;
        let device = self.watch.comes(&self.who, modes, back).await?;
        self.open(&device).await
    }

    pub async fn leaves(&mut self, from: Address, what: &str, limit: Duration) -> Result<(), Fault> {
        self.watch.left(from, limit).await.map_err(|fault| match fault.code {
            Code::UsbTimeout => Fault::new(Code::BootRefused, format!("{what} was not started: {}", fault.detail)),
            _ => fault,
        })
    }
}
