//! `explain`: what a code means, offline.
//!
//! The rows are the facts room's, the words are `say`'s; here they are joined, once for people and once for JSON. A code
//! that nobody knows is an answer too: it is said, with its neighbourhood at most and the order in which things are
//! tried, and the exit code is 1 so that a script notices.

use super::list::print_out;
use crate::cli::Done;
use crate::cli::args::ExplainArgs;
use crate::cli::context::Context;
use crate::cli::show::explained::{self, Explained};
use crate::cli::show::print_line;
use crate::event::Outcome;
use crate::facts::codes::{self, ask};
use crate::fault::{Code, Fault};
use crate::say::{self, Lang, Text};
use serde_json::json;

pub fn run(context: &Context, arguments: &ExplainArgs) -> Done {
    let within = arguments.within;
    if arguments.code.is_empty() {
        return Ok(list(context, arguments));
    }
    let text = arguments.code.join(" ");
    if text.trim().is_empty() || text.len() > ask::TEXT_CAP {
        let cap = ask::TEXT_CAP;
        return Err(Fault::new(Code::Usage, format!("a code of {} bytes; from 1 to {cap} are read", text.len())));
    }
    let asked = ask::read(&text, within.map(Into::into));
    let unknown: Vec<&ask::Asked> = asked.iter().filter(|asked| asked.hits.is_empty()).collect();
    if context.common.json {
        let lang = Lang::En;
        let explained: Vec<Explained> = asked
            .iter()
            .flat_map(|asked| asked.hits.iter().filter_map(|hit| Explained::of(lang, &asked.code, hit)))
            .collect();
        let unknown: Vec<_> = unknown
            .iter()
            .map(|asked| json!({ "code": asked.code, "near": asked.near.map(|group| explained::near(lang, group)) }))
            .collect();
        let first_aid = explained::steps(lang, if unknown.is_empty() { &[] } else { &codes::FIRST_AID });
        print_line(
            &json!({ "schema": 1, "asked": text, "codes": explained, "unknown": unknown, "first_aid": first_aid }),
        );
    } else {
        let lang = context.lang;
        for (at, one) in asked.iter().enumerate() {
            if at > 0 {
                print_out("");
            }
            for line in explained::card(lang, one) {
                print_out(&line);
            }
        }
        if !unknown.is_empty() {
            for line in explained::first_aid(lang, &codes::FIRST_AID) {
                print_out(&line);
            }
        }
    }
    Ok(if unknown.len() == asked.len() { Outcome::Failed } else { Outcome::Ok })
}

/// All codes, a line each.
fn list(context: &Context, arguments: &ExplainArgs) -> Outcome {
    let within = arguments.within.map(Into::into);
    let hits: Vec<_> = codes::all().into_iter().filter(|hit| within.is_none_or(|space| hit.space() == space)).collect();
    if context.common.json {
        let explained: Vec<Explained> =
            hits.iter().filter_map(|hit| Explained::of(Lang::En, &explained::codes_of(hit), hit)).collect();
        print_line(&json!({ "schema": 1, "asked": null, "codes": explained, "unknown": [], "first_aid": [] }));
    } else {
        for line in explained::table(context.lang, &hits) {
            print_out(&line);
        }
        super::list::say_line(&say::text(context.lang, &Text::ExplainMore));
    }
    Outcome::Ok
}
