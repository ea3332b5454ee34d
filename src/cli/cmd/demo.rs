//! `demo`: the main job on a virtual iPhone, by the same program that a person runs.
//!
//! The bench lives in this process; the walk is this very program started again with `recover` (`demo_stage`). With
//! `--scenario` it is a whole situation instead (`scenarios`). Where umockdev's preload library is installed the child runs inside the
//! emulated bus and meets the phone through libusb; else through the bus trait. It says which.

use super::demo_shop;
use super::demo_stage::Stage;
use super::list::{print_out, say_line};
use super::scenarios;
use crate::cli::Done;
use crate::cli::args::{Common, DemoArgs};
use crate::cli::show::{print_line, size};
use crate::event::Outcome;
use crate::fault::{Code, Fault};
use crate::say::scenario::Scenario;
use crate::say::{self, Lang, Text};
use crate::virt::bench::Bench;
use crate::virt::spec::{BenchSpec, PhoneSpec, TrustSpec};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

pub async fn run(common: &Common, lang: Lang, demo: DemoArgs) -> Done {
    let began = Instant::now();
    let DemoArgs { model, image, keep, scenario, shop } = demo;
    // `demo --device iphone5s` reads naturally: here a device is a model.
    let model = common.device.as_deref().unwrap_or(&model).to_owned();
    let temporary = match &keep {
        None => Some(temporary_folder().map_err(|e| Fault::disk(&e))?),
        Some(_) => None,
    };
    let folder = match (&keep, &temporary) {
        (Some(folder), _) => folder.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => return Err(Fault::new(Code::Internal, "no folder")),
    };
    let wanted: Vec<Scenario> = scenario.iter().flat_map(|asked| asked.all()).copied().collect();
    let spec = if shop {
        demo_shop::bench()
    } else if wanted.is_empty() {
        let phone = PhoneSpec { model, trust: TrustSpec::Untrusted, ..PhoneSpec::default() };
        BenchSpec { phones: vec![phone], ..BenchSpec::default() }
    } else {
        scenarios::bench(&wanted)
    };
    let place = folder.clone();
    let started = tokio::task::spawn_blocking(move || Bench::start(&place, spec, image << 20));
    let bench = started.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))??;
    if shop || !wanted.is_empty() {
        say_line(&say::text(lang, &Text::VirtualBanner));
        let haste = Some(if shop { demo_shop::PACE } else { scenarios::PACE });
        let stage = Stage { common, lang, bench: &bench, folder: &folder, haste };
        let outcome = if shop { demo_shop::play(&stage).await? } else { scenarios::play(&stage, &wanted).await? };
        say_line("");
        say_line(&say::text(lang, &Text::DemoDone { seconds: began.elapsed().as_secs() }));
        return Ok(outcome);
    }
    let phone = bench.phones.first().ok_or_else(|| Fault::new(Code::Internal, "an empty bench"))?.clone();
    let before = (phone.files.user_file_count(), phone.files.digest_of_user_data());

    let bus = if bench.is_emulated() { Text::DemoBusEmulated } else { Text::DemoBusDirect };
    let bus = say::text(lang, &bus);
    say_line(&say::text(lang, &Text::VirtualBanner));
    say_line(&say::text(lang, &Text::DemoIntro { device: phone.model.name.to_owned(), bus }));
    say_line("");
    let stage = Stage { common, lang, bench: &bench, folder: &folder, haste: None };
    let ecid = phone.ecid.to_string();
    let code = stage.run(&["recover", "--yes-erase", &ecid, "-d", &ecid]).await?;
    if code != 0 {
        return Err(Fault::new(Code::RestoreFailed, format!("the walk ended with exit code {code}")));
    }

    let after = (phone.files.user_file_count(), phone.files.digest_of_user_data());
    if before != after {
        let detail = format!("{} files before, {} after, or other contents", before.0, after.0);
        return Err(Fault::new(Code::BackupDamaged, detail));
    }
    let bytes = phone.files.user_bytes();
    say_line("");
    say_line(&say::text(lang, &Text::DemoProof { files: after.0 as u64, size: size(bytes) }));
    let seconds = began.elapsed().as_secs();
    say_line(&say::text(lang, &Text::DemoDone { seconds }));
    if common.json {
        print_line(&json!({
            "schema": 1, "event": "demo", "virtual": true, "files": after.0, "digest": after.1,
            "seconds": began.elapsed().as_secs_f64(), "emulated": bench.is_emulated(),
        }));
    }
    if let Some(folder) = keep {
        print_out(&folder.display().to_string());
    }
    Ok(Outcome::Ok)
}

/// Sockets need short paths, and some machines have long temporary ones.
fn temporary_folder() -> std::io::Result<tempfile::TempDir> {
    let usual = std::env::temp_dir();
    let root = if usual.as_os_str().len() <= 40 { usual } else { PathBuf::from("/tmp") };
    tempfile::Builder::new().prefix("herstel-demo-").tempdir_in(root)
}
