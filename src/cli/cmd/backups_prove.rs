//! `backups prove`: a generation on a virtual iPhone of its model, compared to the last byte.
//!
//! First the generation is read and compared with its digests: what has rotted is not tried. Then a bench of one phone
//! starts in this process, without Apple's servers and without a network, and the very restore that real devices get
//! runs over its sockets: usbmuxd, pairing, TLS, the sync lock, mobilebackup2. The phone keeps its data in memory up to
//! a limit and beyond that in a file without a name, so the disk needs room for the backup once more. At last each row
//! of the manifest is looked up on the phone.

use super::backup::password_of;
use super::backups_verify::{look_at, tied, verdict_fault};
use super::list::{print_out, say_line};
use crate::backup::{
    Difference, Generation, Held, Opened, Password, Patience, Proof, PutBackOptions, RestoreOptions, Row, Unlock, Why,
    compare, put_back,
};
use crate::cli::Done;
use crate::cli::args::PasswordArgs;
use crate::cli::context::Context;
use crate::cli::show::{print_line, size};
use crate::device::{Consent, Deed, Eyes, Given, look};
use crate::disk::require_space;
use crate::event::{Event, Outcome, Step};
use crate::facts::models;
use crate::fault::{Code, Fault};
use crate::ids::ProductType;
use crate::mux::{Mux, MuxAddress};
use crate::say::{self, Text};
use crate::usb::{Address, Bus, BusEvent, Handle, UsbDevice, UsbError};
use crate::virt::mux::{HostRecords, Muxd, boot};
use crate::virt::phone::Phone;
use crate::virt::spec::{PhoneSpec, TrustSpec};
use crate::virt::{self, backup::Kind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

/// What stands in for a model that no table has.
const STAND_IN: &str = "iphone13";
/// The virtual phone is quick.
const PACE: f64 = 1000.0;
/// How many differences a person reads.
const SHOWN: usize = 50;

pub async fn prove(context: &Context, generation: Generation, args: &PasswordArgs) -> Done {
    let password = password_of(context, &generation, args, &Text::BackupPasswordAsk)?;
    if password.is_none() && generation.summary.encrypted == Some(true) {
        return Err(Fault::new(Code::BackupPassword, "an encrypted backup cannot be proven without its password"));
    }
    let tell = context.show_virtual();
    let verdict = look_at(context, &generation, true, password.clone(), &tell).await?;
    if let Some(fault) = verdict_fault(&verdict) {
        return Err(fault);
    }
    let room = std::env::temp_dir();
    require_space(&room, verdict.bytes).map_err(|fault| Fault {
        detail: format!("{} (TMPDIR says where the virtual device keeps its data)", fault.detail),
        ..fault
    })?;

    let phone = phone_for(context, &generation)?;
    let restored = restore_onto(context, &phone, &generation, password.clone()).await;
    if let Err(fault) = restored {
        let refused = refused_files(&phone);
        tell_differences(context, &generation, &refused, 0);
        // What the virtual device found wrong is the backup's fault, else something else went wrong on the way.
        let code = if refused.is_empty() { fault.code } else { Code::BackupDamaged };
        return Err(Fault { class: code.class(), retry: code.retry(), code, ..fault });
    }

    let (cancel, watch) = tied(context);
    let (listener, folder, scratch) = (tell.clone(), generation.folder(), context.folders()?.scratch());
    let holder = Arc::clone(&phone);
    tell.tell(Event::StepBegan { step: Step::VerifyBackup, what: generation.name.clone() });
    let work = tokio::task::spawn_blocking(move || {
        let unlock = password.as_ref().map(|password| Unlock { password, scratch: &scratch });
        let opened = Opened::open(&folder, unlock, &cancel)?;
        compare(&opened, &mut |row| held(&holder, row), listener.as_ref(), &cancel)
    });
    let proof = work.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    watch.abort();
    let proof = proof?;
    tell.tell(Event::StepDone { step: Step::VerifyBackup, what: String::new() });
    tell_differences(context, &generation, &proof.differences, proof.more);
    if context.common.json {
        print_line(&proved(&generation, &phone, &proof));
    }
    if !proof.holds() {
        let count = proof.differences.len() as u64 + proof.more;
        let detail = format!("{count} of {} files differ on the virtual device", proof.files);
        return Err(Fault::new(Code::BackupDamaged, detail).during(Step::VerifyBackup));
    }
    let device = phone.model.name.to_owned();
    say_line(&say::text(context.lang, &Text::ProveDone { files: proof.files, size: size(proof.bytes), device }));
    Ok(Outcome::Ok)
}

/// An empty virtual phone of the backup's model and system.
fn phone_for(context: &Context, generation: &Generation) -> Result<Arc<Phone>, Fault> {
    let summary = &generation.summary;
    let product = summary.product_type.clone().unwrap_or_default();
    let known = models::by_product(&ProductType::new(&product)).filter(|model| model.bdid.is_some());
    // What the digests vouch for is right, whatever size the manifest says.
    let backup = virt::backup::Faults { takes_other_sizes: true, ..virt::backup::Faults::default() };
    let spec = PhoneSpec {
        model: known.map_or(STAND_IN.to_owned(), |model| model.board.to_owned()),
        trust: TrustSpec::Trusted,
        version: summary.product_version.as_deref().and_then(|text| text.parse().ok()),
        build: summary.build.as_deref().and_then(|text| text.parse().ok()),
        photos: 0,
        faults: virt::spec::Faults { backup, ..virt::spec::Faults::default() },
        ..PhoneSpec::default()
    };
    let phone = Phone::new(spec, 0, PACE).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    phone.files.erase();
    let device = phone.model.name.to_owned();
    say_line(&say::text(context.lang, &Text::VirtualBanner));
    if known.is_none() {
        say_line(&say::text(context.lang, &Text::ProveStandIn { product, device: device.clone() }));
    }
    let version = phone.state().version.to_string();
    say_line(&say::text(context.lang, &Text::ProveIntro { device, version }));
    Ok(phone)
}

/// The real restore, over a bench of this one phone.
async fn restore_onto(
    context: &Context,
    phone: &Arc<Phone>,
    generation: &Generation,
    password: Option<Password>,
) -> Result<(), Fault> {
    let folder = tempfile::Builder::new().prefix("herstel-prove-").tempdir().map_err(|e| Fault::disk(&e))?;
    let socket = folder.path().join("usbmuxd");
    let records = Arc::new(HostRecords::new());
    let _muxd = Muxd::start(&socket, vec![Arc::clone(phone)], Arc::clone(&records)).map_err(|e| Fault::disk(&e))?;
    boot(phone, &records);
    let eyes = Eyes::new(Arc::new(NoBus), Mux::new(MuxAddress::Unix(socket)), true);
    let seen = look(&eyes).await;
    let normal = seen.devices.first().and_then(|device| device.normal()).cloned();
    let normal = normal.ok_or_else(|| Fault::new(Code::Internal, "the virtual device did not come up"))?;
    // No person has to agree: whatever is overwritten was made a moment ago, for this.
    let consent = Consent::from_person(&normal.who, Deed::PutBack, &Given::Named(phone.udid.as_str()))?;
    let what = RestoreOptions {
        reboot: false,
        copy_first: false,
        preserve_settings: false,
        system_files: true,
        remove_others: false,
        password,
    };
    let options = PutBackOptions { what, patience: Patience::default() };
    let tell = context.show_virtual();
    put_back(&eyes.mux, &normal, generation, options, &consent, &tell, &context.cancel).await.map(drop)
}

/// What the phone has at the place of a row.
fn held(phone: &Phone, row: &Row) -> Result<Held, Fault> {
    let Some(entry) = phone.files.get(&row.domain, &row.path) else { return Ok(Held::Nothing) };
    Ok(match &entry.kind {
        Kind::Directory => Held::Folder,
        Kind::Link(_) => Held::Link,
        Kind::File(content) => {
            let mut sha = Sha256::new();
            content.each_piece(|piece| sha.update(piece)).map_err(|e| Fault::disk(&e))?;
            Held::File { size: content.size(), sha256: sha.finalize().into() }
        }
    })
}

/// What the phone itself refused, from its memory.
fn refused_files(phone: &Phone) -> Vec<Difference> {
    let memory = phone.memory();
    let refused = memory.iter().filter(|memo| memo.what == "restore.mismatch");
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    refused
        .filter(|memo| memo.detail.get("path").is_some())
        .map(|memo| Difference {
            domain: text(&memo.detail, "domain"),
            path: text(&memo.detail, "path"),
            why: Why::OtherContent,
        })
        .collect()
}

fn tell_differences(context: &Context, generation: &Generation, differences: &[Difference], more: u64) {
    if context.common.json {
        for difference in differences {
            print_line(&json!({
                "schema": 1, "event": "difference", "virtual": true, "generation": generation.name,
                "domain": difference.domain, "path": difference.path, "why": difference.why,
            }));
        }
        return;
    }
    for difference in differences.iter().take(SHOWN) {
        let shown = format!("{}/{}", difference.domain, difference.path);
        let what: String = shown.chars().map(|c| if c.is_control() { '?' } else { c }).take(300).collect();
        let text = if difference.why == Why::Absent { Text::ProveAbsent { what } } else { Text::ProveOther { what } };
        print_out(&format!("!! {}", say::text(context.lang, &text)));
    }
    let count = differences.len().saturating_sub(SHOWN) as u64 + more;
    if count > 0 {
        print_out(&format!("!! {}", say::text(context.lang, &Text::FindingsMore { count })));
    }
}

fn proved(generation: &Generation, phone: &Phone, proof: &Proof) -> Value {
    let state = phone.state();
    json!({
        "schema": 1, "event": "proved", "virtual": true, "udid": generation.udid, "generation": generation.name,
        "path": generation.path, "product_type": phone.model.product, "version": state.version.to_string(),
        "build": state.build.to_string(), "files": proof.files, "bytes": proof.bytes, "folders": proof.folders,
        "links": proof.links, "differences": proof.differences.len() as u64 + proof.more, "equal": proof.holds(),
    })
}

/// The one phone is reached through usbmuxd alone.
struct NoBus;

impl Bus for NoBus {
    fn name(&self) -> &str {
        "none"
    }

    fn devices(&self) -> Result<Vec<UsbDevice>, UsbError> {
        Ok(vec![])
    }

    fn watch(&self) -> Result<Receiver<BusEvent>, UsbError> {
        Ok(channel().1)
    }

    fn open(&self, _: Address) -> Result<Box<dyn Handle>, UsbError> {
        Err(UsbError::Gone)
    }
}
