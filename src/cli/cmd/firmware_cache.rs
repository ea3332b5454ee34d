//! `firmware cache`: what the store holds, is it still right, and what may go.

use super::list::{print_out, say_line};
use crate::cli::args::CacheVerb;
use crate::cli::context::Context;
use crate::cli::show::{print_line, size, table::table};
use crate::cli::{Done, ask};
use crate::event::Outcome;
use crate::fault::{Code, Fault};
use crate::firmware::{Check, Store, Stored, old};
use crate::say::{self, Text};
use serde_json::json;

pub async fn run(context: &Context, verb: CacheVerb) -> Done {
    let store = Store::new(&context.folders()?.firmware());
    match verb {
        CacheVerb::List => list(context, store, Check::IfChanged).await,
        CacheVerb::Verify => list(context, store, Check::Always).await,
        CacheVerb::Prune { keep, dry_run, yes } => prune(context, store, keep as usize, dry_run, yes).await,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?
}

async fn list(context: &Context, store: Store, how: Check) -> Done {
    let cancel = context.cancel.clone();
    let work = move || {
        let mut list = Vec::new();
        for stored in store.list()? {
            let record = stored.record.clone();
            let path = stored.path.clone();
            let fault = store.check(stored, how, &mut |_| !cancel.is_cancelled()).err();
            if fault.as_ref().is_some_and(|f| f.code == Code::Cancelled) {
                return Err(Fault::cancelled());
            }
            list.push((path, record, fault));
        }
        Ok(list)
    };
    let list = blocking(work).await?;
    if context.common.json {
        let rows: Vec<_> = list.iter().map(|(path, r, f)| json!({ "path": path, "record": r, "fault": f })).collect();
        print_line(&json!({ "schema": 1, "cache": rows }));
    } else {
        let rows = list.iter().map(|(_, r, fault)| {
            let build = r.build.as_ref().map(ToString::to_string).unwrap_or_default();
            let state = fault.as_ref().map_or("ok", |f| f.code.as_str());
            vec![build, size(r.looks.size), state.to_owned(), r.name.clone()]
        });
        print_out(&table(&["BUILD", "SIZE", "STATE", "NAME"], &[3], rows.collect()));
    }
    match list.into_iter().find_map(|(.., fault)| fault) {
        Some(fault) => Err(fault),
        None => Ok(Outcome::Ok),
    }
}

async fn prune(context: &Context, store: Store, keep: usize, dry_run: bool, yes: bool) -> Done {
    let text = |text: &Text| say::text(context.lang, text);
    let listed = store.clone();
    let all = blocking(move || listed.list()).await?;
    let goes: Vec<Stored> = old(&all, keep).into_iter().cloned().collect();
    for stored in &goes {
        let record = &stored.record;
        if context.common.json {
            print_line(
                &json!({ "schema": 1, "event": "cache-prune", "path": stored.path, "bytes": record.looks.size }),
            );
        } else {
            print_out(&format!("{:>10}  {}", size(record.looks.size), record.name));
        }
    }
    if goes.is_empty() {
        say_line(&text(&Text::CachePruneNothing));
        return Ok(Outcome::Ok);
    }
    if dry_run {
        return Ok(Outcome::Ok);
    }
    let count = goes.len();
    let word = text(&Text::PruneWord);
    if !yes && !ask::agrees(&text(&Text::CachePruneAsk { count, word: word.clone() }), &word)? {
        return Err(Fault::new(Code::ConsentMissing, "the files stay"));
    }
    let bytes = goes.iter().map(|stored| stored.record.looks.size).sum();
    blocking(move || goes.iter().try_for_each(|stored| store.remove(stored))).await?;
    say_line(&text(&Text::CachePruneDone { count, size: size(bytes) }));
    Ok(Outcome::Ok)
}
