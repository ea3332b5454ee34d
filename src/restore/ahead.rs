//! The question to Apple before the device leaves its system.
//!
//! In normal mode a device tells the nonce that its iBoot will show. So the boot ticket is asked for while nothing was
//! touched yet: a version that is not signed, a server that cannot be reached or a ticket that does not fit ends the
//! restore with the phone as it was. The answer is kept (see `tickets`), and the boot chain finds it when the same
//! nonce is shown. The modem's first question has no nonce, so its ticket is asked for at the same time, and comes in
//! while the boot chain uploads.
//!
//! What the device does not tell is no fault: then the chain asks, in recovery.

use super::engine::{Engine, RestorePlan};
use super::ticket::{self, Modes, Request};
use crate::device::{Normal, State, look};
use crate::event::{Event, Step};
use crate::fault::{Code, Fault};
use crate::mux::{Lockdown, LockdownError};
use crate::wire::iboot::Nonces;
use crate::wire::manifest::ModeFacts;
use crate::wire::tss::{Form, Peripheral};
use plist::{Dictionary, Value};

/// Lengths of nonces that there are.
const LENGTHS: [usize; 2] = [20, 32];

/// What tells them.
pub(super) const NONCES: [&str; 3] = ["ApParameters", "ApNonce", "SEPNonce"];

/// What lockdown told.
struct Told {
    nonces: Nonces,
    /// FirmwarePreflightInfo.
    modem: Option<Dictionary>,
    production: bool,
}

/// Asks for the tickets that can be asked for now, if the device is in normal mode.
///
/// # Errors
/// What [`ticket::obtain`] gives, at the stage `ticket`. Nothing was done to the device.
pub async fn ask(engine: &Engine, plan: &RestorePlan) -> Result<(), Fault> {
    let seen = look(&engine.eyes).await.devices.into_iter().find(|d| d.who().ecid == Some(plan.ecid));
    let Some(State::Normal(normal)) = seen.map(|device| device.state) else { return Ok(()) };
    let form = ticket::form(plan.cpid, plan.bdid);
    let note = |text: String| engine.tell.tell(Event::Note { text });
    let told = match read(engine, &normal, form).await {
        Ok(told) => told,
        Err(err) => {
            note(format!("the nonce is not told in normal mode ({err}); the ticket is asked for in recovery"));
            return Ok(());
        }
    };
    if told.nonces.ap.is_none() {
        note("the nonce is not told in normal mode; the ticket is asked for in recovery".into());
        return Ok(());
    }
    let asked = async {
        ticket::fits(&engine.identity, plan.cpid, plan.bdid)?;
        if engine.cancel.is_cancelled() {
            return Err(Fault::cancelled());
        }
        engine.tell.tell(Event::StepBegan { step: Step::Ticket, what: String::new() });
        let modes = Modes { production: told.production, secure: true, in_rom: false };
        let request = Request { form, modes, ecid: plan.ecid, nonces: &told.nonces };
        match ticket::obtain(&request, &engine.identity, engine.sign.as_ref()).await {
            // Not a word about the version: the nonces of normal mode may be what it dislikes.
            Err(fault) if fault.code == Code::TssRefused => {
                note(format!("{}; it is asked again in recovery", fault.detail));
                return Ok(());
            }
            done => done?,
        };
        engine.tell.tell(Event::StepDone { step: Step::Ticket, what: String::new() });
        Ok(())
    };
    asked.await.map_err(|fault: Fault| fault.during(Step::Ticket).on(plan.ecid))?;
    if let Some(modem) = told.modem.filter(|_| engine.identity.component("BasebandFirmware").is_some()) {
        let facts = ModeFacts {
            production: true,
            security_mode: true,
            image4: form == Form::Img4,
            in_rom_dfu: None,
            demotion_policy: None,
        };
        let uuid = uuid::Uuid::new_v4().to_string().to_uppercase();
        match Peripheral::Baseband.request(&engine.identity, &modem, &facts, plan.ecid.0, &uuid) {
            Ok(request) => engine.sign.ahead(request),
            Err(err) => tracing::info!(%err, "no request for the modem can be made yet"),
        }
    }
    Ok(())
}

async fn read(engine: &Engine, normal: &Normal, form: Form) -> Result<Told, LockdownError> {
    let mut lockdown = Lockdown::open(&engine.eyes.mux, normal.mux.id).await?;
    let mut values = Dictionary::new();
    for key in NONCES.into_iter().chain(["FirmwarePreflightInfo", "ProductionSOC"]) {
        if let Some(value) = lockdown.get(None, key).await? {
            values.insert(key.to_owned(), value);
        }
    }
    Ok(told(&values, form))
}

/// The nonces among lockdown's values of [`NONCES`]. Newer devices tell the SEP's true one only in `ApParameters`.
pub(super) fn nonces(values: &Dictionary) -> Nonces {
    let parameters = values.get("ApParameters").and_then(Value::as_dictionary);
    let nonce = |of: Option<&Dictionary>, key: &str| {
        let bytes = of?.get(key)?.as_data()?;
        // One of nothing but ones is a mask, not a nonce.
        (LENGTHS.contains(&bytes.len()) && bytes.iter().any(|b| *b != 0xFF)).then(|| bytes.to_vec())
    };
    Nonces {
        ap: nonce(parameters, "ApNonce").or_else(|| nonce(Some(values), "ApNonce")),
        sep: nonce(parameters, "SepNonce").or_else(|| nonce(Some(values), "SEPNonce")),
    }
}

fn told(values: &Dictionary, form: Form) -> Told {
    let nonces = nonces(values);
    let modem = values.get("FirmwarePreflightInfo").and_then(Value::as_dictionary).cloned();
    Told {
        nonces: Nonces { sep: nonces.sep.filter(|_| form == Form::Img4), ..nonces },
        // The nonce is of the modem as it runs now; the ramdisk's updater first asks without one.
        modem: modem.filter(|info| info.contains_key("ChipSerialNo")).map(|mut info| {
            info.remove("Nonce");
            info
        }),
        production: values.get("ProductionSOC").and_then(Value::as_boolean).unwrap_or(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(byte: u8, length: usize) -> Value {
        Value::Data(vec![byte; length])
    }

    #[test]
    fn a_mask_is_no_nonce() {
        let parameters =
            Dictionary::from_iter([("ApNonce".to_owned(), data(1, 32)), ("SepNonce".to_owned(), data(2, 20))]);
        let mut values = Dictionary::from_iter([
            ("ApNonce".to_owned(), data(1, 32)),
            ("SEPNonce".to_owned(), data(0xFF, 20)),
            ("ApParameters".to_owned(), parameters.into()),
        ]);
        assert_eq!(told(&values, Form::Img4).nonces, Nonces { ap: Some(vec![1; 32]), sep: Some(vec![2; 20]) });
        values.remove("ApParameters");
        assert_eq!(told(&values, Form::Img4).nonces, Nonces { ap: Some(vec![1; 32]), sep: None });
        for odd in [data(0xFF, 32), data(1, 31), Value::from("x")] {
            values.insert("ApNonce".into(), odd);
            assert_eq!(told(&values, Form::Img4).nonces.ap, None);
        }
    }

    #[test]
    fn the_modem_is_asked_for_without_its_present_nonce() {
        let info = Dictionary::from_iter([("ChipSerialNo".to_owned(), data(1, 4)), ("Nonce".to_owned(), data(2, 20))]);
        let mut values = Dictionary::from_iter([("FirmwarePreflightInfo".to_owned(), Value::Dictionary(info))]);
        let modem = told(&values, Form::Img4).modem.unwrap();
        assert!(modem.contains_key("ChipSerialNo") && !modem.contains_key("Nonce"));
        values.insert("FirmwarePreflightInfo".into(), Dictionary::new().into());
        assert!(told(&values, Form::Img4).modem.is_none(), "a phone without a modem");
    }

    #[test]
    fn an_img3_device_has_no_sep() {
        let values = Dictionary::from_iter([("ApNonce".to_owned(), data(1, 20)), ("SEPNonce".to_owned(), data(2, 20))]);
        assert_eq!(told(&values, Form::Img3).nonces, Nonces { ap: Some(vec![1; 20]), sep: None });
    }
}
