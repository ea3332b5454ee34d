//! `firmware`: what there is, fetch, verify, add.

use super::list::{print_out, say_line};
use crate::cli::Done;
use crate::cli::args::{CacheVerb, FirmwareVerb};
use crate::cli::context::Context;
use crate::cli::show::{print_line, size, table::table};
use crate::event::{Event, Outcome, Step};
use crate::fault::{Code, Fault};
use crate::firmware::{self, Gathered, Ipsw, Store, Tally, verify_components};
use crate::ids::{BuildId, ProductType};
use crate::say::{self, Text};
use serde_json::json;
use std::path::Path;

pub async fn run(context: &Context, verb: FirmwareVerb) -> Done {
    match verb {
        FirmwareVerb::List { product, prereleases } => {
            let (gathered, product) = gather(context, product).await?;
            list(context, &gathered, &product, prereleases)
        }
        FirmwareVerb::Fetch { product, build } => fetch(context, product, build).await,
        FirmwareVerb::Verify { file } => verify(context, &file).await,
        FirmwareVerb::Add { file } => add(context, &file).await,
        FirmwareVerb::Cache { verb } => super::firmware_cache::run(context, verb.unwrap_or(CacheVerb::List)).await,
        FirmwareVerb::Signed { product, build, all } => {
            super::firmware_signed::signed(context, product, build, all).await
        }
        FirmwareVerb::Show { what, product, verify } => {
            super::firmware_signed::show(context, &what, product, verify).await
        }
    }
}

pub(super) async fn gather(context: &Context, product: Option<String>) -> Result<(Gathered, ProductType), Fault> {
    let product = match product {
        Some(product) => ProductType::new(product),
        None => {
            let eyes = context.eyes()?;
            let device = context.device(&eyes).await?;
            let known = device.row().product_type;
            known.ok_or_else(|| Fault::new(Code::UnknownModel, "the device's product type is not known"))?
        }
    };
    let (http, endpoints) = context.http()?;
    let copies = context.folders()?.catalogue();
    let gathered = firmware::gather(&http, &endpoints, &copies, &product, &context.show()).await?;
    Ok((gathered, product))
}

/// What scripts get is everything; people see what can be restored, and which of it is here already.
fn list(context: &Context, gathered: &Gathered, product: &ProductType, prereleases: bool) -> Done {
    if context.common.json {
        print_line(&json!({ "schema": 1, "firmware": gathered }));
        return Ok(Outcome::Ok);
    }
    let store = Store::new(&context.folders()?.firmware());
    let mut rows = Vec::new();
    for f in gathered.catalogue.of(product).filter(|f| prereleases || !f.build.is_prerelease()) {
        let signed = match (&f.signed[..], f.may_be_signed()) {
            ([], _) => Text::SignedUnsaid,
            (_, true) => Text::SignedYes,
            (_, false) => Text::SignedNo,
        };
        let here = if store.find(&f.digests())?.is_some() { Text::FirmwareHere } else { Text::FirmwareNotHere };
        let from: Vec<_> = f.version.from.iter().map(|source| format!("{source:?}").to_lowercase()).collect();
        rows.push(vec![
            f.version.value.to_string(),
            f.build.to_string(),
            f.size.as_ref().map(|s| size(s.value)).unwrap_or_default(),
            say::text(context.lang, &signed),
            say::text(context.lang, &here),
            from.join(" "),
        ]);
    }
    let header = say::text(context.lang, &Text::FirmwareHeader);
    print_out(&table(&header.split('|').collect::<Vec<_>>(), &[5], rows));
    for asked in &gathered.asked {
        if let Some(fault) = &asked.fault {
            say_line(&format!("! {:?}: {}", asked.source, fault.detail));
        }
    }
    Ok(Outcome::Ok)
}

async fn fetch(context: &Context, product: Option<String>, build: Option<String>) -> Done {
    let (gathered, product) = gather(context, product).await?;
    let wanted = match &build {
        Some(text) => {
            let build: BuildId = text.parse().map_err(|e| Fault::new(Code::Usage, format!("{e}")))?;
            gathered.catalogue.build(&product, &build)
        }
        None => gathered.catalogue.newest(&product),
    };
    let wanted = wanted.ok_or_else(|| {
        Fault::new(Code::NoFirmware, format!("{product} {}", build.unwrap_or_else(|| "newest".into())))
    })?;
    let (http, _) = context.http()?;
    let store = Store::new(&context.folders()?.firmware());
    let stored = firmware::fetch(&http, &store, wanted, &context.show(), &context.cancel).await?;
    let ready = Text::FirmwareReady {
        version: wanted.version.value.to_string(),
        build: wanted.build.to_string(),
        place: stored.path.display().to_string(),
    };
    say_line(&say::text(context.lang, &ready));
    if context.common.json {
        print_line(&json!({ "schema": 1, "event": "firmware", "path": stored.path, "record": stored.record }));
    }
    Ok(Outcome::Ok)
}

/// Every identity of the file: which parts are right, which are wrong, which cannot be checked.
async fn verify(context: &Context, file: &Path) -> Done {
    let tell = context.show();
    tell.tell(Event::StepBegan { step: Step::VerifyFirmware, what: file.display().to_string() });
    let (path, cancel) = (file.to_owned(), context.cancel.clone());
    let work = tokio::task::spawn_blocking(move || {
        let ipsw = Ipsw::open(&path)?;
        let manifest = ipsw.build_manifest()?;
        let mut all = Tally::default();
        for identity in &manifest.identities {
            let checked = verify_components(&ipsw, identity, &|| !cancel.is_cancelled())?;
            let Tally { ok, unchecked, wrong } = Tally::of(&identity.device_class, checked);
            all.ok += ok;
            all.unchecked += unchecked;
            all.wrong.extend(wrong);
        }
        Ok::<_, Fault>((manifest.build.clone(), all))
    });
    let checked = work.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    let (build, Tally { ok: good, unchecked, wrong: bad }) = checked.map_err(|f| f.during(Step::VerifyFirmware))?;
    let what = format!("{build}: {good} ok, {unchecked} cannot be checked, {} wrong", bad.len());
    tell.tell(Event::StepDone { step: Step::VerifyFirmware, what: what.clone() });
    if context.common.json {
        print_line(&json!({
            "schema": 1, "event": "verified", "build": build, "ok": good, "unchecked": unchecked, "wrong": bad,
        }));
    } else {
        print_out(&what);
        bad.iter().for_each(|line| print_out(&format!("!! {line}")));
    }
    match bad.first() {
        Some(first) => Err(Fault::new(Code::FirmwareDigest, first.clone()).during(Step::VerifyFirmware)),
        None => Ok(Outcome::Ok),
    }
}

async fn add(context: &Context, file: &Path) -> Done {
    let store = Store::new(&context.folders()?.firmware());
    let file = file.to_owned();
    let work = tokio::task::spawn_blocking(move || store.add(&file, &mut |_| true));
    let stored = work.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))??;
    print_out(&stored.path.display().to_string());
    Ok(Outcome::Ok)
}
