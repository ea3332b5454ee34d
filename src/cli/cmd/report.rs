//! `report`: what a job did, as text, JSON, CSV or a printable page; its certificate, and a bundle for whoever helps.

use super::list::{print_out, say_line};
use crate::cli::Done;
use crate::cli::args::{Format, ReportArgs, ReportVerb};
use crate::cli::context::Context;
use crate::cli::show::{print_line, wrap::COLUMNS};
use crate::device::Sheet;
use crate::disk::{self, JobFolder, Jobs, journal_lines, read_journal, write_atomic, write_private};
use crate::event::Outcome;
use crate::fault::{Code, Fault};
use crate::job::{self, Entry, Story, report};
use crate::report::bundle::{COACH_LINES, Materials, parts, zipped};
use crate::report::certificate::Seal;
use crate::report::seal::{CAP, Key, Sealed};
use crate::say::certificate::{Line, line};
use crate::say::{bundle as words, wrapped};
use serde_json::json;
use std::io::{Read, Write};
use std::path::Path;

/// A coach's log and a doctor's answer are some kilobytes; of a longer one the beginning goes along.
const LOG_CAP: u64 = 8 << 20;

pub fn run(context: &Context, args: ReportArgs) -> Done {
    if let Some(ReportVerb::Verify { file, key }) = &args.verb {
        return verify(context, file, key.as_deref());
    }
    let jobs = Jobs::new(&context.folders()?.jobs());
    let folder = match &args.job {
        Some(name) => jobs.find(name)?,
        None => jobs.list()?.into_iter().next().ok_or_else(|| Fault::new(Code::NoJob, "no job yet"))?,
    };
    if let Some(file) = &args.certificate {
        let intake = args.intake.as_deref().map(super::info::saved).transpose()?;
        return certificate(context, &folder, file, intake.as_ref(), args.paper.as_deref());
    }
    if let Some(file) = &args.bundle {
        return bundle(context, &folder, file, args.doctor.as_deref());
    }
    // Read and not opened: a job that runs now has a report too.
    let entries = read_journal::<Entry>(&folder.journal())?;
    let sheet = report(&folder.id.to_string(), &Story::new(entries)?);
    let format = if context.common.json { Format::Json } else { args.format };
    match format {
        Format::Text => print_out(&sheet.text(context.lang)),
        Format::Html => print_out(&sheet.html(context.lang)),
        // The ends of lines belong to the format.
        Format::Csv => drop(std::io::stdout().lock().write_all(sheet.csv().as_bytes())),
        Format::Json => {
            print_out(&serde_json::to_string(&sheet).map_err(|e| Fault::new(Code::Internal, e.to_string()))?);
        }
    }
    Ok(Outcome::Ok)
}

/// Signs what the journal says, and keeps both in one file.
fn certificate(
    context: &Context,
    folder: &JobFolder,
    file: &Path,
    intake: Option<&Sheet>,
    paper: Option<&Path>,
) -> Done {
    let lang = context.lang;
    let lines = journal_lines(&folder.journal())?;
    let seed = disk::seed(&context.folders()?.signing_key())?;
    let sealed = job::certify(&folder.id.to_string(), lines, intake, &Key::new(&seed)?)?;
    write_private(file, &sealed.bytes()?)?;
    let page = page(context, &sealed);
    if let Some(paper) = paper {
        write_atomic(paper, page.html(lang).as_bytes())?;
        say_line(&format!("{}: {}", line(lang, Line::Saved), paper.display()));
    }
    if context.common.json {
        print_line(&told(&sealed, "own"));
    } else {
        print_out(page.text(lang, COLUMNS).trim_end());
    }
    say_line(&format!("{}: {}", line(lang, Line::Saved), file.display()));
    Ok(Outcome::Ok)
}

fn page(context: &Context, sealed: &Sealed) -> crate::report::Paper {
    let seal = Seal { key: &sealed.signature.key, last_hash: sealed.last_hash(), lines: sealed.journal.len() };
    sealed.certificate.paper(context.lang, &seal)
}

fn told(sealed: &Sealed, signer: &str) -> serde_json::Value {
    json!({
        "schema": 1, "certificate": sealed.certificate, "lines": sealed.journal.len(), "last_hash": sealed.last_hash(),
        "key": sealed.signature.key, "signer": signer,
    })
}

/// Offline: bytes, hashes, signature, and whether the record says what the journal says. An unknown key is a part of
/// the answer that a person has to find.
fn verify(context: &Context, file: &Path, key: Option<&str>) -> Done {
    let lang = context.lang;
    let sealed = job::verify(&read(file, CAP)?)?;
    let own = match disk::existing_seed(&context.folders()?.signing_key())? {
        Some(seed) => Some(Key::new(&seed)?.public()),
        None => None,
    };
    let signed = &sealed.signature.key;
    let (signer, said, outcome) = match key {
        Some(given) if given.trim().eq_ignore_ascii_case(signed) => ("given", Line::GivenKey, Outcome::Ok),
        Some(_) => {
            return Err(Fault::new(Code::CertificateInvalid, format!("signed with another key than that: {signed}")));
        }
        None if own.as_ref() == Some(signed) => ("own", Line::OwnKey, Outcome::Ok),
        None => ("unknown", Line::StrangeKey, Outcome::Partial),
    };
    if context.common.json {
        print_line(&told(&sealed, signer));
    } else {
        print_out(page(context, &sealed).text(lang, COLUMNS).trim_end());
        print_out("");
        let lines = [
            line(lang, Line::Genuine).to_owned(),
            format!("{} {signed}", line(lang, Line::PublicKey)),
            line(lang, said).to_owned(),
        ];
        lines.iter().flat_map(|line| wrapped(line, COLUMNS)).for_each(|line| print_out(&line));
    }
    Ok(outcome)
}

/// For whoever helps: what happened, and nothing that names a device or a person.
fn bundle(context: &Context, folder: &JobFolder, file: &Path, doctor: Option<&Path>) -> Done {
    let lines = journal_lines(&folder.journal())?;
    let entry = |line: &String| {
        serde_json::from_str(line).map_err(|e| Fault::new(Code::JournalDamaged, format!("a line of the journal: {e}")))
    };
    let entries = lines.iter().map(entry).collect::<Result<Vec<Entry>, Fault>>()?;
    let sheet = report(&folder.id.to_string(), &Story::new(entries)?);
    let coach = context.folders()?.coach_log();
    let mut coach = if coach.is_file() { text_lines(&coach)? } else { Vec::new() };
    coach.drain(..coach.len().saturating_sub(COACH_LINES));
    let doctor = doctor.map(text_lines).transpose()?.unwrap_or_default();
    let parts = parts(&sheet, &Materials { journal: lines, coach, doctor });
    write_private(file, &zipped(&parts)?)?;
    if context.common.json {
        let inside: Vec<_> = parts.iter().map(|p| json!({ "name": p.name, "bytes": p.text.len() })).collect();
        print_line(&json!({ "schema": 1, "bundle": { "file": file.display().to_string(), "parts": inside } }));
        return Ok(Outcome::Ok);
    }
    let shown = file.display().to_string();
    wrapped(&words::inside(context.lang, &shown), COLUMNS).iter().for_each(|line| print_out(line));
    for part in &parts {
        print_out(&format!("  {:15}  {:>8}", part.name, crate::cli::show::size(part.text.len() as u64)));
    }
    wrapped(words::look(context.lang), COLUMNS).iter().for_each(|line| print_out(line));
    Ok(Outcome::Ok)
}

fn text_lines(file: &Path) -> Result<Vec<String>, Fault> {
    Ok(String::from_utf8_lossy(&read_up_to(file, LOG_CAP)?).lines().map(str::to_owned).collect())
}

/// A whole file that is not longer than `cap`.
fn read(file: &Path, cap: u64) -> Result<Vec<u8>, Fault> {
    let bytes = read_up_to(file, cap + 1)?;
    if bytes.len() as u64 > cap {
        return Err(Fault::new(Code::CertificateInvalid, format!("{}: too long for a certificate", file.display())));
    }
    Ok(bytes)
}

fn read_up_to(file: &Path, cap: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let opened = fs_err::File::open(file).map_err(|e| Fault::disk(&e))?;
    opened.take(cap).read_to_end(&mut bytes).map_err(|e| Fault::disk(&e))?;
    Ok(bytes)
}
