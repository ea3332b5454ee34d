//! The hands that a job works with, and how the restore engine sees them.

use crate::device::Eyes;
use crate::disk::Folders;
use crate::event::Teller;
use crate::fault::Fault;
use crate::firmware::{Ipsw, Store};
use crate::net::{Endpoints, Http, RelayedRequest, Tss};
use crate::restore::personalize::Components;
use crate::restore::ticket::Sign;
use crate::restore::{Web, WebAnswer};
use plist::Dictionary;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub struct Kit {
    pub eyes: Eyes,
    pub http: Http,
    pub endpoints: Endpoints,
    pub folders: Folders,
    pub tell: Teller,
    pub cancel: CancellationToken,
}

impl Kit {
    pub fn store(&self) -> Store {
        Store::new(&self.folders.firmware())
    }

    pub(super) fn signer(&self) -> Arc<dyn Sign> {
        Arc::new(Signer(Tss::new(&self.http, &self.endpoints.tss, self.tell.clone())))
    }

    pub(super) fn web(&self) -> Arc<dyn Web> {
        Arc::new(Relay(self.http.clone()))
    }
}

/// Apple's signing server.
struct Signer(Tss);

impl Sign for Signer {
    fn sign<'a>(
        &'a self,
        request: Dictionary,
    ) -> Pin<Box<dyn Future<Output = Result<Dictionary, Fault>> + Send + 'a>> {
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

/// Components straight from the IPSW.
pub(super) struct FromIpsw(pub Arc<Ipsw>);

impl Components for FromIpsw {
    fn read(&self, path: &str) -> Result<Vec<u8>, Fault> {
        self.0.component(path)
    }

    fn size(&self, path: &str) -> Option<u64> {
        self.0.entry(path).map(|e| e.size)
    }
}
