//! The hands that a job works with, and how the restore engine sees them.

use super::once::{Manifests, Verified};
use super::plan::Plan;
use crate::backup::Password;
use crate::device::Eyes;
use crate::disk::Folders;
use crate::event::Teller;
use crate::fault::Fault;
use crate::firmware::{Ipsw, RootImage, Store};
use crate::net::{Endpoints, Http, RelayedRequest, Tss};
use crate::restore::personalize::{Components, Listed, Source};
use crate::restore::ticket::Sign;
use crate::restore::{Brought, ByHand, Owner, Tickets, Web, WebAnswer};
use crate::wire::manifest::BuildIdentity;
use plist::Dictionary;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub struct Kit {
    pub eyes: Eyes,
    /// A person who can press keys; none in a script.
    pub hands: Option<Arc<dyn ByHand>>,
    pub http: Http,
    pub endpoints: Endpoints,
    pub folders: Folders,
    pub tell: Teller,
    pub cancel: CancellationToken,
    /// Limits of waits are divided by this; 1 for real devices.
    pub haste: u32,
    /// Opens an encrypted backup: asked for before anything is erased, and in no journal.
    pub backup_password: Option<Password>,
    /// Firmware that this process has verified already.
    pub verified: Arc<Verified>,
    /// Manifests that this process has read from Apple already.
    pub manifests: Arc<Manifests>,
}

impl Kit {
    /// How long a device may take to show up again after it restarts.
    pub(super) fn restart(&self) -> Duration {
        Duration::from_secs(600) / self.haste.max(1)
    }

    /// The same hands for one device of many: it is told of and stopped by itself, and no person coaches it.
    pub fn for_one(&self, tell: Teller, cancel: CancellationToken) -> Kit {
        Kit {
            eyes: self.eyes.clone(),
            hands: None,
            http: self.http.clone(),
            endpoints: self.endpoints.clone(),
            folders: self.folders.clone(),
            tell,
            cancel,
            haste: self.haste,
            backup_password: None,
            verified: Arc::clone(&self.verified),
            manifests: Arc::clone(&self.manifests),
        }
    }

    pub fn store(&self) -> Store {
        Store::new(&self.folders.firmware())
    }

    /// Apple, behind the box of what was signed for this device before.
    pub(super) fn signer(&self, plan: &Plan, identity: &BuildIdentity) -> Result<Arc<dyn Sign>, Fault> {
        let apple = Arc::new(Signer(Tss::new(&self.http, &self.endpoints.tss, self.tell.clone())));
        let owner =
            Owner { ecid: plan.ecid, build: plan.firmware.build.clone(), identity: identity.unique_build_id.clone() };
        let brought = plan.ticket.as_deref().map(Brought::open).transpose().map_err(|fault| fault.on(plan.ecid))?;
        Ok(Arc::new(Tickets::new(apple, owner, Some(self.folders.tickets()), brought, self.tell.clone())))
    }

    pub(super) fn web(&self) -> Arc<dyn Web> {
        Arc::new(Relay(self.http.clone()))
    }
}

/// Apple's signing server.
struct Signer(Tss);

impl Sign for Signer {
    fn sign<'a>(&'a self, request: Dictionary) -> Pin<Box<dyn Future<Output = Result<Dictionary, Fault>> + Send + 'a>> {
        Box::pin(async move { self.0.request(&request).await })
    }
}

/// Web requests that a device makes through us.
struct Relay(Http);

impl Web for Relay {
    fn fetch<'a>(
        &'a self,
        method: &'a str,
        url: &'a str,
        headers: &'a [(String, String)],
        body: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<WebAnswer, Fault>> + Send + 'a>> {
        Box::pin(async move {
            let asked =
                RelayedRequest { method: method.to_owned(), url: url.to_owned(), headers: headers.to_vec(), body };
            let got = self.0.relay(&asked).await?;
            Ok(WebAnswer { status: got.status, headers: got.headers, body: got.body })
        })
    }
}

/// Components straight from the IPSW, read or inflated while they are sent.
pub(super) struct FromIpsw(pub Arc<Ipsw>);

impl Components for FromIpsw {
    fn open(&self, path: &str) -> Result<Source, Fault> {
        let (length, reader) = self.0.reader(path)?;
        Ok(Source { length, reader: Box::new(reader) })
    }

    fn size(&self, path: &str) -> Option<u64> {
        self.0.entry(path).map(|e| e.size)
    }

    fn listed(&self, prefix: &str) -> Vec<Listed> {
        let names = self.0.names().filter(|name| name.starts_with(prefix));
        names.map(|name| Listed { path: name.to_owned(), mode: self.0.entry(name).map_or(0, |e| e.mode) }).collect()
    }

    /// A packed one is unpacked beside the IPSW.
    fn image(&self, path: &str) -> Result<RootImage, Fault> {
        RootImage::open(&self.0, path, self.0.path().parent().unwrap_or(Path::new(".")))
    }
}
