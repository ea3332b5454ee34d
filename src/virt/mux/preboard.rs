//! preboardd: the passcode dialog before an update, and the stashbag that comes of it.
//!
//! Nobody published what a real one checks. This one checks all that can be wrong in what a host sends: the local
//! ticket must be unsigned, hold exactly the six properties and nothing of one device, name trusted firmware only,
//! with both SEPs, digests of the length that its chip uses and no production mode anywhere. A commit needs a
//! stashbag, a signed ticket for this ECID and both nonces of now, and the same digest for every component that the
//! local ticket named. What a phone does with a wrong one is the bench's own: an `Error` with words. What the
//! stashbag is good for shows after the update (`restore/finish.rs`).
//!
//! The virtual person types the passcode a few seconds after the dialog opens, or is described as somebody else.

use super::link::{is_limit, receive, send};
use crate::virt::phone::{Phone, Stash};
use crate::virt::spec::PasscodeSpec;
use crate::virt::stream::{BoxStream, Stream};
use crate::wire::img4::{Im4m, Im4mComponent, Property, word};
use crate::wire::lockdown::{Frames, Shape};
use crate::wire::preboard::{Answer, Command};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// From the dialog to the passcode.
const TYPING: Duration = Duration::from_secs(6);
/// How long the dialog stays open.
const DIALOG: Duration = Duration::from_secs(120);

/// Who sits before the phone when it asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Person {
    #[default]
    Enters,
    /// Closes the dialog.
    Cancels,
    /// Nobody: the dialog ends by itself.
    Away,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// The system does not have the service.
    pub absent: bool,
    /// The phone says that it has no SEP for this (`HasSiDP` false).
    pub no_sidp: bool,
    pub person: Person,
    /// Takes commands and says nothing.
    pub silent: bool,
    /// Shows the dialog and never says how it ended.
    pub silent_dialog: bool,
    /// CreateStashbag is answered with this error.
    pub create_error: Option<String>,
    /// CommitStashbag is answered with this error.
    pub commit_error: Option<String>,
    /// CommitStashbag is not answered.
    pub commit_silent: bool,
    /// The nonce changes when a stashbag is made.
    pub fresh_nonce: bool,
}

/// `com.apple.preboardservice_v2`.
pub(super) fn serve(phone: Arc<Phone>, mut stream: BoxStream) {
    let mut frames = Frames::default();
    while let Ok(Some(message)) = receive(stream.as_mut(), &mut frames) {
        let knobs = &phone.spec.faults.mux.preboard;
        if knobs.silent {
            continue;
        }
        let command = Command::parse(&message);
        let done = match &command {
            Command::Create(manifest) => create(&phone, stream.as_mut(), manifest),
            Command::Commit(ticket) => commit(&phone, stream.as_mut(), ticket),
            Command::Other(name) => say(stream.as_mut(), &Answer::Error(format!("unknown command {name:?}"))),
        };
        if done.is_err() {
            return;
        }
    }
}

fn say(stream: &mut dyn Stream, answer: &Answer) -> io::Result<()> {
    send(stream, &answer.body(), Shape::Binary)
}

fn refuse(phone: &Phone, stream: &mut dyn Stream, command: &str, why: &str) -> io::Result<()> {
    phone.remember("preboard.refused", json!({ "command": command, "why": why }));
    say(stream, &Answer::Error(why.to_owned()))
}

fn create(phone: &Phone, stream: &mut dyn Stream, manifest: &[u8]) -> io::Result<()> {
    let knobs = &phone.spec.faults.mux.preboard;
    let ticket = match judge_local(phone, manifest) {
        Ok(ticket) => ticket,
        Err(why) => return refuse(phone, stream, "create", &why),
    };
    phone.remember("preboard.create", json!({ "components": ticket.components.len(), "bytes": manifest.len() }));
    if let Some(error) = &knobs.create_error {
        return refuse(phone, stream, "create", error);
    }
    if phone.state().passcode == PasscodeSpec::None {
        return say(stream, &Answer::Skip);
    }
    say(stream, &Answer::ShowDialog)?;
    phone.remember("preboard.dialog", json!({ "open": true }));
    let (wait, end) = match knobs.person {
        _ if knobs.silent_dialog => (None, Answer::Timeout),
        Person::Enters => (Some(TYPING), Answer::HideDialog),
        Person::Cancels => (Some(TYPING), Answer::Error("the passcode was not entered".into())),
        Person::Away => (Some(DIALOG), Answer::Timeout),
    };
    let stayed = host_stays(stream, wait.map(|wait| phone.scaled(wait)))?;
    let answer = if stayed { end } else { Answer::Timeout };
    phone.remember("preboard.dialog", json!({ "open": false, "entered": answer == Answer::HideDialog }));
    if answer == Answer::HideDialog {
        if phone.spec.faults.mux.preboard.fresh_nonce {
            phone.fresh_nonces();
        }
        let digests = ticket.components.iter().map(|(name, part)| (*name, part.digest.clone())).collect();
        phone.state().stash = Some(Stash { digests, committed: false });
        phone.remember("preboard.created", json!({}));
    }
    say(stream, &answer)
}

/// The dialog is open so long, or until the host hangs up.
fn host_stays(stream: &mut dyn Stream, wait: Option<Duration>) -> io::Result<bool> {
    stream.set_limit(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
    let read = stream.read(&mut [0]);
    stream.set_limit(None)?;
    match read {
        Ok(0) => Ok(false),
        // Whoever talks while a person types is no host of this protocol.
        Ok(_) => Err(io::ErrorKind::InvalidData.into()),
        Err(err) if is_limit(&err) => Ok(true),
        Err(_) => Ok(false),
    }
}

fn commit(phone: &Phone, stream: &mut dyn Stream, ticket: &[u8]) -> io::Result<()> {
    let knobs = &phone.spec.faults.mux.preboard;
    if knobs.commit_silent {
        return Ok(());
    }
    if let Some(error) = &knobs.commit_error {
        return refuse(phone, stream, "commit", error);
    }
    if let Err(why) = judge_commit(phone, ticket) {
        return refuse(phone, stream, "commit", &why);
    }
    if let Some(stash) = &mut phone.state().stash {
        stash.committed = true;
    }
    phone.remember("preboard.committed", json!({}));
    say(stream, &Answer::Committed)
}

/// Everything of a local ticket.
fn judge_local(phone: &Phone, manifest: &[u8]) -> Result<Im4m, String> {
    let ticket = Im4m::parse(manifest).map_err(|err| err.to_string())?;
    if !ticket.signature.is_empty() || !ticket.certificates.is_empty() {
        return Err("a local ticket is not signed".into());
    }
    let wanted = BTreeMap::from([
        (*b"BORD", Property::Int(phone.bdid.0.into())),
        (*b"CEPO", Property::Int(0)),
        (*b"CHIP", Property::Int(phone.model.cpid.0.into())),
        (*b"CPRO", Property::Bool(false)),
        (*b"CSEC", Property::Bool(false)),
        (*b"SDOM", Property::Int(1)),
    ]);
    for name in wanted.keys().chain(ticket.properties.keys()) {
        if wanted.get(name) != ticket.properties.get(name) {
            return Err(format!("{} is {:?}", word(*name), ticket.properties.get(name)));
        }
    }
    for sep in [b"sepi", b"rsep"] {
        if ticket.components.get(sep).is_none_or(|part| part.digest.is_empty()) {
            return Err(format!("no digest of {}", word(*sep)));
        }
    }
    let length = if (0x8010..0x8900).contains(&phone.model.cpid.0) { 48 } else { 20 };
    for (name, part) in &ticket.components {
        judge_part(*name, part, length).map_err(|why| format!("{} {why}", word(*name)))?;
    }
    Ok(ticket)
}

fn judge_part(name: [u8; 4], part: &Im4mComponent, length: usize) -> Result<(), String> {
    if ![0, length].contains(&part.digest.len()) {
        return Err(format!("has a digest of {} bytes", part.digest.len()));
    }
    if part.ekey != Some(true) {
        return Err("is not trusted".into());
    }
    if part.epro == Some(true) || part.esec == Some(true) {
        return Err("asks for production or security mode".into());
    }
    let allowed = match &name {
        b"sepi" => Some(*b"tbms"),
        b"rsep" => Some(*b"tbmr"),
        _ => None,
    };
    match part.other.keys().find(|key| Some(**key) != allowed) {
        Some(other) => Err(format!("holds {}", word(*other))),
        None => Ok(()),
    }
}

fn judge_commit(phone: &Phone, ticket: &[u8]) -> Result<(), String> {
    let ticket = Im4m::parse(ticket).map_err(|err| err.to_string())?;
    let state = phone.state();
    let stash = state.stash.as_ref().ok_or("there is no stashbag")?;
    if ticket.signature.is_empty() {
        return Err("the ticket is not signed".into());
    }
    if !ticket.is_for(phone.ecid.0, Some(&state.ap_nonce)) {
        return Err("the ticket is for another device or nonce".into());
    }
    if ticket.sep_nonce.as_deref() != Some(&state.sep_nonce) {
        return Err("the ticket is for another SEP nonce".into());
    }
    for (name, digest) in &stash.digests {
        let signed = ticket.components.get(name).ok_or_else(|| format!("{} is not in the ticket", word(*name)))?;
        if signed.digest != *digest {
            return Err(format!("{} is another one in the ticket", word(*name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virt::spec::PhoneSpec;
    use crate::wire::img4::Im4mFields;
    use std::os::unix::net::UnixStream;

    fn phone(passcode: PasscodeSpec, knobs: Knobs) -> Arc<Phone> {
        let mut spec = PhoneSpec { passcode, ..PhoneSpec::default() };
        spec.faults.mux.preboard = knobs;
        Phone::new(spec, 0, 1000.0).unwrap()
    }

    fn sep(epro: bool) -> Im4mComponent {
        Im4mComponent {
            digest: vec![7; 48],
            epro: Some(epro),
            esec: Some(epro),
            ekey: Some(true),
            other: BTreeMap::default(),
        }
    }

    /// A signed ticket for a phone, which no local one is.
    fn signed(phone: &Phone, change: impl FnOnce(&mut Im4mFields)) -> Vec<u8> {
        let (ap_nonce, sep_nonce) = {
            let state = phone.state();
            (state.ap_nonce.clone(), state.sep_nonce.clone())
        };
        let mut fields = Im4mFields {
            ecid: phone.ecid.0,
            chip: phone.model.cpid.0.into(),
            board: phone.bdid.0.into(),
            security_domain: 1,
            ap_nonce,
            sep_nonce: Some(sep_nonce),
            components: [(*b"sepi", sep(true)), (*b"rsep", sep(true))].into(),
            ..Im4mFields::default()
        };
        change(&mut fields);
        Im4m::build(&fields, |_| vec![1; 96], &[])
    }

    /// Sends one command; what the phone answers until it says how it ended.
    fn talk(phone: &Arc<Phone>, command: &Command) -> Vec<Answer> {
        let (mut host, link) = UnixStream::pair().unwrap();
        let served = Arc::clone(phone);
        let served = std::thread::spawn(move || serve(served, Box::new(link)));
        send(&mut host, &command.body(), Shape::Binary).unwrap();
        let mut frames = Frames::default();
        let mut said = Vec::new();
        while !matches!(said.last(), Some(answer) if *answer != Answer::ShowDialog) {
            said.push(Answer::parse(&receive(&mut host, &mut frames).unwrap().unwrap()));
        }
        drop(host);
        served.join().unwrap();
        said
    }

    #[test]
    fn a_signed_ticket_is_no_local_one() {
        let phone = phone(PasscodeSpec::Unlocked, Knobs::default());
        let said = talk(&phone, &Command::Create(signed(&phone, |_| {})));
        assert!(matches!(&said[..], [Answer::Error(why)] if why.contains("not signed")), "{said:?}");
        assert!(phone.state().stash.is_none());
    }

    #[test]
    fn a_commit_is_for_this_phone_these_nonces_and_these_digests() {
        let phone = phone(PasscodeSpec::Unlocked, Knobs::default());
        let none = talk(&phone, &Command::Commit(signed(&phone, |_| {})));
        assert_eq!(none, [Answer::Error("there is no stashbag".into())]);
        let digests = BTreeMap::from([(*b"sepi", vec![7; 48]), (*b"rsep", vec![7; 48])]);
        phone.state().stash = Some(Stash { digests, committed: false });
        let wrong: [fn(&mut Im4mFields); 5] = [
            |f| f.ecid += 1,
            |f| f.ap_nonce = vec![1; 32],
            |f| f.sep_nonce = None,
            |f| drop(f.components.remove(b"rsep")),
            |f| f.components.get_mut(b"sepi").unwrap().digest = vec![8; 48],
        ];
        for change in wrong {
            let said = talk(&phone, &Command::Commit(signed(&phone, change)));
            assert!(matches!(&said[..], [Answer::Error(_)]), "{said:?}");
            assert!(!phone.state().stash.as_ref().unwrap().committed);
        }
        assert_eq!(talk(&phone, &Command::Commit(signed(&phone, |_| {}))), [Answer::Committed]);
        assert!(phone.state().stash.as_ref().unwrap().committed);
    }

    #[test]
    fn every_part_of_a_local_ticket_is_looked_at() {
        let good = Im4mComponent { epro: Some(false), esec: None, ..sep(false) };
        assert!(judge_part(*b"sepi", &good, 48).is_ok());
        let with = |change: fn(&mut Im4mComponent)| {
            let mut part = good.clone();
            change(&mut part);
            judge_part(*b"sepi", &part, 48)
        };
        assert!(with(|p| p.digest = vec![1; 20]).is_err());
        assert!(with(|p| p.ekey = None).is_err());
        assert!(with(|p| p.ekey = Some(false)).is_err());
        assert!(with(|p| p.epro = Some(true)).is_err());
        assert!(with(|p| p.esec = Some(true)).is_err());
        assert!(with(|p| drop(p.other.insert(*b"tbmr", Property::Bytes(vec![1])))).is_err());
        assert!(with(|p| drop(p.other.insert(*b"tbms", Property::Bytes(vec![1])))).is_ok());
    }
}
