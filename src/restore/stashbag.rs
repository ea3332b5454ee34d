//! The stashbag: what an update that keeps the data does in normal mode, before anything is touched.
//!
//! Create, ticket, commit. The device asks its passcode on its own screen and seals the keys of the data for the
//! system that the local ticket names; Apple signs the real ticket for the nonce that the device has now; with that
//! the device binds the stashbag to it. Each command takes a connection of its own, as the one known host does it.
//! The nonce is read after the stashbag is made, because nobody knows whether making it changes the nonce. The ticket
//! is handed on: where recovery mode shows the same nonces, it serves there too.
//!
//! Whether the device needs one it says itself (`HasSiDP`, and the answer `Skip`). Where it cannot be had at all (an
//! older system, no trust, another mode) the update goes on without: known hosts update such devices too, and the
//! person then types the passcode on the updated device. A refusal or a passcode that nobody types ends the restore
//! here, with the device still in its system and nothing changed. What becomes of a stashbag that was made and never
//! committed is not known; the next one is made anew.

use super::ahead;
use super::ticket::{self, Modes, Sign, Ticket};
use crate::device::{Normal, Trust};
use crate::event::{Event, Request, Step, Tell};
use crate::fault::{Code, Fault, Remedy};
use crate::ids::Ecid;
use crate::mux::{Lockdown, LockdownError, Mux, Preboard, Session};
use crate::wire::iboot::Nonces;
use crate::wire::img4::local_ticket;
use crate::wire::manifest::BuildIdentity;
use crate::wire::preboard::{Answer, Command};
use crate::wire::tss::Form;
use plist::Dictionary;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Answers of other kinds that are listened to before the talk counts as nonsense.
const OTHERS: u32 = 64;

#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the request until the person has typed the passcode.
    pub passcode: Duration,
    pub commit: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { passcode: Duration::from_secs(130), commit: Duration::from_secs(30) }
    }
}

impl Patience {
    /// So many times shorter, but none below 2 s: for the bench.
    #[must_use]
    pub fn shortened(self, times: u32) -> Self {
        let short = |limit: Duration| (limit / times.max(1)).max(Duration::from_secs(2));
        Patience { passcode: short(self.passcode), commit: short(self.commit) }
    }
}

/// How the update may go on.
#[derive(Clone, Debug)]
pub enum Stashbag {
    /// Made and committed with this ticket.
    Committed(Box<Ticket>),
    /// Without one, and why.
    None { why: String },
}

/// The device, its person, and who listens.
pub struct Keeper<'a> {
    pub mux: &'a Mux,
    pub normal: &'a Normal,
    pub ecid: Ecid,
    pub tell: &'a dyn Tell,
    pub cancel: &'a CancellationToken,
    pub patience: Patience,
}

impl Keeper<'_> {
    /// All of it. The device is still in its own system afterwards, whatever happened.
    ///
    /// # Errors
    /// `passcode-not-entered`, `stashbag-refused`, `device-locked`, `nonce-unread`, what [`Sign`] gives, `cancelled`.
    pub async fn keep_data(&self, identity: &BuildIdentity, sign: &dyn Sign) -> Result<Stashbag, Fault> {
        let step = Step::Stashbag;
        let kept = self.walk(identity, sign).await.map_err(|fault| fault.during(step).on(self.ecid))?;
        match &kept {
            Stashbag::Committed(_) => self.tell.tell(Event::StepDone { step, what: String::new() }),
            Stashbag::None { why } => self.tell.tell(Event::StepSkipped { step, why: why.clone() }),
        }
        Ok(kept)
    }

    async fn walk(&self, identity: &BuildIdentity, sign: &dyn Sign) -> Result<Stashbag, Fault> {
        let none = |why: &str| Ok(Stashbag::None { why: why.to_owned() });
        if ticket::form(identity.cpid, identity.bdid) == Form::Img3 || !self.has_sidp().await? {
            return none("the device says that it has no use for a stashbag");
        }
        match self.normal.trust {
            Trust::Trusted => {}
            Trust::Locked => {
                return none("it was not unlocked since it started; it asks its passcode after the update");
            }
            _ => return none("the device does not trust this computer; it asks its passcode after the update"),
        }
        self.tell.tell(Event::StepBegan { step: Step::Stashbag, what: String::new() });
        if let Some(why) = self.create(identity).await? {
            return none(&why);
        }
        let nonces = self.nonces().await?;
        let ticket = self.or_cancel(self.ticket(identity, nonces, sign)).await??;
        self.commit(&ticket.der).await?;
        Ok(Stashbag::Committed(Box::new(ticket)))
    }

    /// Told without trust too. Devices of before iOS 12 do not have the key.
    async fn has_sidp(&self) -> Result<bool, Fault> {
        let mut lockdown = Lockdown::open(self.mux, self.normal.mux.id).await.map_err(Fault::from)?;
        let value = lockdown.get(None, "HasSiDP").await.map_err(Fault::from)?;
        Ok(value.and_then(|v| v.as_boolean()) == Some(true))
    }

    async fn session(&self) -> Result<Session, Fault> {
        let udid = self.normal.who.udid.as_ref().ok_or_else(|| Fault::new(Code::LockdownRefused, "no UDID"))?;
        let record = self.mux.pair_record(udid).await?;
        let record = record.ok_or_else(|| Fault::new(Code::NotTrusted, "no pair record of this device"))?;
        Session::open(self.mux, &self.normal.mux, record).await.map_err(Fault::from)
    }

    /// Has the device make a stashbag; why there is none where it needs none.
    ///
    /// # Errors
    /// `passcode-not-entered`, `stashbag-refused`, `link-silent`, `cancelled`.
    pub async fn create(&self, identity: &BuildIdentity) -> Result<Option<String>, Fault> {
        let local = local_ticket(identity).map_err(|err| Fault::new(Code::FirmwareDamaged, err.to_string()))?;
        let mut session = self.session().await?;
        let mut preboard = match Preboard::open(&mut session).await {
            Ok(preboard) => preboard,
            Err(LockdownError::Refused(word)) if word == "InvalidService" => {
                return Ok(Some("its system has no preboard service".into()));
            }
            Err(err) => return Err(err.into()),
        };
        preboard.send(&Command::Create(local)).await.map_err(Fault::from)?;
        let mut prompt = Prompt { tell: self.tell, shown: false };
        let told = self.or_cancel(self.answers(&mut preboard, &mut prompt)).await;
        prompt.close();
        told?
    }

    async fn answers(&self, preboard: &mut Preboard, prompt: &mut Prompt<'_>) -> Result<Option<String>, Fault> {
        let until = Instant::now() + self.patience.passcode;
        let seconds = self.patience.passcode.as_secs();
        for _ in 0..OTHERS {
            let Ok(answer) = tokio::time::timeout_at(until, preboard.next()).await else {
                return Err(if prompt.shown {
                    not_entered(format!("nobody entered it within {seconds} s"))
                } else {
                    Fault::new(Code::LinkSilent, format!("preboard said nothing for {seconds} s"))
                });
            };
            match answer.map_err(Fault::from)? {
                Answer::Skip => return Ok(Some("the device needs none: it has no passcode".into())),
                Answer::HideDialog => return Ok(None),
                Answer::ShowDialog => prompt.open(),
                Answer::Timeout => return Err(not_entered("the device stopped waiting for it".into())),
                Answer::Error(words) => return Err(refused("CreateStashbag", &words)),
                other @ (Answer::Committed | Answer::Other(_)) => tracing::info!(?other, "preboard"),
            }
        }
        Err(Fault::new(Code::LinkGarbage, "preboard talks of other things"))
    }

    /// The nonces of normal mode.
    ///
    /// # Errors
    /// `nonce-unread`.
    pub async fn nonces(&self) -> Result<Nonces, Fault> {
        let mut session = self.session().await?;
        let mut values = Dictionary::new();
        for key in ahead::NONCES {
            if let Some(value) = session.lockdown.get(None, key).await.map_err(Fault::from)? {
                values.insert(key.to_owned(), value);
            }
        }
        let nonces = ahead::nonces(&values);
        if nonces.ap.is_none() {
            return Err(Fault::new(Code::NonceUnread, "the device tells no ApNonce in normal mode"));
        }
        Ok(nonces)
    }

    async fn ticket(&self, identity: &BuildIdentity, nonces: Nonces, sign: &dyn Sign) -> Result<Ticket, Fault> {
        // Lockdown does not tell the fuses; every phone that was ever sold has both.
        let modes = Modes { production: true, secure: true, in_rom: false };
        let request = ticket::Request { form: Form::Img4, modes, ecid: self.ecid, nonces: &nonces };
        ticket::obtain(&request, identity, sign).await
    }

    /// Binds the stashbag to the ticket that Apple signed.
    ///
    /// # Errors
    /// `stashbag-refused`, `link-silent`, `cancelled`.
    pub async fn commit(&self, ticket: &[u8]) -> Result<(), Fault> {
        let mut session = self.session().await?;
        let mut preboard = Preboard::open(&mut session).await.map_err(Fault::from)?;
        preboard.send(&Command::Commit(ticket.to_vec())).await.map_err(Fault::from)?;
        let until = Instant::now() + self.patience.commit;
        let answer = async {
            for _ in 0..OTHERS {
                let next = tokio::time::timeout_at(until, preboard.next()).await;
                let silent = |_| Fault::new(Code::LinkSilent, "preboard did not say that the stashbag is committed");
                match next.map_err(silent)?.map_err(Fault::from)? {
                    Answer::Committed => return Ok(()),
                    Answer::Error(words) => return Err(refused("CommitStashbag", &words)),
                    Answer::Timeout => return Err(refused("CommitStashbag", "Timeout")),
                    other => tracing::info!(?other, "preboard"),
                }
            }
            Err(Fault::new(Code::LinkGarbage, "preboard talks of other things"))
        };
        self.or_cancel(answer).await?
    }

    /// Nothing here changes the device for good, so all of it may stop at once.
    async fn or_cancel<T>(&self, work: impl Future<Output = T>) -> Result<T, Fault> {
        tokio::select! {
            done = work => Ok(done),
            () = self.cancel.cancelled() => Err(Fault::cancelled()),
        }
    }
}

/// The request to the person: opened once, and closed whatever happens.
struct Prompt<'a> {
    tell: &'a dyn Tell,
    shown: bool,
}

impl Prompt<'_> {
    fn open(&mut self) {
        if !std::mem::replace(&mut self.shown, true) {
            self.tell.tell(Event::Ask { request: Request::EnterPasscode });
        }
    }

    fn close(&self) {
        if self.shown {
            self.tell.tell(Event::Answered { request: Request::EnterPasscode });
        }
    }
}

fn not_entered(detail: String) -> Fault {
    Fault::new(Code::PasscodeNotEntered, detail)
}

fn refused(command: &str, words: &str) -> Fault {
    let fault = Fault::new(Code::StashbagRefused, format!("{command}: {words}"));
    if words.to_ascii_lowercase().contains("locked") { fault.remedy(Remedy::Unlock) } else { fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_shrinks_to_two_seconds_at_most() {
        let short = Patience::default().shortened(1000);
        assert_eq!((short.passcode, short.commit), (Duration::from_secs(2), Duration::from_secs(2)));
        assert_eq!(Patience::default().shortened(10).passcode, Duration::from_secs(13));
    }
}
