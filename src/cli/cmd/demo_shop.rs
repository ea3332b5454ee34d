//! `demo --shop`: a whole bench of virtual devices at once, as a shop has it.
//!
//! Eight devices of three models, restored by `batch` with the board on screen. Three of them fail once in ways that the
//! retry policy solves by itself; one cannot go on without a person. That person hears of it as a shop would, by the
//! hook `needs_person`, types the passcode, pulls the cable and puts it back. At the end there is a report for each.

use super::demo_stage::Stage;
use super::list::say_line;
use crate::cli::show::wrap::COLUMNS;
use crate::device::Book;
use crate::disk::Jobs;
use crate::event::{Outcome, Request};
use crate::fault::{Code, Fault};
use crate::ids::PortPath;
use crate::say;
use crate::say::scenario::{Line, line};
use crate::usb::topology::Topology;
use crate::virt::phone::{Phone, Stage as Boot, offered_system};
use crate::virt::restore::Faults as RestoreFaults;
use crate::virt::spec::{BenchSpec, Faults, PasscodeSpec, PhoneSpec, TrustSpec};
use crate::virt::usb::person::Person;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub const PACE: u32 = 20;
/// The checkpoint at which the image is sent.
const IMAGE: u16 = 0x634;
/// What a device may end with that says no more than: once again.
const ENDS_WITH: i64 = 100;
/// Restarted at the counter, and not unlocked since: it takes no command before somebody types its passcode.
const LOCKED: &str = "Gijs's iPhone";
/// How long a cable is out, in the phone's time.
const OUT: Duration = Duration::from_secs(20);

/// Who brought them in, what they are, and what goes wrong once.
fn rows() -> Vec<(&'static str, &'static str, RestoreFaults)> {
    let once = RestoreFaults { once: true, ..RestoreFaults::default() };
    vec![
        ("Anna's iPhone", "iphone13", RestoreFaults::default()),
        ("Bert's iPhone", "iphone13", RestoreFaults { unplug_at_checkpoint: Some(IMAGE), ..once.clone() }),
        ("Cees's iPhone", "iphone8", RestoreFaults::default()),
        ("Daan's iPhone", "iphone13", RestoreFaults { unplug_at_image_byte: Some(1 << 20), ..once.clone() }),
        ("Els's iPad", "ipad-pro-m4", RestoreFaults::default()),
        ("Fien's iPhone", "iphone8", RestoreFaults { amr_error: Some(ENDS_WITH), ..once }),
        (LOCKED, "iphone13", RestoreFaults::default()),
        ("Hans's iPhone", "iphone13", RestoreFaults::default()),
    ]
}

pub fn bench() -> BenchSpec {
    let phone = |(name, model, restore): (&str, &str, RestoreFaults)| PhoneSpec {
        name: name.to_owned(),
        model: model.to_owned(),
        trust: TrustSpec::Trusted,
        passcode: if name == LOCKED { PasscodeSpec::BeforeFirstUnlock } else { PasscodeSpec::None },
        photos: 3,
        photo_bytes: 50_000,
        faults: Faults { restore, ..Faults::default() },
        ..PhoneSpec::default()
    };
    BenchSpec { phones: rows().into_iter().map(phone).collect(), pace: Some(f64::from(PACE)), ..BenchSpec::default() }
}

pub async fn play(stage: &Stage<'_>) -> Result<Outcome, Fault> {
    let disk = |e: std::io::Error| Fault::disk(&e);
    let bell = stage.folder.join("bell");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &bell,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR.union(rustix::fs::Mode::WUSR),
        0,
    )
    .map_err(|e| disk(e.into()))?;
    teach(stage)?;
    let file = stage.folder.join("shop.toml");
    fs_err::write(&file, batch_file(&stage.bench.phones, &bell)).map_err(|e| Fault::disk(&e))?;
    for text in [Line::Shop, Line::ShopPerson] {
        tell(stage, &text);
    }
    tell(stage, &Line::Runs("herstel batch shop.toml --yes-erase-all"));
    answer(bell.clone(), stage.bench.phones.clone());
    let file = file.display().to_string();
    let code = stage.run_shown(&["batch", &file, "--yes-erase-all"]).await?;
    if code != 0 {
        return Err(Fault::new(Code::RestoreFailed, format!("the batch ended with exit code {code}")));
    }
    for phone in &stage.bench.phones {
        whole(phone)?;
    }
    let jobs = Jobs::new(&stage.folder.join("state").join("herstel").join("jobs"));
    // Names sort by time: the oldest last.
    for job in jobs.list()?.iter().rev() {
        if !stage.common.json {
            say_line("");
        }
        if stage.run(&["report", &job.id.to_string()]).await? != 0 {
            return Err(Fault::new(Code::RestoreFailed, format!("job {} has no report", job.id)));
        }
    }
    say_line("");
    tell(stage, &Line::ShopDone { devices: stage.bench.phones.len() });
    Ok(Outcome::Ok)
}

/// Station 1 is the first port, and so on, as `herstel stations teach` would have it.
fn teach(stage: &Stage<'_>) -> Result<(), Fault> {
    let book = Book::new(stage.folder.join("config/herstel/stations-virtual.toml"), stage.folder);
    book.change(|stations| {
        (1..).zip(&stage.bench.phones).try_for_each(|(number, phone)| {
            stations.set(&Topology::unknown(), number, PortPath::new(phone.port_path()), None).map(drop)
        })
    })
}

fn tell(stage: &Stage<'_>, text: &Line<'_>) {
    say::wrapped(&line(stage.lang, text), COLUMNS).iter().for_each(|line| say_line(line));
}

fn batch_file(phones: &[Arc<Phone>], bell: &Path) -> String {
    let mut text = String::from("ownership = \"organisation\"\nlimit = 8\n\n[retry]\nstagger_seconds = 2\n\n");
    text += &format!("[hooks]\nneeds_person = [\"/bin/sh\", \"-c\", \"cat > '{}'\"]\n", bell.display());
    for phone in phones {
        text += &format!("\n[[device]]\necid = \"{}\"\naction = \"restore-erase\"\n", phone.ecid);
    }
    text
}

/// The shop's person: hears the bell, sees to the device, pulls its cable and puts it back. Waits as long as the demo.
fn answer(bell: std::path::PathBuf, phones: Vec<Arc<Phone>>) {
    std::thread::spawn(move || {
        // Opened for both, so that it does not end between two calls.
        let Ok(pipe) = fs_err::OpenOptions::new().read(true).write(true).open(&bell) else { return };
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let told: Value = serde_json::from_str(&line).unwrap_or_default();
            let ecid = told.get("ecid").and_then(Value::as_str).unwrap_or_default().to_owned();
            let Some(phone) = phones.iter().find(|phone| phone.ecid.to_string() == ecid) else { continue };
            let mut person = Person::new(phone);
            phone.type_passcode();
            let _ = person.hear(&Request::CableOut);
            std::thread::sleep(phone.scaled(OUT));
            let _ = person.hear(&Request::CableIn);
        }
    });
}

fn whole(phone: &Phone) -> Result<(), Fault> {
    let state = phone.state();
    let now = (state.version.clone(), state.build.clone());
    if now != offered_system(phone.model) || state.stage != Boot::Normal || phone.remembered("files.erased") == 0 {
        let detail = format!("{} runs {} and is in {:?}", phone.ecid, now.0, state.stage);
        return Err(Fault::new(Code::RestoreFailed, detail));
    }
    Ok(())
}
