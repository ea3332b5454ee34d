//! Does Apple sign a build today, asked without a device?
//!
//! The signing server is asked for a ticket of a device that does not exist: a random ECID and random nonces, the
//! components of the manifest, nothing of baseband. Three things can be known from the answer, and no more:
//! - 0 is yes.
//! - 94 is no, but only of a request in a shape that the server takes: the same question about the newest build of
//!   the same product must have had a yes. Some newer chips are answered 69 or 94 for what a question without a device
//!   lacks.
//! - Everything else is "unknown", with number and text. Other tools call it unsigned; people throw away good plans
//!   for that.
//!
//! A yes or no is kept for 15 minutes, and one question is asked at a time: the server has no published limit, and
//! this is not the tool that finds it. When a device is restored it is asked again, with the device's own nonces.

use super::choice::identity_for;
use crate::disk::write_atomic;
use crate::facts::models::{ImageFormat, Model};
use crate::fault::{Code, Fault};
use crate::ids::BuildId;
use crate::net::Tss;
use crate::wire::manifest::{Behaviour, BuildManifest};
use crate::wire::tss::{ApRequest, Form};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};

/// How long a yes or no is believed.
const MINUTES: i64 = 15;
const MAX_KEPT: usize = 500;
const MAX_FILE: u64 = 1 << 20;
/// Chips before A10 take nonces of 20 bytes, later ones of 32. The border is from memory, so a server that does not
/// like one length is asked with the other.
const SHORT_NONCE: [u32; 6] = [0x8960, 0x7000, 0x7001, 0x8000, 0x8001, 0x8003];
/// What the wrong length of a nonce is answered with.
const INTERNAL_ERROR: i64 = 128;

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "signed", rename_all = "kebab-case")]
pub enum Signed {
    Yes,
    No,
    /// The server's number and words, or why it could not be asked.
    Unknown {
        code: Option<i64>,
        text: String,
    },
}

/// An answer, and when it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    #[serde(flatten)]
    pub signed: Signed,
    pub asked: Timestamp,
}

/// What makes two questions the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    build: BuildId,
    board: String,
    variant: String,
    answer: Answer,
}

/// Asks, and remembers for a while.
pub struct Probe {
    tss: Tss,
    file: PathBuf,
    kept: Vec<Kept>,
    /// Why the last question had no answer with a number.
    silent: Option<Fault>,
}

impl Probe {
    /// `file` keeps the answers; one that cannot be read is forgotten.
    pub fn new(tss: Tss, file: &Path) -> Self {
        let mut text = Vec::new();
        let read = std::fs::File::open(file).and_then(|f| f.take(MAX_FILE).read_to_end(&mut text));
        let kept = read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Probe { tss, file: file.to_owned(), kept, silent: None }
    }

    /// Why the server gave no verdict at all when it was last asked: not reached, or something else in its place.
    pub fn silent(&self) -> Option<&Fault> {
        self.silent.as_ref()
    }

    /// Is the erase variant of this build signed for the board of `model`? `known_good` when the same question about
    /// the newest build of this product was answered with yes.
    ///
    /// # Errors
    /// [`Code::FirmwareWrongDevice`] and its like when the manifest has nothing for the board; faults of the disk.
    /// That the server could not be asked is an answer: [`Signed::Unknown`].
    pub async fn ask(&mut self, manifest: &BuildManifest, model: &Model, known_good: bool) -> Result<Answer, Fault> {
        let nobody = || Fault::new(Code::UnknownModel, format!("the board number of {} is not known", model.product));
        let bdid = model.bdid.ok_or_else(nobody)?;
        let identity = identity_for(manifest, model.cpid, bdid, Some(model.board), Behaviour::Erase)?;
        let now = Timestamp::now();
        let same = |k: &&Kept| k.build == manifest.build && k.board == model.board && k.variant == identity.variant;
        let fresh = |k: &Kept| k.answer.asked <= now && k.answer.asked + MINUTES.minutes() > now;
        self.kept.retain(fresh);
        // A kept no was one by the rule of its time.
        if let Some(kept) = self.kept.iter().find(same) {
            return Ok(kept.answer.clone());
        }
        let short = SHORT_NONCE.contains(&model.cpid.0);
        let mut told = self.once(model, identity, if short { 20 } else { 32 }).await?;
        if matches!(&told, Err(fault) if fault.number == Some(INTERNAL_ERROR)) && model.image == ImageFormat::Img4 {
            told = self.once(model, identity, if short { 32 } else { 20 }).await?;
        }
        self.silent = told.as_ref().err().filter(|fault| fault.number.is_none()).cloned();
        let answer = Answer { signed: meaning(told, known_good), asked: now };
        if !matches!(answer.signed, Signed::Unknown { .. }) {
            let (build, board) = (manifest.build.clone(), model.board.to_owned());
            self.kept.push(Kept { build, board, variant: identity.variant.clone(), answer: answer.clone() });
            let too_many = self.kept.len().saturating_sub(MAX_KEPT);
            self.kept.drain(..too_many);
            let text = serde_json::to_vec(&self.kept).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
            if let Some(folder) = self.file.parent() {
                fs_err::create_dir_all(folder).map_err(|e| Fault::disk(&e))?;
            }
            write_atomic(&self.file, &text)?;
        }
        Ok(answer)
    }

    async fn once(
        &self,
        model: &Model,
        identity: &crate::wire::manifest::BuildIdentity,
        nonce: usize,
    ) -> Result<Result<(), Fault>, Fault> {
        let form = if model.image == ImageFormat::Img3 { Form::Img3 } else { Form::Img4 };
        let request = ApRequest {
            form,
            ecid: invented_ecid()?,
            ap_nonce: Some(random(if form == Form::Img3 { 20 } else { nonce })?),
            sep_nonce: if form == Form::Img3 { None } else { Some(random(20)?) },
            production: true,
            security_mode: true,
            in_rom_dfu: None,
            uuid: uuid::Uuid::new_v4().to_string().to_uppercase(),
        };
        Ok(self.tss.request(&request.build(identity)).await.map(drop))
    }
}

/// What an answer of the server means.
fn meaning(told: Result<(), Fault>, known_good: bool) -> Signed {
    match told {
        Ok(()) => Signed::Yes,
        Err(fault) if fault.code == Code::TssNotSigned && known_good => Signed::No,
        Err(fault) => Signed::Unknown { code: fault.number, text: fault.detail },
    }
}

fn random(count: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    Ok(bytes)
}

/// An ECID as long as real ones are; among so many nobody's own device is hit.
fn invented_ecid() -> Result<u64, Fault> {
    let bytes: [u8; 8] = random(8)?.try_into().unwrap_or_default();
    Ok(u64::from_be_bytes(bytes) & 0x001F_FFFF_FFFF_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_94_to_a_good_question_is_a_no() {
        let fault = |code, number| Fault::new(code, "said").number(number);
        assert_eq!(meaning(Ok(()), false), Signed::Yes);
        assert_eq!(meaning(Err(fault(Code::TssNotSigned, 94)), true), Signed::No);
        for (code, number, known_good) in [
            (Code::TssNotSigned, 94, false),
            (Code::TssRefused, 69, true),
            (Code::TssRefused, 126, true),
            (Code::TssRefused, 128, true),
        ] {
            let unknown = Signed::Unknown { code: Some(number), text: "said".into() };
            assert_eq!(meaning(Err(fault(code, number)), known_good), unknown);
        }
        let away = meaning(Err(Fault::new(Code::TssUnreachable, "away")), true);
        assert_eq!(away, Signed::Unknown { code: None, text: "away".into() });
    }
}
