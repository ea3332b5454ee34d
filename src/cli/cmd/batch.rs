//! `batch`: many devices, as a file says; `--watch`, `--resume`, `--dry-run`.

use super::batch_plan::{ByFile, wish};
use super::list::say_line;
use super::preflight::rehearse;
use super::recover::{kit, kit_telling, plan_for, show_plan};
use crate::backup::encryption;
use crate::cli::args::BatchArgs;
use crate::cli::context::Context;
use crate::cli::orders::Orders;
use crate::cli::places::Places;
use crate::cli::show::batch::BatchLines;
use crate::cli::show::board::{Feed, Leave, Live, Show};
use crate::cli::show::print_line;
use crate::cli::{Done, ask, password};
use crate::device::{Device, Trust, look};
use crate::disk::{JobFolder, Jobs, Journal, read_journal};
use crate::event::batch::{Action, BatchEvent, BatchTeller, Happened, Phase, TellBatch};
use crate::event::{Outcome, Quiet, Step};
use crate::fault::{Code, Fault};
use crate::ids::PortPath;
use crate::job::batch::{
    self, Agreed, Asked, BatchFile, Book, Entry, MAX_FILE, Messenger, PER_CONTROLLER, Pin, Place, Recalled, Record,
    Rules, Setup, Story, Task, fresh, recall,
};
use crate::job::{Kit, Plan};
use crate::say::{self, Batch, Lang, Text};
use serde_json::json;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub async fn run(context: &Context, args: BatchArgs) -> Done {
    let places = Arc::new(Places::of(context)?);
    if args.resume.is_some() || args.retry_failed {
        return resume(context, places, &args).await;
    }
    let path = match &args.file {
        Some(path) => path.clone(),
        None => context.folders()?.config.join("batch.toml"),
    };
    let file = read(&path, &places)?;
    if args.watch && file.watch.is_none() {
        let detail = format!("{}: --watch needs a [watch] that says what is done", path.display());
        return Err(Fault::new(Code::ConfigInvalid, detail));
    }
    passwords(context, file.rows.iter().map(|asked| (Some(asked.line), &asked.task)))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if args.dry_run {
        let kit = kit(context, false)?;
        let seen = look(&kit.eyes).await.devices;
        show(context, &name, &file, &seen, &places, args.watch);
        return dry_run(context, &kit, &file, &seen, &places).await;
    }
    let (kit, voice) = quiet_kit(context, &args)?;
    let seen = look(&kit.eyes).await.devices;
    show(context, &name, &file, &seen, &places, args.watch);
    let agreed = agree(context, &args, &file, &seen, &places)?;
    let (folder, mut journal) = Jobs::new(&kit.folders.batches()).create()?;
    let record = Record::Batch {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        name,
        file: Box::new(file.clone()),
        agreed: agreed.clone(),
        watch: args.watch,
        is_virtual: context.is_virtual(),
    };
    journal.append(&Entry::now(record), true)?;
    let rows = fresh(&file);
    let whole = Whole { file, agreed, watch: args.watch, rows };
    drive(context, (kit, voice), places, folder, journal, whole).await
}

/// Each device has a voice of its own, and the batch one listener.
fn quiet_kit(context: &Context, args: &BatchArgs) -> Result<(Kit, Voice), Fault> {
    let lines = BatchLines::new(context.lang, context.common.json, context.is_virtual(), context.leaving());
    // Whoever says by lines what was done is no person at a board.
    let lines_in = args.orders.as_deref() == Some(Path::new("-"));
    let screen = Show::of(context.common.json, context.common.verbose > 0 || lines_in) == Show::Screen;
    let board = screen.then(|| Live::new(Show::Screen, context.lang, context.is_virtual()));
    let tell: BatchTeller = match &board {
        Some(board) => Arc::new(Both(lines.beside(), Feed::new(board.clone()))),
        None => Arc::new(lines),
    };
    let (says, said) = mpsc::channel(SAID);
    if let Some(board) = &board {
        board.hears(says.clone());
    }
    let orders = args.orders.as_deref().map(Orders::open).transpose()?.map(|orders| (orders, says));
    Ok((kit_telling(context, Arc::new(Quiet))?, Voice { tell, board, orders, said }))
}

/// How a batch is told: on a board where a person sits at a terminal, else in lines.
struct Voice {
    tell: BatchTeller,
    board: Option<Live>,
    orders: Option<(Orders, mpsc::Sender<u32>)>,
    /// Of which rows a person says that it was done.
    said: mpsc::Receiver<u32>,
}

/// More than a hand types ahead.
const SAID: usize = 64;

fn read(path: &Path, places: &Places) -> Result<BatchFile, Fault> {
    let opened = fs_err::File::open(path).map_err(|e| Fault::disk(&e));
    let opened = opened.map_err(|fault| Fault { detail: format!("the batch file: {}", fault.detail), ..fault })?;
    let mut bytes = Vec::new();
    opened.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| Fault::disk(&e))?;
    let name = path.display().to_string();
    let bad = |why: &str| Fault::new(Code::ConfigInvalid, format!("{name}: {why}"));
    if bytes.len() as u64 > MAX_FILE {
        return Err(bad(&format!("longer than {MAX_FILE} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| bad("not UTF-8"))?;
    let path = std::path::absolute(path).map_err(|e| Fault::disk(&e))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    BatchFile::parse(&name, &text, folder, &|station| places.stations.get(station).is_some())
}

/// Every password that the file names is there, before anything is begun.
fn passwords<'a>(context: &Context, tasks: impl Iterator<Item = (Option<u32>, &'a Task)>) -> Result<(), Fault> {
    let mut looked: Vec<&Path> = Vec::new();
    for (line, task) in tasks {
        let Some(path) = task.password_file.as_deref().filter(|path| !looked.contains(path)) else { continue };
        looked.push(path);
        let kept = password::kept(path).map_err(|fault| {
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            Fault::new(Code::ConfigInvalid, format!("{line}password_file: {}", fault.detail))
        })?;
        if kept.open {
            let path = path.display().to_string();
            say_line(&format!("! {}", say::batch(context.lang, &Batch::OpenPassword { path: &path })));
        }
    }
    Ok(())
}

/// The device of a row, if it is here.
fn of_row<'a>(asked: &Asked, seen: &'a [Device], places: &Places) -> Option<&'a Device> {
    seen.iter().find(|device| {
        let who = device.who();
        match &asked.pin {
            Pin::Ecid(ecid) => who.ecid == Some(*ecid),
            Pin::Udid(udid) => who.udid.as_ref() == Some(udid) || (who.ecid.is_some() && who.ecid == udid.ecid()),
            Pin::Station(station) => places.of_device(device) == Some(*station),
        }
    })
}

/// Each row with its device and its deed: what a person agrees to.
fn show(context: &Context, name: &str, file: &BatchFile, seen: &[Device], places: &Places, watch: bool) {
    let lang = context.lang;
    if context.common.json {
        let row = |asked: &Asked| {
            let device = of_row(asked, seen, places).map(|device| places.row(device));
            json!({
                "pin": asked.pin, "action": asked.task.action, "backup": asked.task.backup,
                "ownership": asked.task.ownership, "device": device,
            })
        };
        print_line(&json!({
            "schema": 1, "virtual": context.is_virtual(), "event": "batch-file", "name": name, "limit": file.limit,
            "watch": watch, "rows": file.rows.iter().map(row).collect::<Vec<_>>(),
        }));
    }
    if context.is_virtual() {
        say_line(&crate::cli::show::virtual_banner(lang));
    }
    say_line(&say::batch(lang, &Batch::Title { name, rows: file.rows.len(), limit: file.limit }));
    for (at, asked) in file.rows.iter().enumerate() {
        let device = of_row(asked, seen, places);
        let title = device.map(|device| format!("{}, {}", device.who().title(), device.mode()));
        let title = title.unwrap_or_else(|| say::batch(lang, &Batch::NotHere));
        let ecid = device.and_then(|device| device.who().ecid).filter(|_| !matches!(asked.pin, Pin::Ecid(_)));
        let ecid = ecid.map(|ecid| format!(" = {ecid}")).unwrap_or_default();
        say_line(&format!("  {:>2}  {}{ecid}  {title}", at + 1, asked.pin));
        say_line(&format!("      {}", say::action(lang, asked.task.action)));
    }
    if let (true, Some(watched)) = (watch, &file.watch) {
        for line in say::wrapped(&say::batch(lang, &Batch::Watches { stations: &watched.stations }), 78) {
            say_line(&line);
        }
        say_line(&format!("      {}", say::action(lang, watched.task.action)));
    }
}

/// The file is agreed to as a whole: by the word after the list, or by options that leave nothing open.
fn agree(
    context: &Context,
    args: &BatchArgs,
    file: &BatchFile,
    seen: &[Device],
    places: &Places,
) -> Result<Agreed, Fault> {
    let mut agreed = Agreed::default();
    for asked in file.rows.iter().filter(|asked| asked.task.action.erases()) {
        match &asked.pin {
            Pin::Ecid(ecid) => agreed.devices.push(*ecid),
            Pin::Udid(udid) => agreed.udids.push(udid.clone()),
            Pin::Station(station) => agreed.stations.push(*station),
        }
    }
    let watched = file.watch.as_ref().filter(|watch| args.watch && watch.task.action.erases());
    agreed.stations.extend(watched.into_iter().flat_map(|watch| &watch.stations));
    agreed.stations.sort_unstable();
    agreed.stations.dedup();
    let named = agreed.devices.len() + agreed.udids.len();
    if named + agreed.stations.len() == 0 {
        return Ok(agreed);
    }
    let missing = |what: String| Fault::new(Code::ConsentMissing, what).during(Step::Plan);
    if args.yes_erase_all || !args.yes_erase_stations.is_empty() {
        if named > 0 && !args.yes_erase_all {
            return Err(missing(format!("{named} devices are erased by name: --yes-erase-all is missing")));
        }
        let open: Vec<String> =
            agreed.stations.iter().filter(|s| !args.yes_erase_stations.contains(s)).map(u32::to_string).collect();
        if !open.is_empty() {
            let open = open.join(",");
            return Err(missing(format!(
                "whatever is at station {open} is erased: --yes-erase-stations {open} is missing"
            )));
        }
        let stray: Vec<String> =
            args.yes_erase_stations.iter().filter(|s| !agreed.stations.contains(s)).map(u32::to_string).collect();
        if !stray.is_empty() {
            let detail = format!("--yes-erase-stations names {}, the file erases nothing there", stray.join(","));
            return Err(Fault::new(Code::ConsentMismatch, detail).during(Step::Plan));
        }
        return Ok(agreed);
    }
    let lang = context.lang;
    let warning = Batch::Erases { devices: named, stations: agreed.stations.len() };
    for line in say::wrapped(&say::batch(lang, &warning), 78) {
        say_line(&line);
    }
    let word = say::text(lang, &Text::ConsentWord);
    if !ask::agrees(&say::batch(lang, &Batch::TypeToErase { word: &word }), &word)? {
        return Err(missing("the word was not typed".into()));
    }
    // What stood at a station when the word was typed is meant, and nothing that is swapped for it since.
    let watched: Vec<u32> = watched.map(|watch| watch.stations.clone()).unwrap_or_default();
    for asked in file.rows.iter().filter(|asked| asked.task.action.erases()) {
        let (Pin::Station(station), Some(device)) = (&asked.pin, of_row(asked, seen, places)) else { continue };
        if let Some(ecid) = device.who().ecid {
            agreed.devices.push(ecid);
            agreed.stations.retain(|agreed| agreed != station || watched.contains(agreed));
        }
    }
    Ok(agreed)
}

async fn dry_run(context: &Context, kit: &Kit, file: &BatchFile, seen: &[Device], places: &Places) -> Done {
    let mut worst = None;
    for (at, asked) in file.rows.iter().enumerate() {
        let row = u32::try_from(at + 1).unwrap_or(u32::MAX);
        let pin = asked.pin.to_string();
        say_line("");
        let Some(device) = of_row(asked, seen, places) else {
            let what = format!("{pin}: {}", say::batch(context.lang, &Batch::NotHere));
            say_line(&say::batch(context.lang, &Batch::DryRunRow { row, what: &what }));
            continue;
        };
        say_line(&say::batch(context.lang, &Batch::DryRunRow { row, what: &pin }));
        if asked.task.action == Action::Backup {
            say_line(&format!("  {}", say::step(context.lang, Step::Backup)));
            continue;
        }
        let rehearsed = async {
            let plan = plan_for(kit, device, wish(&asked.task)).await?;
            show_plan(context, &plan);
            locked_backup(context, kit, &plan, device, &asked.task).await;
            rehearse(context, kit, &plan, device).await
        };
        if let Err(fault) = rehearsed.await {
            if fault.code == Code::Cancelled {
                return Err(fault);
            }
            say_line(&format!("  ! {} ({})", say::fault(context.lang, fault.code).what, fault.detail));
            worst = worst.or(Some(fault));
        }
    }
    worst.map_or(Ok(Outcome::Ok), Err)
}

/// An encrypted backup that nothing opens would stop the row halfway, before its erase.
async fn locked_backup(context: &Context, kit: &Kit, plan: &Plan, device: &Device, task: &Task) {
    let normal = device.normal().filter(|normal| normal.trust == Trust::Trusted);
    let Some(normal) = normal.filter(|_| plan.put_back && task.password_file.is_none()) else { return };
    if encryption(&kit.eyes.mux, normal).await.is_ok_and(|setting| setting.on == Some(true)) {
        say_line(&format!("  ! {}", say::batch(context.lang, &Batch::NoPassword)));
    }
}

async fn resume(context: &Context, places: Arc<Places>, args: &BatchArgs) -> Done {
    let (kit, voice) = quiet_kit(context, args)?;
    let batches = Jobs::new(&kit.folders.batches());
    let jobs = Jobs::new(&kit.folders.jobs());
    let end = |job: &str, since| batch::job_end(&jobs, job, since);
    let again = |row: &Recalled| args.retry_failed && row.phase == Phase::Failed;
    let folder = match args.resume.as_deref().unwrap_or_default() {
        "" => {
            let open = |folder: &JobFolder| {
                let story = read_journal::<Entry>(&folder.journal()).and_then(|entries| recall(&entries, &end));
                story.is_ok_and(|story| {
                    !story.is_over() || (story.watch && story.over.is_none()) || story.rows.iter().any(again)
                })
            };
            batches.list()?.into_iter().find(open)
        }
        name => Some(batches.find(name)?),
    };
    let Some(folder) = folder else {
        say_line(&say::batch(context.lang, &Batch::NothingOpen));
        return Ok(Outcome::Ok);
    };
    let (mut journal, entries) = folder.open::<Entry>()?;
    let story = recall(&entries, &end)?;
    let is_over = story.is_over();
    let Story { name, file, agreed, watch, mut rows, over } = story;
    let watch = watch && over.is_none();
    if !watch && is_over && !rows.iter().any(again) {
        say_line(&say::batch(context.lang, &Batch::NothingOpen));
        return Ok(Outcome::Ok);
    }
    let left = rows.iter().filter(|row| !row.phase.is_end() || again(row));
    passwords(context, left.map(|row| (None, &row.task)))?;
    let seen = look(&kit.eyes).await.devices;
    say_line(&say::batch(context.lang, &Batch::Resumes { batch: &folder.id.to_string() }));
    show(context, &name, &file, &seen, &places, watch);
    journal.append(&Entry::now(Record::Resumed), true)?;
    for (row, recalled) in (1..).zip(&mut rows).filter(|(_, recalled)| again(recalled)) {
        journal.append(&Entry::now(Record::Again { row }), true)?;
        recalled.again();
    }
    // What was agreed to is in the journal; going on with it is no new deed.
    drive(context, (kit, voice), places, folder, journal, Whole { file, agreed, watch, rows }).await
}

struct Whole {
    file: BatchFile,
    agreed: Agreed,
    watch: bool,
    rows: Vec<Recalled>,
}

async fn drive(
    context: &Context,
    (kit, voice): (Kit, Voice),
    places: Arc<Places>,
    folder: JobFolder,
    journal: Journal,
    whole: Whole,
) -> Done {
    let Whole { file, agreed, watch, rows } = whole;
    let Voice { tell, board, orders, said } = voice;
    if let Some((orders, says)) = orders {
        let (tell, lang) = (Arc::clone(&tell), if context.common.json { Lang::En } else { context.lang });
        orders.hear(says, move |line| {
            let happened = Happened::Warning { text: say::batch(lang, &Batch::NoOrder { line }) };
            tell.tell(BatchEvent { row: None, ecid: None, station: None, happened });
        });
    }
    let watched = file.watch.filter(|_| watch);
    let haste = kit.haste;
    let messenger = Messenger::new(
        file.hooks,
        file.webhooks,
        &kit.http,
        &folder.path,
        Arc::clone(&tell),
        haste,
        context.is_virtual(),
    );
    let setup = Setup {
        rules: Rules {
            limit: usize::try_from(file.limit).unwrap_or(1),
            per_controller: PER_CONTROLLER,
            retry: file.retry,
            haste,
            watch: watched.as_ref().map(|watch| watch.stations.clone()),
        },
        kit,
        rows,
        watched: watched.map(|watch| watch.task),
        book: Arc::new(Book::new(journal)),
        planner: Arc::new(ByFile { lang: context.lang, agreed }),
        tell,
        places: Arc::new(move |port: &PortPath| place(&places, port)),
        messenger,
        said,
    };
    let summary = match board {
        None => batch::run(setup).await?,
        Some(board) => {
            let over = CancellationToken::new();
            let work = async {
                let summary = batch::run(setup).await;
                over.cancel();
                summary
            };
            let (summary, ()) = tokio::join!(work, board.run(&over, Leave::WithTheWork));
            board.epilogue().iter().for_each(|line| say_line(line));
            summary?
        }
    };
    let id = folder.id.to_string();
    let count = |phase| summary.count(&[phase]);
    let (failed, left) = (count(Phase::Failed), count(Phase::LeftForPerson));
    if left + count(Phase::Cancelled) > 0 {
        say_line(&say::batch(context.lang, &Batch::ResumeHint { batch: &id }));
    }
    if failed > 0 {
        say_line(&say::batch(context.lang, &Batch::RetryHint { batch: &id }));
    }
    if context.common.json {
        let rows: Vec<_> = summary.rows.iter().map(|(row, fault)| json!({ "row": row, "fault": fault })).collect();
        print_line(&json!({
            "schema": 1, "virtual": context.is_virtual(), "event": "batch-over", "batch": id,
            "outcome": summary.outcome, "rows": rows,
        }));
    }
    if failed == 0 && left > 0 && summary.outcome != Outcome::Cancelled {
        return Err(Fault::new(Code::PersonNeeded, format!("left: {left}; batch {id}")));
    }
    Ok(summary.outcome)
}

/// A board for people, and what Ctrl-C would mean.
struct Both(BatchLines, Feed);

impl TellBatch for Both {
    fn tell(&self, event: BatchEvent) {
        self.0.tell(event.clone());
        self.1.tell(event);
    }
}

/// Without the kernel's word a bus stands for its controller.
fn place(places: &Places, port: &PortPath) -> Place {
    let controller = places.topology.controller(port).map(|id| id.as_str().to_owned());
    let bus = || port.to_string().split('-').next().map(|bus| format!("bus {bus}"));
    Place { station: places.number(port), controller: controller.or_else(bus) }
}
