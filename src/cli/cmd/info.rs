//! `info`: the intake sheet of one device, and what changed since an older one.

use super::list::{print_out, say_line};
use crate::cli::Done;
use crate::cli::args::InfoArgs;
use crate::cli::context::Context;
use crate::cli::places::Places;
use crate::cli::show::{print_line, virtual_banner, wrap::COLUMNS};
use crate::device::{Sheet, whole_intake};
use crate::disk::{write_atomic, write_private};
use crate::event::Outcome;
use crate::fault::{Code, Fault};
use crate::report::compare::compare;
use crate::report::intake_sheet::{lines, paper, table};
use crate::say::sheet::{Around, around};
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::path::Path;

/// A saved sheet is some kilobytes.
const SAVED_CAP: u64 = 4 << 20;

pub async fn run(context: &Context, args: InfoArgs) -> Done {
    let json = context.common.json;
    if args.csv && json {
        return Err(Fault::new(Code::Usage, "--csv and --json cannot go together"));
    }
    // A file that is no sheet is found out before the device is asked.
    let before = args.compare.as_deref().map(saved).transpose()?;
    let eyes = context.eyes()?;
    let device = context.device(&eyes).await?;
    let mut intake = whole_intake(&eyes, &device).await?;
    intake.facts.insert("station".into(), json!(Places::of(context)?.of_device(&device)));
    let sheet = intake.sheet();
    let whole = json!({ "schema": 1, "info": intake.facts, "sheet": sheet });
    if let Some(file) = &args.save {
        write_private(file, format!("{whole}\n").as_bytes())?;
        said_saved(context, file);
    }
    if let Some(file) = &args.paper {
        write_atomic(file, paper(context.lang, &sheet, device.is_virtual).html(context.lang).as_bytes())?;
        said_saved(context, file);
    }
    if let Some(before) = before {
        let found = compare(&before, &sheet)?;
        if json {
            print_line(&json!({ "schema": 1, "compare": found.json() }));
        } else {
            print_out(found.paper(context.lang, device.is_virtual).text(context.lang, COLUMNS).trim_end());
        }
        return Ok(Outcome::Ok);
    }
    if json {
        print_line(&whole);
    } else if args.csv {
        // The ends of lines belong to the format.
        let _ = std::io::stdout().lock().write_all(table(&sheet).as_bytes());
    } else {
        print_out(lines(context.lang, &sheet, false, COLUMNS).trim_end());
    }
    if device.is_virtual && !json {
        say_line(&virtual_banner(context.lang));
    }
    Ok(Outcome::Ok)
}

fn said_saved(context: &Context, file: &Path) {
    say_line(&format!("{}: {}", around(context.lang, Around::Saved), file.display()));
}

/// Reads a sheet that `--save` wrote, or a line that `--json` printed. The lines are worked out anew from its facts, so
/// that both sheets are read by the same rules.
pub(super) fn saved(file: &Path) -> Result<Sheet, Fault> {
    let no_sheet = |why: &str| Fault::new(Code::Usage, format!("{}: no saved sheet: {why}", file.display()));
    let opened = fs_err::File::open(file).map_err(|e| Fault::disk(&e))?;
    let mut bytes = Vec::new();
    opened.take(SAVED_CAP + 1).read_to_end(&mut bytes).map_err(|e| Fault::disk(&e))?;
    if bytes.len() as u64 > SAVED_CAP {
        return Err(no_sheet("too long"));
    }
    // `--json` prints a last line of its own after the sheet.
    let first = serde_json::Deserializer::from_slice(&bytes).into_iter::<Map<String, Value>>().next();
    let whole = match first {
        Some(Ok(whole)) => whole,
        Some(Err(err)) => return Err(no_sheet(&err.to_string())),
        None => return Err(no_sheet("it is empty")),
    };
    if whole.get("schema") != Some(&json!(1)) {
        return Err(no_sheet("not of this schema"));
    }
    whole.get("info").and_then(Value::as_object).map(Sheet::of).ok_or_else(|| no_sheet("it has no \"info\""))
}
