//! The actions of a script: what is sent to the host for each, and what becomes of the answer.

use super::asr;
use super::check::{self, Judged};
use super::line::{Channel, DataPort, Failure, HOST_LIMIT, Stop, gone, lock};
use super::run::Run;
use super::script::{Act, Fud};
use super::updaters;
use crate::wire::img4::Algorithm;
use crate::wire::restored::names::{data, operation};
use crate::wire::restored::{BbUpdateStatus, DataRequest, FILE_DATA_PIECE, FromDevice, ToDevice};
use plist::{Dictionary, Value};
use serde_json::json;
use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Cap on one component that comes in pieces, in bytes.
const PIECES_CAP: usize = 1 << 30;
/// A percent step takes this long on a real phone, at least.
const PERCENT: Duration = Duration::from_millis(25);

/// AMRError by what went wrong, as reports have them.
fn failure(data_type: &str, why: &str) -> Failure {
    let (code, text) = match data_type {
        data::ROOT_TICKET => (-1, "failed to update ticket"),
        data::NOR_DATA => (51, "failed to load SEP Firmware"),
        data::KERNEL_CACHE => (14, "failed to install kernelcache"),
        data::DEVICE_TREE => (14, "failed to install device tree"),
        data::SYSTEM_IMAGE_ROOT_HASH | data::SYSTEM_IMAGE_CANONICAL_METADATA => (14, "failed to seal system volume."),
        data::BASEBAND_DATA => (-1, "update_baseband: failed to perform next stage"),
        data::FIRMWARE_UPDATER_DATA => (-1, "ramrod firmware update failed"),
        data::BUILD_IDENTITY_DICT | data::SOURCE_BOOT_OBJECT_V4 | data::PERSONALIZED_BOOT_OBJECT_V3 => {
            (100, "failed to install splat")
        }
        data::URL_ASSET | data::STREAMED_IMAGE_DECRYPTION_KEY => (14, "failed to restore image"),
        recovery if recovery.starts_with("RecoveryOS") => (14, "failed to install the recoveryOS files"),
        _ => (-1, "failed to update device firmware"),
    };
    Failure::new(code, text).because("RamrodErrorDomain", 1020, format!("{data_type}: {why}"))
}

impl Run {
    pub fn act(self: &Arc<Self>, act: &Act) -> Result<(), Stop> {
        match act {
            Act::Host => self.host_compatible(),
            Act::Op(number, times) => {
                for _ in 0..*times {
                    self.progress(*number, Some(0), None)?;
                    self.pause(PERCENT);
                }
                Ok(())
            }
            Act::Percent(number, from, to) => {
                for percent in (*from..=*to).step_by(5) {
                    self.progress(*number, Some(percent), None)?;
                    self.pause(PERCENT);
                }
                Ok(())
            }
            Act::Ask(what, port) => self.ask_plain(what, *port),
            Act::Identity => self.ask_identity(),
            Act::Fud(which) => self.ask_fud(which),
            Act::Images(kind) => self.ask_images(kind),
            Act::Ean => {
                let request = DataRequest::new(data::EAN_DATA).argument("EANImageList", true);
                let answer = self.ask(request, false, false)?;
                self.judge(data::EAN_DATA, check::list(&answer, "EANImageList").map(|_| ()))
            }
            Act::Source(name) => self.ask_pieces(data::SOURCE_BOOT_OBJECT_V4, name),
            Act::Personalized => match &self.faults.personalized {
                Some(name) => self.ask_pieces(data::PERSONALIZED_BOOT_OBJECT_V3, name),
                None => Ok(()),
            },
            Act::Updater(name) => self.ask_updater(name),
            Act::Modem { first, asynchronous } => self.ask_modem(*first, *asynchronous),
            Act::Output => self.offer_output(),
            Act::Asr => {
                let port = DataPort::open(&self.phone, crate::wire::asr::PORT, self.take_refusal());
                let mut request = DataRequest::new(data::SYSTEM_IMAGE_DATA);
                request.raw.insert("WillSendImageVerificationProgress".into(), true.into());
                self.request(&request, false)?;
                asr::receive(self, port, None)
            }
            Act::AsrStart => self.start_asr(),
            Act::AsrAwait => {
                let Some(outcome) = lock(&self.asr).take() else { return Err(gone("ASR was never started")) };
                outcome.recv().map_err(|_| gone("ASR ended without a word"))?
            }
            Act::Fdr { tolerated } => self.reach_fdr(*tolerated),
            Act::Wait => self.line.tell(&FromDevice::AsyncWait { context: Some(context()) }),
            Act::Attest => {
                self.line.tell(&FromDevice::RestoreAttestation)?;
                let answer = self.line.answer(HOST_LIMIT)?;
                let said = matches!(ToDevice::parse(&answer), ToDevice::Attest(_));
                self.judge("RestoreAttestation", said.then_some(()).ok_or_else(|| "no RestoreShouldAttest".to_owned()))
            }
            Act::Downgrade => {
                let running = self.phone.state().build.train;
                match lock(&self.known).train() {
                    Some(train) if train < running => {
                        let text = format!("cannot update from train {running} to train {train}");
                        Err(Failure::new(68, text).into())
                    }
                    _ => Ok(()),
                }
            }
            Act::Recovery(piece) => self.ask_recovery(piece),
            Act::Extra => match self.faults.unknown_data_type.clone() {
                Some(name) => {
                    self.ask(DataRequest::new(&name), false, false)?;
                    self.ask(DataRequest::new(&name), true, false).map(|_| ())
                }
                None => Ok(()),
            },
        }
    }

    fn host_compatible(&self) -> Result<(), Stop> {
        let mut missing = Vec::new();
        for need in &self.script.needs {
            let table = if need.message { "SupportedMessageTypes" } else { "SupportedDataTypes" };
            let listed = self.options.get(table).and_then(Value::as_dictionary);
            if listed.is_none_or(|t| t.get(&need.name).is_none()) {
                let kind = if need.required { "required" } else { "optional" };
                self.note(&format!("host/device compatibility check: {} ({kind}) is missing", need.name));
                if need.required {
                    missing.push(need.name.clone());
                }
            }
        }
        if missing.is_empty() && !self.faults.host_incompatible {
            return Ok(());
        }
        self.phone.remember("restore.incompatible", json!({ "missing": missing }));
        let text = "This host version is unsupported. You may need to update your host tools.";
        Err(Failure::new(10, text).into())
    }

    /// Sends a request and remembers it.
    pub fn request(&self, request: &DataRequest, asynchronous: bool) -> Result<(), Stop> {
        let detail = json!({
            "type": request.data_type,
            "port": request.port,
            "async": asynchronous,
            "image": request.image_name(),
            "arguments": request.arguments.keys().collect::<Vec<_>>(),
        });
        self.phone.remember("restore.request", detail);
        self.note(&format!("requesting {} from host", request.data_type));
        let message = match asynchronous {
            true => FromDevice::AsyncDataRequest(request.clone()),
            false => FromDevice::DataRequest(request.clone()),
        };
        self.line.tell(&message)
    }

    /// Asks and gives the channel that the answer comes on.
    fn open(&self, mut request: DataRequest, port: bool, asynchronous: bool) -> Result<Channel, Stop> {
        let mut own = port.then(|| self.data_port());
        request.port = own.as_ref().map(|p| p.port);
        self.request(&request, asynchronous)?;
        Ok(match &mut own {
            Some(own) => Channel::Port(own.accept()?),
            None => Channel::Control,
        })
    }

    pub fn ask(&self, request: DataRequest, port: bool, asynchronous: bool) -> Result<Dictionary, Stop> {
        let data_type = request.data_type.clone();
        let mut channel = self.open(request, port, asynchronous)?;
        channel.next(&self.line).map_err(|stop| match stop {
            Stop::Failed(inner) => failure(&data_type, &inner.text()).into(),
            other => other,
        })
    }

    pub fn judge(&self, data_type: &str, judged: Judged) -> Result<(), Stop> {
        let why = judged.as_ref().err();
        self.phone.remember("restore.answer", json!({ "type": data_type, "ok": why.is_none(), "why": why }));
        judged.map_err(|why| {
            self.note(&format!("{data_type}: {why}"));
            failure(data_type, &why).into()
        })
    }

    fn ask_plain(&self, what: &str, port: bool) -> Result<(), Stop> {
        let mut request = DataRequest::new(what);
        let by_name = what == data::NOR_DATA && self.script.name == "ios18";
        if by_name {
            request = request.argument("FlashVersion1", true);
        }
        let answer = self.ask(request, port, false)?;
        let known = lock(&self.known).clone();
        let judged = match what {
            data::ROOT_TICKET => self.take_ticket(&answer),
            data::NOR_DATA => check::nor(&known, &answer, by_name).map(|_| ()),
            data::KERNEL_CACHE => check::file(&known, &answer, what, *b"krnl"),
            data::DEVICE_TREE => check::file(&known, &answer, what, *b"dtre"),
            data::SYSTEM_IMAGE_ROOT_HASH => check::file(&known, &answer, what, *b"isys"),
            data::SYSTEM_IMAGE_CANONICAL_METADATA => check::file(&known, &answer, what, *b"msys"),
            data::RECEIPT_MANIFEST => {
                let received = answer.get("ReceiptManifest").and_then(Value::as_dictionary);
                let empty = received.is_none_or(Dictionary::is_empty);
                let ours = known.manifest().is_none_or(|m| received == Some(m));
                match (empty, ours) {
                    (true, _) => Err("no ReceiptManifest".into()),
                    (_, false) => Err("another manifest than that of the identity".into()),
                    _ => Ok(()),
                }
            }
            // Hosts answer these with an empty dictionary, as Apple's own does.
            _ => Ok(()),
        };
        self.judge(what, judged)
    }

    fn take_ticket(&self, answer: &Dictionary) -> Judged {
        let model = self.phone.model;
        if model.image == crate::facts::models::ImageFormat::Img3 {
            let ticket = check::root_ap_ticket(answer, self.phone.ecid.0, &self.nonce)?;
            lock(&self.known).ap_ticket = Some(ticket);
            return Ok(());
        }
        let ticket = check::root_ticket(answer, self.phone.ecid.0, u64::from(model.cpid.0), &self.nonce)?;
        lock(&self.known).ticket = Some(ticket);
        Ok(())
    }

    fn ask_identity(&self) -> Result<(), Stop> {
        let variant = if self.erases() { "Erase" } else { "Update" };
        let answer =
            self.ask(DataRequest::new(data::BUILD_IDENTITY_DICT).argument("Variant", variant), false, false)?;
        let model = self.phone.model;
        let identity = check::identity(&answer, u64::from(model.cpid.0), u64::from(self.phone.bdid.0), self.erases());
        let judged = identity.map(|(identity, erase)| {
            self.erase.store(erase, Ordering::SeqCst);
            lock(&self.known).identity = Some(identity);
        });
        self.judge(data::BUILD_IDENTITY_DICT, judged)
    }

    fn ask_fud(&self, which: &Fud) -> Result<(), Stop> {
        if *which == Fud::All {
            let mut request = DataRequest::new(data::FUD_DATA);
            request.raw.insert("Arguments".into(), Dictionary::new().into());
            let answer = self.ask(request, false, false)?;
            let known = lock(&self.known).clone();
            let judged = check::all_images(&known, &answer, "FUDImageData");
            return self.judge(data::FUD_DATA, judged.map(|_| ()));
        }
        let answer = self.ask(DataRequest::new(data::FUD_DATA).argument("FUDImageList", true), false, false)?;
        let listed = check::list(&answer, "FUDImageList");
        self.judge(data::FUD_DATA, listed.as_ref().map(|_| ()).map_err(Clone::clone))?;
        for name in listed.unwrap_or_default() {
            if matches!(which, Fud::These(wanted) if !wanted.contains(&name)) {
                continue;
            }
            self.ask_image(DataRequest::new(data::FUD_DATA), "FUDImageData", &name)?;
        }
        Ok(())
    }

    fn ask_images(&self, kind: &str) -> Result<(), Stop> {
        let request = || DataRequest::new(data::PERSONALIZED_DATA).argument("ImageType", kind);
        let answer = self.ask(request().argument("ImageList", true), false, false)?;
        let listed = check::list(&answer, "ImageList");
        self.judge(data::PERSONALIZED_DATA, listed.as_ref().map(|_| ()).map_err(Clone::clone))?;
        for name in listed.unwrap_or_default() {
            self.ask_image(request(), "ImageData", &name)?;
        }
        Ok(())
    }

    fn ask_image(&self, request: DataRequest, key: &str, name: &str) -> Result<(), Stop> {
        let data_type = request.data_type.clone();
        let answer = self.ask(request.argument("ImageName", name), false, false)?;
        let known = lock(&self.known).clone();
        self.judge(&data_type, check::named_image(&known, &answer, key, name))
    }

    /// A component as FileData pieces and a FileDataDone.
    fn ask_pieces(&self, data_type: &str, name: &str) -> Result<(), Stop> {
        let request = DataRequest::new(data_type).argument("ImageName", name).argument("IsRecoveryOS", false);
        let mut bytes = Vec::new();
        let judged = self.take_pieces(request, false, &mut bytes)?;
        let judged = judged.and_then(|()| self.judge_pieces(data_type, name, &bytes));
        self.judge(data_type, judged.map_err(|why| format!("{name}: {why}")))
    }

    /// FileData pieces up to FileDataDone; the outer error ends the link, the inner one is the host's fault.
    fn take_pieces(&self, request: DataRequest, port: bool, bytes: &mut Vec<u8>) -> Result<Judged, Stop> {
        let mut channel = self.open(request, port, false)?;
        Ok(loop {
            let piece = channel.next(&self.line)?;
            match piece.get("FileData") {
                Some(Value::Data(piece)) if piece.is_empty() => break Err("an empty FileData".to_owned()),
                Some(Value::Data(piece)) if piece.len() > FILE_DATA_PIECE => {
                    break Err(format!("a FileData of {} bytes", piece.len()));
                }
                Some(Value::Data(piece)) => {
                    let first = bytes.is_empty();
                    bytes.extend_from_slice(piece);
                    if bytes.len() > PIECES_CAP {
                        break Err("does not end".to_owned());
                    }
                    if first && let Some(url) = asr::aea_key_url(bytes) {
                        self.key_of_pieces(&mut channel, &url)?;
                    }
                }
                _ if piece.get("FileDataDone").and_then(Value::as_boolean) == Some(true) => break Ok(()),
                _ => break Err("neither FileData nor FileDataDone".to_owned()),
            }
        })
    }

    /// The same on a data port, for a file that is judged as a whole.
    pub fn whole_in_pieces(&self, request: DataRequest) -> Result<Vec<u8>, Stop> {
        let (mut bytes, kind) = (Vec::new(), request.data_type.clone());
        match self.take_pieces(request, true, &mut bytes)? {
            Ok(()) => Ok(bytes),
            wrong => self.judge(&kind, wrong).map(|()| bytes),
        }
    }

    fn judge_pieces(&self, data_type: &str, name: &str, bytes: &[u8]) -> Judged {
        if bytes.is_empty() {
            return Err("is empty".into());
        }
        let known = lock(&self.known);
        if data_type == data::PERSONALIZED_BOOT_OBJECT_V3 {
            return known.image(bytes, &[]);
        }
        // As shipped: what the identity has a digest of must have it. The digest of an image that is
        // not an IM4P need not be one of its bytes, so there it is only remembered.
        let listed = known.component(name).and_then(|c| c.get("Digest")).and_then(Value::as_data);
        let Some((listed, algorithm)) = listed.and_then(|d| Some((d, Algorithm::by_length(d.len())?))) else {
            return Ok(());
        };
        let matches = algorithm.digest(&[bytes]) == listed;
        self.phone.remember("restore.pieces", json!({ "name": name, "bytes": bytes.len(), "digest": matches }));
        let signed = crate::wire::img4::Im4p::parse(bytes).is_ok();
        if signed && !matches { Err("has another digest than the manifest".into()) } else { Ok(()) }
    }

    /// The key of an encrypted image is asked for after its first piece, on a port of its own.
    fn key_of_pieces(&self, channel: &mut Channel, url: &str) -> Result<(), Stop> {
        let mut own = self.data_port();
        let mut request =
            DataRequest::new(data::URL_ASSET).argument("RequestMethod", "GET").argument("RequestURL", url);
        request.port = Some(own.port);
        self.phone.remember("restore.request", json!({ "type": data::URL_ASSET, "port": own.port, "async": false }));
        let mut question = FromDevice::DataRequest(request).build();
        question.insert("MsgType".into(), data::URL_ASSET.into());
        channel.write(&self.line, &FromDevice::Other { kind: data::URL_ASSET.into(), raw: question })?;
        let answer = Channel::Port(own.accept()?).next(&self.line)?;
        let judged = check::url_answer(&answer).and_then(|k| k.map(|_| ()).ok_or_else(|| "no key came".to_owned()));
        self.judge(data::URL_ASSET, judged)
    }

    /// The key of the system image: by its address, and if that fails through the key service.
    pub fn url_asset(&self, url: &str) -> Result<(), Stop> {
        let request = DataRequest::new(data::URL_ASSET).argument("RequestMethod", "GET").argument("RequestURL", url);
        let answer = self.ask(request, true, true)?;
        match check::url_answer(&answer) {
            Err(why) => return self.judge(data::URL_ASSET, Err(why)),
            Ok(Some(_)) => return self.judge(data::URL_ASSET, Ok(())),
            Ok(None) => self.phone.remember("restore.answer", json!({ "type": data::URL_ASSET, "ok": false })),
        }
        let headers = Dictionary::from_iter([("Content-Type", "application/json")]);
        let request = DataRequest::new(data::STREAMED_IMAGE_DECRYPTION_KEY)
            .argument("RequestMethod", "POST")
            .argument("RequestURL", "https://wkms.sd.apple.com/keys/fetch")
            .argument("RequestAdditionalHeaders", headers)
            .argument("RequestBody", Value::Data(b"{}".to_vec()));
        let answer = self.ask(request, true, true)?;
        let judged = check::url_answer(&answer).and_then(|k| k.map(|_| ()).ok_or_else(|| "no key came".to_owned()));
        self.judge(data::STREAMED_IMAGE_DECRYPTION_KEY, judged)
    }

    fn ask_updater(&self, name: &str) -> Result<(), Stop> {
        let known = lock(&self.known).clone();
        let loops = self.loops.fetch_add(1, Ordering::SeqCst);
        let inquiry = updaters::inquiry(&self.phone, &known, name, loops, self.faults.updaters);
        let mut request = DataRequest::new(data::FIRMWARE_UPDATER_DATA);
        request.arguments = inquiry.arguments.clone();
        let answer = self.ask(request, false, false)?;
        let judged = updaters::judge(&self.phone, &known, &inquiry, &answer);
        self.phone.remember("restore.updater", json!({ "name": name, "ok": judged.is_ok() }));
        self.judge(data::FIRMWARE_UPDATER_DATA, judged.map_err(|why| format!("{name}: {why}")))
    }

    fn ask_modem(&self, first: bool, asynchronous: bool) -> Result<(), Stop> {
        let nonce = (!first).then_some(&self.modem_nonce[..]);
        let mut request = DataRequest::new(data::BASEBAND_DATA);
        request.arguments = updaters::modem(&self.phone, &lock(&self.known), nonce);
        let answer = self.ask(request, asynchronous, asynchronous)?;
        let judged = check::baseband(&lock(&self.known), &answer, !first).map(|_| ());
        self.judge(data::BASEBAND_DATA, judged)?;
        let tolerated = if first { None } else { self.faults.sticky_error.clone() };
        let imei = (!first && tolerated.is_none()).then(|| format!("35{:013}", self.phone.ecid.0 % 10_000_000_000_000));
        self.line.tell(&FromDevice::BbUpdateStatus(BbUpdateStatus {
            accepted: true,
            done: imei.is_some(),
            imei,
            error: tolerated,
        }))
    }

    /// What the updaters wrote: a cpio archive on a data port, empty but for its root.
    fn offer_output(&self) -> Result<(), Stop> {
        let mut own = self.data_port();
        let mut request = DataRequest::new(data::BASEBAND_UPDATER_OUTPUT_DATA);
        request.port = Some(own.port);
        self.request(&request, false)?;
        let mut link = own.accept()?;
        link.write_all(&cpio(&[(".", 0o040_755), ("TRAILER!!!", 0)])).map_err(gone)?;
        link.shutdown(Shutdown::Both).map_err(gone)
    }

    fn start_asr(self: &Arc<Self>) -> Result<(), Stop> {
        let port = self.data_port();
        let mut request = DataRequest::new(data::SYSTEM_IMAGE_DATA);
        request.port = Some(port.port);
        request.raw.insert("WillSendImageVerificationProgress".into(), true.into());
        let context = context();
        self.request(&request, true)?;
        self.progress(operation::RESTORE_IMAGE, Some(0), Some(&context))?;
        let (sender, outcome) = channel();
        *lock(&self.asr) = Some(outcome);
        let run = Arc::clone(self);
        std::thread::spawn(move || {
            let _ = sender.send(asr::receive(&run, port, Some(&context)));
        });
        Ok(())
    }

    fn reach_fdr(&self, tolerated: bool) -> Result<(), Stop> {
        if self.faults.fdr_absent {
            return Ok(());
        }
        if !tolerated && self.faults.fdr_refused {
            let refused = Failure::new(53, "Failed to recover FDR data.")
                .because("AMFDRError", 53, "Permissions request failed.")
                .because("AMFDRError", 53, "x-fdr-message: 'Error retrieving device cert'");
            return Err(refused.into());
        }
        match self.fdr.round_trip() {
            Ok(()) => Ok(()),
            Err(err) => {
                self.phone.remember("fdr.failed", json!({ "why": err.to_string() }));
                self.note(&format!("FDR: {err}"));
                if tolerated {
                    return Ok(());
                }
                let failed = Failure::new(53, "Failed to recover FDR data.").because("AMFDRError", 53, err.to_string());
                Err(failed.into())
            }
        }
    }
}

fn context() -> String {
    uuid::Uuid::new_v4().to_string().to_uppercase()
}

/// Names and modes of entries without content, in the old portable form.
fn cpio(entries: &[(&str, u32)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (inode, (name, mode)) in entries.iter().enumerate() {
        let head = format!(
            "070707{:06o}{:06o}{:06o}{:06o}{:06o}{:06o}{:06o}{:011o}{:06o}{:011o}{name}\0",
            0,
            inode,
            mode,
            0,
            0,
            1,
            0,
            0,
            name.len() + 1,
            0
        );
        archive.extend_from_slice(head.as_bytes());
    }
    archive
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_cpio_entry_has_the_length_of_its_head_and_name() {
        assert_eq!(super::cpio(&[(".", 0o040_755)]).len(), 76 + 2);
    }
}
