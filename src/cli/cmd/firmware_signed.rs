//! `firmware signed` and `firmware show`: what a build is, and whether Apple signs it today.

use super::firmware::gather;
use super::list::{print_out, say_line};
use crate::cli::Done;
use crate::cli::context::Context;
use crate::cli::show::{print_line, size, table::table};
use crate::event::{Event, Outcome, Step};
use crate::facts::models::{self, Model};
use crate::fault::{Code, Fault};
use crate::firmware::{Answer, Firmware, Ipsw, Probe, Signed, Store, Tally, read_manifest, verify_components};
use crate::ids::{BuildId, ProductType};
use crate::net::{Tss, Url};
use crate::say::{self, Text};
use crate::wire::manifest::BuildManifest;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// Asks about the newest build first: its yes makes the others' no believable.
pub async fn signed(context: &Context, product: Option<String>, build: Option<String>, all: bool) -> Done {
    let wanted: Option<BuildId> = match &build {
        Some(text) => Some(text.parse().map_err(|e| Fault::new(Code::Usage, format!("{e}")))?),
        None => None,
    };
    let (gathered, product) = gather(context, product).await?;
    let unknown = || Fault::new(Code::UnknownModel, format!("{product} is not in the device table"));
    let model = models::by_product(&product).ok_or_else(unknown)?;
    let nothing = |what: &str| Fault::new(Code::NoFirmware, format!("{product} {what}"));
    let newest = gathered.catalogue.newest(&product).ok_or_else(|| nothing("newest"))?;
    let mut list = vec![newest];
    match &wanted {
        Some(build) if *build != newest.build => {
            list.push(gathered.catalogue.build(&product, build).ok_or_else(|| nothing(&build.to_string()))?);
        }
        None if all => list.extend(gathered.catalogue.of(&product).filter(|f| f.build != newest.build)),
        _ => {}
    }
    let (http, endpoints) = context.http()?;
    let tss = Tss::new(&http, &endpoints.tss, context.show());
    let mut probe = Probe::new(tss, &context.folders()?.catalogue().join("signed.json"));
    let mut known_good = false;
    let mut answers: Vec<(&Firmware, Answer)> = vec![];
    for firmware in list {
        let answer = match about(context, &http, firmware, model, &mut probe, known_good).await {
            Ok(answer) => answer,
            Err(fault) if fault.code == Code::Cancelled => return Err(fault),
            Err(fault) => {
                let signed = Signed::Unknown { code: None, text: fault.to_string() };
                Answer { signed, asked: jiff::Timestamp::now() }
            }
        };
        known_good |= answer.signed == Signed::Yes;
        answers.push((firmware, answer));
    }
    // The newest was asked for the sake of the other.
    let shown = answers.iter().filter(|(f, _)| wanted.as_ref().is_none_or(|build| f.build == *build));
    if context.common.json {
        for (firmware, answer) in shown.clone() {
            let (signed, code, text) = match &answer.signed {
                Signed::Yes => (Some(true), Some(0), None),
                Signed::No => (Some(false), Some(94), None),
                Signed::Unknown { code, text } => (None, *code, Some(text)),
            };
            print_line(&json!({
                "schema": 1, "event": "signed", "product": product, "board": model.board,
                "version": firmware.version.value, "build": firmware.build, "signed": signed, "code": code,
                "text": text, "asked": answer.asked, "catalogues": firmware.signed,
            }));
        }
    } else {
        let word = |answer: &Answer| match &answer.signed {
            Signed::Yes => say::text(context.lang, &Text::SignedYes),
            Signed::No => say::text(context.lang, &Text::SignedNo),
            Signed::Unknown { text, .. } => say::text(context.lang, &Text::SignedUnknown { text: text.clone() }),
        };
        let rows = shown.map(|(f, a)| vec![f.version.value.to_string(), f.build.to_string(), word(a)]);
        print_out(&table(&["VERSION", "BUILD", "SIGNED"], &[2], rows.collect()));
        say_line(&say::text(
            context.lang,
            &Text::SignedAsked { product: model.name.to_owned(), board: model.board.into() },
        ));
    }
    match answers.last() {
        Some((firmware, Answer { signed: Signed::No, .. })) if wanted.is_some() => {
            Err(Fault::new(Code::TssNotSigned, format!("{product} {}", firmware.build)))
        }
        _ => Ok(Outcome::Ok),
    }
}

/// Of a file in the store, else of the file on Apple's server.
async fn manifest_of(
    context: &Context,
    http: &crate::net::Http,
    firmware: &Firmware,
) -> Result<Arc<BuildManifest>, Fault> {
    let store = Store::new(&context.folders()?.firmware());
    if let Some(stored) = store.find(&firmware.digests())? {
        return Ipsw::open(&stored.path)?.build_manifest();
    }
    let invalid = |e| Fault::new(Code::CatalogueInvalid, format!("{:?}: {e}", firmware.url.value));
    let url = Url::parse(&firmware.url.value).map_err(invalid)?;
    let scratch = context.folders()?.scratch();
    tokio::select! {
        remote = read_manifest(http, &url, &scratch) => Ok(Arc::new(remote?.manifest)),
        () = context.cancel.cancelled() => Err(Fault::cancelled()),
    }
}

async fn about(
    context: &Context,
    http: &crate::net::Http,
    firmware: &Firmware,
    model: &Model,
    probe: &mut Probe,
    known_good: bool,
) -> Result<Answer, Fault> {
    let manifest = manifest_of(context, http, firmware).await?;
    tokio::select! {
        answer = probe.ask(&manifest, model, known_good) => answer,
        () = context.cancel.cancelled() => Err(Fault::cancelled()),
    }
}

/// A file on this disk, or a build: of the store, else read from Apple's server without the download.
pub async fn show(context: &Context, what: &str, product: Option<String>, verify: bool) -> Done {
    let path = Path::new(what);
    if path.is_file() || what.contains('/') {
        return show_file(context, path, verify).await;
    }
    let build: BuildId = what
        .parse()
        .map_err(|_| Fault::new(Code::Usage, format!("{what:?} is neither a file nor a build such as 24A446")))?;
    let store = Store::new(&context.folders()?.firmware());
    let fits = |product: &Option<String>, products: &[ProductType]| {
        product.as_ref().is_none_or(|p| products.iter().any(|have| have.as_str() == p))
    };
    let here = store.list()?.into_iter();
    let here: Vec<_> =
        here.filter(|s| s.record.build.as_ref() == Some(&build) && fits(&product, &s.record.products)).collect();
    if let [one] = &here[..] {
        return show_file(context, &one.path, verify).await;
    }
    let (gathered, product) = gather(context, product).await?;
    let none = || Fault::new(Code::NoFirmware, format!("{product} {build}"));
    let firmware = gathered.catalogue.build(&product, &build).ok_or_else(none)?;
    let (http, _) = context.http()?;
    let url = Url::parse(&firmware.url.value).map_err(|e| Fault::new(Code::CatalogueInvalid, e.to_string()))?;
    let scratch = context.folders()?.scratch();
    let remote = tokio::select! {
        remote = read_manifest(&http, &url, &scratch) => remote?,
        () = context.cancel.cancelled() => return Err(Fault::cancelled()),
    };
    tell(context, &remote.manifest, remote.size, &firmware.url.value, &[]);
    say_line(&say::text(context.lang, &Text::FirmwareRemote { size: size(remote.fetched) }));
    Ok(Outcome::Ok)
}

async fn show_file(context: &Context, path: &Path, verify: bool) -> Done {
    let (path, cancel) = (path.to_owned(), context.cancel.clone());
    let place = path.display().to_string();
    let step = context.show();
    if verify {
        step.tell(Event::StepBegan { step: Step::VerifyFirmware, what: place.clone() });
    }
    let work = tokio::task::spawn_blocking(move || {
        let length = fs_err::metadata(&path).map_err(|e| Fault::disk(&e))?.len();
        let ipsw = Ipsw::open(&path)?;
        let manifest = ipsw.build_manifest()?;
        let mut counts = Vec::new();
        for identity in manifest.identities.iter().filter(|_| verify) {
            let checked = verify_components(&ipsw, identity, &|| !cancel.is_cancelled())?;
            counts.push(Tally::of(&identity.device_class, checked));
        }
        Ok::<_, Fault>((manifest, length, counts))
    });
    let (manifest, length, counts) = work.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))??;
    tell(context, &manifest, length, &place, &counts);
    match counts.iter().map(|count| count.wrong.len()).sum::<usize>() {
        0 => Ok(Outcome::Ok),
        wrong => {
            Err(Fault::new(Code::FirmwareDigest, format!("{place}: {wrong} parts are not what the manifest says")))
        }
    }
}

fn tell(context: &Context, manifest: &BuildManifest, bytes: u64, place: &str, counts: &[Tally]) {
    if context.common.json {
        let identities = manifest.identities.iter().enumerate().map(|(n, i)| {
            let checked =
                counts.get(n).map(|c| json!({ "ok": c.ok, "unchecked": c.unchecked, "wrong": c.wrong.len() }));
            json!({
                "board": i.device_class, "cpid": i.cpid.to_string(), "bdid": i.bdid.to_string(),
                "variant": i.variant, "components": i.components.len(), "checked": checked,
            })
        });
        print_line(&json!({
            "schema": 1, "event": "firmware-show", "place": place, "version": manifest.version, "build": manifest.build,
            "bytes": bytes, "products": manifest.supported_products, "identities": identities.collect::<Vec<_>>(),
        }));
        return;
    }
    let version = manifest.version.as_ref().map(ToString::to_string).unwrap_or_default();
    let products: Vec<_> = manifest.supported_products.iter().map(ToString::to_string).collect();
    print_out(&format!("{version} ({}), {}", manifest.build, size(bytes)));
    print_out(&say::text(context.lang, &Text::FirmwareFor { products: products.join(", ") }));
    let rows = manifest.identities.iter().enumerate().map(|(n, identity)| {
        let mut row = vec![
            identity.device_class.clone(),
            format!("{}/{}", identity.cpid, identity.bdid),
            identity.variant.clone(),
            identity.components.len().to_string(),
        ];
        if let Some(count) = counts.get(n) {
            row.extend([count.ok, count.unchecked, count.wrong.len() as u64].map(|n| n.to_string()));
        }
        row
    });
    let header = ["BOARD", "CHIP/BOARD", "VARIANT", "PARTS", "OK", "UNCHECKED", "WRONG"];
    let columns = if counts.is_empty() { 4 } else { 7 };
    print_out(&table(header.get(..columns).unwrap_or(&header), &[2], rows.collect()));
}
