//! The recovery system of phones since the iPhone 16: what is asked of the host for it, and what is refused.
//!
//! Nobody has published a log of such a restore. The questions and the form of their answers are those that a
//! host of the field knows; their order is a guess, and so is where they stand in the script. Everything is
//! compared with the second identity and the second ticket, so an image or a ticket of the main system is
//! refused here, though the phone would take it elsewhere.

use super::asr;
use super::check::{self, Judged, Known, integer};
use super::line::{Failure, Stop, lock};
use super::run::Run;
use crate::wire::img4::{Algorithm, fourcc};
use crate::wire::restored::DataRequest;
use crate::wire::restored::names::data;
use plist::{Dictionary, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Identity,
    Ticket,
    Version,
    /// One component by its name.
    Asset(String),
    /// All that its iBoot loads.
    Firmware,
    /// Its root image in pieces.
    Image,
    /// The same over ASR.
    Asr,
}

impl Piece {
    pub fn parse(words: &[&str]) -> Option<Piece> {
        Some(match words {
            ["identity"] => Piece::Identity,
            ["ticket"] => Piece::Ticket,
            ["version"] => Piece::Version,
            ["asset", name] => Piece::Asset((*name).to_owned()),
            ["firmware"] => Piece::Firmware,
            ["image"] => Piece::Image,
            ["asr"] => Piece::Asr,
            _ => return None,
        })
    }
}

/// What is known of the recovery system.
fn recovery(known: &Known) -> Result<&Known, String> {
    known.recovery.as_deref().ok_or_else(|| "no identity of the recovery system came".to_owned())
}

impl Run {
    pub fn installs_recovery(&self) -> bool {
        let young = (0x8140..0x8700).contains(&self.phone.model.cpid.0);
        young && self.options.get("InstallRecoveryOS").and_then(Value::as_boolean) == Some(true)
    }

    pub fn ask_recovery(self: &Arc<Self>, piece: &Piece) -> Result<(), Stop> {
        let (kind, arguments): (&str, Vec<(&str, Value)>) = match piece {
            Piece::Identity => {
                (data::BUILD_IDENTITY_DICT, vec![("IsRecoveryOS", true.into()), ("Variant", "Erase".into())])
            }
            Piece::Ticket => (data::RECOVERY_OS_ROOT_TICKET_DATA, vec![]),
            Piece::Version => (data::RECOVERY_OS_VERSION_DATA, vec![]),
            Piece::Asset(name) => {
                (data::RECOVERY_OS_FILE_ASSET_IMAGE, vec![("FWOverrideKey", format!("RecoveryOS{name}").into())])
            }
            Piece::Firmware => (data::RECOVERY_OS_IBOOT_FW_FILES_IMAGES, vec![]),
            Piece::Image => (data::RECOVERY_OS_IMAGE, vec![]),
            Piece::Asr => (data::RECOVERY_OS_ASR_IMAGE, vec![]),
        };
        let mut request = DataRequest::new(kind);
        request.arguments = arguments.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let judged = match piece {
            Piece::Asr => return self.recovery_over_asr(request),
            Piece::Image => {
                let bytes = self.whole_in_pieces(request)?;
                self.is_its_image(&Algorithm::Sha384.digest(&[&bytes]))
            }
            Piece::Identity => {
                let answer = self.ask(request, false, false)?;
                let board = (u64::from(self.phone.model.cpid.0), u64::from(self.phone.bdid.0));
                identity(&answer, &self.options, board).map(|identity| {
                    let known = Known { identity: Some(identity), ..Known::default() };
                    lock(&self.known).recovery = Some(Box::new(known));
                })
            }
            Piece::Ticket => {
                let answer = self.ask(request, true, false)?;
                self.take_recovery_ticket(&answer)
            }
            Piece::Version | Piece::Asset(_) | Piece::Firmware => {
                let answer = self.ask(request, false, false)?;
                let known = lock(&self.known).clone();
                recovery(&known).and_then(|known| match piece {
                    Piece::Version => version(known, &answer),
                    Piece::Asset(name) => asset(known, &answer, name),
                    _ => firmware(known, &answer),
                })
            }
        };
        self.judge(kind, judged)
    }

    fn take_recovery_ticket(&self, answer: &Dictionary) -> Judged {
        let chip = u64::from(self.phone.model.cpid.0);
        let ticket = check::root_ticket(answer, self.phone.ecid.0, chip, &self.nonce)?;
        let mut known = lock(&self.known);
        let recovery = known.recovery.as_deref_mut().ok_or("no identity of the recovery system came")?;
        let kernel = recovery.component("KernelCache").and_then(|c| c.get("Digest")).and_then(Value::as_data);
        let signed = ticket.components.get(b"krnl").map(|c| c.digest.as_slice());
        if kernel.is_none() || kernel != signed {
            return Err("the ticket is not for the recovery system".into());
        }
        recovery.ticket = Some(ticket);
        Ok(())
    }

    fn is_its_image(&self, found: &[u8]) -> Judged {
        let known = lock(&self.known);
        let digest = recovery(&known)?.component("OS").and_then(|c| c.get("Digest")).and_then(Value::as_data);
        match digest {
            Some(digest) if digest == found => Ok(()),
            Some(_) => Err("is not the image of the recovery system".into()),
            None => Err("the identity has no digest of the image".into()),
        }
    }

    fn recovery_over_asr(self: &Arc<Self>, mut request: DataRequest) -> Result<(), Stop> {
        let port = self.data_port();
        request.port = Some(port.port);
        self.request(&request, true)?;
        let head = lock(&self.known).image_head.clone();
        let received = asr::receive(self, port, None);
        lock(&self.known).image_head = head;
        received?;
        let memory = self.phone.memory();
        let image = memory.iter().rev().find(|m| m.what == "asr.image");
        let found = image.and_then(|m| m.detail["sha384"].as_str()).unwrap_or_default().to_owned();
        let known = lock(&self.known).clone();
        let digest = recovery(&known).ok().and_then(|k| k.component("OS")?.get("Digest")?.as_data());
        if digest.map(asr::hex).as_deref() != Some(&found) {
            let text = "the image is not that of the recovery system";
            return Err(Failure::new(1100, "failed to restore APFS image")
                .because("AMRestoreErrorDomain", 1100, text)
                .into());
        }
        self.judge(data::RECOVERY_OS_ASR_IMAGE, Ok(()))
    }
}

fn identity(answer: &Dictionary, options: &Dictionary, board: (u64, u64)) -> Result<Dictionary, String> {
    let identity = answer.get("BuildIdentityDict").and_then(Value::as_dictionary).ok_or("no BuildIdentityDict")?;
    if (integer(identity, "ApChipID"), integer(identity, "ApBoardID")) != (Some(board.0), Some(board.1)) {
        return Err("the identity of another board".into());
    }
    let info = identity.get("Info").and_then(Value::as_dictionary).ok_or("an identity without Info")?;
    let variant = options.get("AuthInstallRecoveryOSVariant");
    if variant.is_none() || info.get("Variant") != variant {
        return Err("not the variant that the options name".into());
    }
    let size = |key: &str| options.get(key).and_then(Value::as_unsigned_integer).unwrap_or(0);
    let (at_first, at_most) = (size("recoveryOSPartitionSize"), size("recoveryOSMaxPartitionSize"));
    if at_first == 0 || at_most < at_first || options.get("RecoveryOSBundlePath").is_none() {
        return Err(format!("a volume of {at_first} to {at_most} MB"));
    }
    Ok(identity.clone())
}

fn version(known: &Known, answer: &Dictionary) -> Judged {
    let bytes = answer.get("RecoveryOSVersionData").and_then(Value::as_data).ok_or("no RecoveryOSVersionData")?;
    let told: Dictionary = plist::from_bytes(bytes).map_err(|err| err.to_string())?;
    let info = known.identity.as_ref().and_then(|i| i.get("Info")).and_then(Value::as_dictionary);
    let info = info.ok_or("an identity without Info")?;
    for (key, from) in [
        ("BuildNumber", "BuildNumber"),
        ("Variant", "Variant"),
        ("BuildTrain", "BuildTrain"),
        ("ProductVersion", "ProductMarketingVersion"),
    ] {
        if told.get(key).is_none() || told.get(key) != info.get(from) {
            return Err(format!("{key} is {:?}", told.get(key)));
        }
    }
    Ok(())
}

fn is_absent(answer: &Dictionary) -> bool {
    answer.get("RecoveryOSNoAssetFound").and_then(Value::as_boolean) == Some(true)
}

fn asset(known: &Known, answer: &Dictionary, name: &str) -> Judged {
    // `RecoveryOSIBEC` is how the key is written.
    let manifest = known.manifest().ok_or("an identity without Manifest")?;
    let listed = manifest.keys().find(|listed| listed.eq_ignore_ascii_case(name));
    match (listed, answer.get("AdditionalBootImages")) {
        (None, None) if is_absent(answer) => Ok(()),
        (Some(listed), Some(Value::Data(bytes))) => {
            let wanted: Vec<[u8; 4]> = fourcc(listed).into_iter().collect();
            known.image(bytes, &wanted).map_err(|why| format!("{name} {why}"))
        }
        _ => Err(format!("no {name}")),
    }
}

fn firmware(known: &Known, answer: &Dictionary) -> Judged {
    let loaded = |entry: &Value| {
        let info = entry.as_dictionary()?.get("Info")?.as_dictionary()?;
        ["IsLoadedByiBoot", "IsLoadedByiBootStage1"]
            .iter()
            .any(|flag| info.get(flag).and_then(Value::as_boolean) == Some(true))
            .then_some(())
    };
    let manifest = known.manifest().ok_or("an identity without Manifest")?;
    let wanted: BTreeSet<&String> = manifest.iter().filter(|(_, e)| loaded(e).is_some()).map(|(n, _)| n).collect();
    if wanted.is_empty() && is_absent(answer) {
        return Ok(());
    }
    let images = answer.get("AdditionalBootImages").and_then(Value::as_dictionary).ok_or("no AdditionalBootImages")?;
    let found: BTreeSet<&String> = images.keys().collect();
    if found != wanted {
        return Err(format!("{found:?} where {wanted:?} are wanted"));
    }
    for (name, image) in images {
        known.image(image.as_data().unwrap_or_default(), &[]).map_err(|why| format!("{name} {why}"))?;
    }
    Ok(())
}

/// What a phone with this identity and ticket of a recovery system thinks of an answer.
#[cfg(test)]
pub(crate) fn judge_recovery(
    identity: &Dictionary,
    ticket: &[u8],
    kind: &str,
    key: &str,
    answer: &Dictionary,
) -> Result<(), String> {
    let ticket = crate::wire::img4::Im4m::parse(ticket).map_err(|err| err.to_string())?;
    let known = Known { identity: Some(identity.clone()), ticket: Some(ticket), ..Known::default() };
    match kind {
        data::RECOVERY_OS_FILE_ASSET_IMAGE => asset(&known, answer, key),
        data::RECOVERY_OS_IBOOT_FW_FILES_IMAGES => firmware(&known, answer),
        _ => version(&known, answer),
    }
}
