//! Apple on loopback: catalogues, CDN, signing server, image keys.
//!
//! One server on a free port of 127.0.0.1 stands for all of them, told apart by path. It serves what the
//! bench built and nothing else, remembers what it was asked, and fails in the ways that [`Knobs`] say.

mod cdn;
mod http;
mod lists;
mod tss;

use super::ipsw::BuiltIpsw;
use http::{Connection, Request, Response, Server};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// What Apple's servers on loopback can be told to do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// The connection breaks off at this byte of the file, `cdn_cut_times` times (once if none).
    pub cdn_cut_at: Option<u64>,
    pub cdn_cut_times: Option<u32>,
    /// One bit of this byte is wrong.
    pub cdn_flip_bit_at: Option<u64>,
    /// Answers 200 with the whole file to any range.
    pub cdn_ignore_range: bool,
    /// A sign-in page with status 200.
    pub cdn_html: bool,
    /// Another ETag with each answer.
    pub cdn_etag_changes: bool,
    /// Says nothing more from this byte on.
    pub cdn_stall_at: Option<u64>,
    /// Claims and sends half of what it should.
    pub cdn_wrong_length: bool,
    /// Sends everybody elsewhere.
    pub cdn_redirect_to: Option<String>,
    /// The signing server answers this status and text to everything.
    pub tss_status: Option<(i64, String)>,
    /// A sign-in page instead of a ticket.
    pub tss_html: bool,
    /// Closes the connection instead of an answer.
    pub tss_down: bool,
    /// The knobs above leave tickets for the boot alone: only what is asked for other chips goes wrong.
    pub tss_spares_boot: bool,
    /// Closes the connection of whoever wants the key of an image.
    pub keys_down: bool,
    /// Tickets for another nonce.
    pub tss_wrong_nonce: bool,
    pub catalogue_html: bool,
    /// Half of Apple's list.
    pub catalogue_truncated: bool,
    pub catalogue_empty: bool,
    /// All catalogues agree on a wrong SHA-1.
    pub catalogue_wrong_sha1: bool,
    /// No catalogue answers at all.
    pub catalogue_down: bool,
    /// Limits each download.
    pub bytes_per_second: Option<u64>,
}

/// What all connections share.
struct Shared {
    knobs: Knobs,
    /// From then on no knob acts.
    mended: AtomicBool,
    files: Vec<BuiltIpsw>,
    authority: tss::Authority,
    key: Vec<u8>,
    memory: Mutex<Vec<Value>>,
    served: AtomicU64,
    cuts: AtomicU32,
    /// How long a stalled download is held.
    stall: Duration,
}

impl Shared {
    fn knobs(&self) -> &Knobs {
        static SOUND: LazyLock<Knobs> = LazyLock::new(Knobs::default);
        if self.mended.load(Ordering::SeqCst) { &SOUND } else { &self.knobs }
    }

    fn remember(&self, what: &str, detail: Value) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.push(json!({ "what": what, "detail": detail }));
    }
}

/// Apple, running. Ends when dropped.
pub struct Apple {
    base: String,
    shared: Arc<Shared>,
    _server: Server,
}

impl Apple {
    /// Starts the server. `folder` is where the bench notes its addresses.
    pub fn start(folder: &Path, knobs: Knobs, ipsws: Vec<BuiltIpsw>) -> io::Result<Apple> {
        std::fs::create_dir_all(folder)?;
        let shared = Arc::new(Shared {
            knobs,
            mended: AtomicBool::new(false),
            files: ipsws,
            authority: tss::Authority::new().ok_or_else(|| io::Error::other("no key"))?,
            key: image_key(),
            memory: Mutex::default(),
            served: AtomicU64::new(0),
            cuts: AtomicU32::new(0),
            stall: Duration::from_secs(120),
        });
        let inner = Arc::clone(&shared);
        let server = Server::start(Arc::new(move |request, to| serve(&inner, request, to)))?;
        Ok(Apple { base: format!("http://{}", server.address), shared, _server: server })
    }

    /// All is well from now on, whatever the knobs say.
    pub fn mend(&self) {
        self.shared.mended.store(true, Ordering::SeqCst);
    }

    /// Apple's version plist.
    pub fn catalogue_url(&self) -> String {
        format!("{}/check/version", self.base)
    }

    /// AppleDB's root.
    pub fn appledb_url(&self) -> String {
        format!("{}/appledb/", self.base)
    }

    /// ipsw.me's root.
    pub fn ipswme_url(&self) -> String {
        format!("{}/ipswme/", self.base)
    }

    pub fn tss_url(&self) -> String {
        format!("{}/TSS/controller?action=2", self.base)
    }

    /// Root of the image keys: `<root>/<id>`.
    pub fn aea_url(&self) -> String {
        format!("{}/fcs-keys/", self.base)
    }

    /// What was asked, in order: objects with `what` and `detail`.
    pub fn memory(&self) -> Vec<Value> {
        self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A P-256 private key as PEM, as the key service gives one.
fn image_key() -> Vec<u8> {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
    use base64::Engine;
    let Ok(key) = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING) else { return Vec::new() };
    let der: Result<aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_>, _> = key.private_key().as_der();
    let Ok(der) = der else { return Vec::new() };
    let text = base64::prelude::BASE64_STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|l| std::str::from_utf8(l).ok()).collect();
    format!("-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n", lines.join("\n")).into_bytes()
}

fn serve(shared: &Shared, request: &Request, to: &mut Connection) -> io::Result<bool> {
    let knobs = shared.knobs();
    let path = request.path().to_owned();
    shared.remember("request", json!({ "method": request.method, "path": path, "range": request.header("range") }));
    let host = request.header("host").unwrap_or("127.0.0.1");
    let base = format!("http://{host}");
    if path == "/TSS/controller" {
        return sign(shared, request, to);
    }
    if let Some(name) = path.strip_prefix("/ipsw/") {
        let name = name.replace("%2C", ",");
        return match shared.files.iter().find(|f| f.name == name) {
            Some(file) => cdn::serve(shared, file, request, to),
            None => missing(request, to),
        };
    }
    if path.starts_with("/fcs-keys/") {
        if knobs.keys_down {
            to.cut();
            return Ok(false);
        }
        shared.remember("aea.key", json!({ "path": path }));
        to.send(request, Response::new("200 OK", "binary/octet-stream", shared.key.clone()))?;
        return Ok(true);
    }
    let page = if path == "/check/version" {
        Some(("text/xml", lists::versions(&shared.files, &base, knobs)))
    } else if let Some(page) = path.strip_prefix("/appledb/ios/") {
        lists::appledb(&shared.files, &base, &page.replace("%3B", ";"), knobs).map(|p| ("application/json", p))
    } else if let Some(product) = path.strip_prefix("/ipswme/v4/device/") {
        let product = product.replace("%2C", ",");
        lists::ipswme(&shared.files, &base, &product, knobs).map(|p| ("application/json", p))
    } else {
        None
    };
    let Some((kind, mut bytes)) = page else { return missing(request, to) };
    if knobs.catalogue_down {
        to.cut();
        return Ok(false);
    }
    if knobs.catalogue_html {
        let page = "<!DOCTYPE html><html><body>Please sign in.</body></html>";
        to.send(request, Response::new("200 OK", "text/html", page))?;
        return Ok(true);
    }
    if knobs.catalogue_truncated {
        bytes.truncate(bytes.len() / 2);
    }
    if knobs.catalogue_empty {
        bytes.clear();
    }
    to.send(request, Response::new("200 OK", kind, bytes))?;
    Ok(true)
}

fn missing(request: &Request, to: &mut Connection) -> io::Result<bool> {
    to.send(request, Response::new("404 Not Found", "text/plain", "not here\n"))?;
    Ok(true)
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

fn sign(shared: &Shared, request: &Request, to: &mut Connection) -> io::Result<bool> {
    let knobs = shared.knobs();
    let for_boot = ["<key>@ApImg4Ticket<", "<key>@APTicket<"].iter().any(|key| contains(&request.body, key));
    let bad = !(knobs.tss_spares_boot && for_boot);
    if bad && knobs.tss_down {
        to.cut();
        return Ok(false);
    }
    if bad && knobs.tss_html {
        let page = "<!DOCTYPE html><html><body>Please sign in.</body></html>";
        to.send(request, Response::new("200 OK", "text/html", page))?;
        return Ok(true);
    }
    let body = tss::answer(shared, &request.body, bad);
    to.send(request, Response::new("200 OK", "text/html", body))?;
    Ok(true)
}
