//! `report`: the sheet of a job, as text, JSON or a printable page.

use super::list::print_out;
use crate::cli::Done;
use crate::cli::args::{Format, ReportArgs};
use crate::cli::context::Context;
use crate::disk::Jobs;
use crate::event::Outcome;
use crate::fault::{Code, Fault};
use crate::job::{Entry, Story, report};

pub fn run(context: &Context, args: ReportArgs) -> Done {
    let ReportArgs { job: name, format } = args;
    let jobs = Jobs::new(&context.folders()?.jobs());
    let folder = match &name {
        Some(name) => jobs.find(name)?,
        None => jobs.list()?.into_iter().next().ok_or_else(|| Fault::new(Code::NoJob, "no job yet"))?,
    };
    let (_, entries) = folder.open::<Entry>()?;
    let sheet = report(&folder.id.to_string(), &Story::new(entries)?);
    let format = if context.common.json { Format::Json } else { format };
    print_out(&match format {
        Format::Text => sheet.text(context.lang),
        Format::Html => sheet.html(context.lang),
        Format::Json => serde_json::to_string(&sheet).map_err(|e| Fault::new(Code::Internal, e.to_string()))?,
    });
    Ok(Outcome::Ok)
}
