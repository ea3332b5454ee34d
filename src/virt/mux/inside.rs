//! What a phone knows about hosts: its pairing key, the hosts it trusts, and the trust dialog.
//!
//! It outlives reboots and ends with an erase. The model of the phone has no place for it, so it hangs on
//! the phone's identity here. The dialog is a small machine: the first Pair opens it, a virtual person
//! taps a second later (or never), the next Pair hears what was tapped. A tap counts for the computer
//! that asked, by its SystemBUID, for some tools make a new HostID at each attempt.

use super::notices::Notices;
use super::tls;
use super::x509::Key;
use crate::virt::phone::{Phone, random_bytes};
use crate::virt::spec::{PasscodeSpec, TrustSpec};
use crate::wire::lockdown::Refusal;
use plist::{Dictionary, Value};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// How long the virtual person looks at the dialog.
const LOOK: Duration = Duration::from_secs(1);
const HOSTS: usize = 64;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A host that was let in.
pub(super) struct KnownHost {
    pub host_id: String,
    pub system_buid: String,
    /// Unlocks data protection for its services while the screen is locked.
    pub escrow_bag: Vec<u8>,
    pub tls: Arc<ServerConfig>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Dialog {
    #[default]
    Closed,
    Open,
    Trusted {
        system_buid: String,
    },
    Denied,
}

#[derive(Default)]
struct Pairing {
    key: Option<Arc<Key>>,
    hosts: Vec<Arc<KnownHost>>,
    dialog: Dialog,
    /// Of the boot that the dialog belongs to.
    boot: u64,
}

#[derive(Default)]
pub(super) struct Inside {
    pairing: Mutex<Pairing>,
    pub notices: Notices,
}

type Known = Mutex<Vec<(Weak<Phone>, Arc<Inside>)>>;
static INSIDES: LazyLock<Known> = LazyLock::new(Known::default);

pub(super) fn of(phone: &Arc<Phone>) -> Arc<Inside> {
    let mut known = lock(&INSIDES);
    known.retain(|(weak, _)| weak.strong_count() > 0);
    if let Some((_, inside)) = known.iter().find(|(weak, _)| std::ptr::eq(weak.as_ptr(), Arc::as_ptr(phone))) {
        return Arc::clone(inside);
    }
    let inside = Arc::new(Inside::default());
    known.push((Arc::downgrade(phone), Arc::clone(&inside)));
    inside
}

fn text<'a>(record: &'a Dictionary, key: &str) -> Option<&'a str> {
    record.get(key).and_then(Value::as_string)
}

fn certificate(record: &Dictionary, key: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(record.get(key)?.as_data()?).ok()
}

impl Inside {
    /// The phone's pairing key, made when first asked for.
    pub fn key(&self) -> io::Result<Arc<Key>> {
        let mut pairing = lock(&self.pairing);
        if let Some(key) = &pairing.key {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(Key::generate()?);
        pairing.key = Some(Arc::clone(&key));
        Ok(key)
    }

    /// Closes the dialog, as a boot does, and forgets what an erase (or a person in Settings) took away.
    pub fn begin(&self, phone: &Phone) {
        self.reconcile(phone);
        let mut pairing = lock(&self.pairing);
        pairing.boot += 1;
        pairing.dialog = Dialog::Closed;
    }

    /// Trust that was taken back outside of lockdown: hosts and key are gone.
    fn reconcile(&self, phone: &Phone) {
        let trust = phone.state().trust;
        let mut pairing = lock(&self.pairing);
        if trust != TrustSpec::Trusted && !pairing.hosts.is_empty() {
            pairing.hosts.clear();
            pairing.key = None;
            pairing.dialog = Dialog::Closed;
        }
    }

    pub fn knows_any(&self) -> bool {
        !lock(&self.pairing).hosts.is_empty()
    }

    pub fn host(&self, phone: &Phone, host_id: &str) -> Option<Arc<KnownHost>> {
        self.reconcile(phone);
        lock(&self.pairing).hosts.iter().find(|h| h.host_id == host_id).cloned()
    }

    /// Takes a host in without asking anybody; the escrow bag is the answer.
    pub fn admit(&self, record: &Dictionary) -> Result<Vec<u8>, Refusal> {
        let host_id = text(record, "HostID").ok_or(Refusal::MissingHostID)?;
        let device = certificate(record, "DeviceCertificate").ok_or(Refusal::InvalidPairRecord)?;
        let taken = ["HostCertificate", "RootCertificate"].map(|key| certificate(record, key));
        let [Some(host), Some(root)] = taken else { return Err(Refusal::InvalidPairRecord) };
        let key = self.key().and_then(|key| key.private()).map_err(|_| Refusal::SavePairRecordFailed)?;
        let tls = tls::config(device, key, vec![host, root]).map_err(|_| Refusal::InvalidPairRecord)?;
        let known = KnownHost {
            host_id: host_id.to_owned(),
            system_buid: text(record, "SystemBUID").unwrap_or_default().to_owned(),
            escrow_bag: random_bytes(32),
            tls,
        };
        let bag = known.escrow_bag.clone();
        let mut pairing = lock(&self.pairing);
        pairing.hosts.retain(|h| h.host_id != known.host_id);
        if pairing.hosts.len() >= HOSTS {
            pairing.hosts.remove(0);
        }
        pairing.hosts.push(Arc::new(known));
        Ok(bag)
    }

    /// Answers Pair: the escrow bag, or why not (yet).
    pub fn pair(self: &Arc<Self>, phone: &Arc<Phone>, record: &Dictionary) -> Result<Vec<u8>, Refusal> {
        self.reconcile(phone);
        if phone.spec.faults.mux.mdm_forbids {
            return Err(Refusal::MCProtected);
        }
        let (trust, passcode) = {
            let state = phone.state();
            (state.trust, state.passcode)
        };
        if matches!(passcode, PasscodeSpec::Locked | PasscodeSpec::BeforeFirstUnlock) {
            return Err(Refusal::PasswordProtected);
        }
        let buid = text(record, "SystemBUID").unwrap_or_default().to_owned();
        let dialog = {
            let mut pairing = lock(&self.pairing);
            if trust == TrustSpec::Trusted
                && (pairing.hosts.is_empty() || pairing.hosts.iter().any(|h| h.system_buid == buid))
            {
                pairing.dialog = Dialog::Trusted { system_buid: buid.clone() };
            }
            pairing.dialog.clone()
        };
        match dialog {
            Dialog::Trusted { system_buid } if system_buid == buid => {
                // Read by `reconcile` of other links: trust first, then the host.
                phone.state().trust = TrustSpec::Trusted;
                let bag = self.admit(record).inspect_err(|_| phone.state().trust = trust)?;
                lock(&self.pairing).dialog = Dialog::Closed;
                phone.remember("trust.paired", json!({ "host": text(record, "HostID") }));
                Ok(bag)
            }
            Dialog::Denied => Err(Refusal::UserDeniedPairing),
            Dialog::Open => Err(Refusal::PairingDialogResponsePending),
            Dialog::Closed | Dialog::Trusted { .. } => {
                self.open_dialog(phone, trust, buid);
                Err(Refusal::PairingDialogResponsePending)
            }
        }
    }

    fn open_dialog(self: &Arc<Self>, phone: &Arc<Phone>, trust: TrustSpec, system_buid: String) {
        let boot = {
            let mut pairing = lock(&self.pairing);
            pairing.dialog = Dialog::Open;
            pairing.boot
        };
        phone.remember("trust.dialog", json!({ "host": system_buid }));
        if trust == TrustSpec::Pending {
            return;
        }
        let (inside, phone, wait) = (Arc::clone(self), Arc::downgrade(phone), phone.scaled(LOOK));
        std::thread::spawn(move || {
            std::thread::sleep(wait);
            let Some(phone) = phone.upgrade() else { return };
            let tapped = {
                let mut pairing = lock(&inside.pairing);
                if pairing.boot != boot || pairing.dialog != Dialog::Open {
                    return;
                }
                pairing.dialog = match trust {
                    TrustSpec::Denied => Dialog::Denied,
                    _ => Dialog::Trusted { system_buid },
                };
                trust != TrustSpec::Denied
            };
            phone.remember("trust.tapped", json!({ "trust": tapped }));
            if tapped {
                inside.notices.post("com.apple.mobile.lockdown.request_pair");
            }
        });
    }

    /// Forgets a host; false when it was not known.
    pub fn unpair(&self, phone: &Phone, host_id: &str) -> bool {
        self.reconcile(phone);
        let none_left = {
            let mut pairing = lock(&self.pairing);
            let before = pairing.hosts.len();
            pairing.hosts.retain(|h| h.host_id != host_id);
            if pairing.hosts.len() == before {
                return false;
            }
            pairing.dialog = Dialog::Closed;
            pairing.hosts.is_empty()
        };
        if none_left {
            phone.state().trust = TrustSpec::Untrusted;
        }
        phone.remember("trust.unpaired", json!({ "host": host_id }));
        true
    }
}
