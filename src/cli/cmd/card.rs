//! `card`: printable advice, one page for each topic.

use super::list::{print_out, say_line};
use crate::cli::Done;
use crate::cli::args::CardArgs;
use crate::cli::context::Context;
use crate::cli::show::{print_line, wrap::COLUMNS};
use crate::device::intake;
use crate::event::Outcome;
use crate::report::card::{For, Reads, card, reads};
use crate::report::paper::Paper;
use crate::say::cards::{Topic, card as words};
use crate::say::{Coach, Lang, coach};
use serde_json::{Value, json};
use std::path::Path;

pub async fn run(context: &Context, args: CardArgs) -> Done {
    let lang = context.lang;
    let Some(topic) = args.topic.as_deref().and_then(Topic::of) else {
        return list(context);
    };
    // Advice needs no device: one is looked for only where it is named, and where it changes what is said.
    let device = match (&context.common.device, reads(topic)) {
        (None, _) | (_, Reads::Nothing) => None,
        (Some(_), what) => {
            let eyes = context.eyes()?;
            let device = context.device(&eyes).await?;
            let known = For::of(&device);
            Some(if what == Reads::Sheet { known.with(&intake(&eyes, &device).await?) } else { known })
        }
    };
    let paper = card(lang, topic, device.as_ref());
    if context.common.json {
        print_line(&json!({ "schema": 1, "card": data(lang, topic, &paper) }));
    }
    match &args.paper {
        Some(file) => save(lang, file, &paper)?,
        None if context.common.json => {}
        None => print_out(paper.text(lang, COLUMNS).trim_end()),
    }
    Ok(Outcome::Ok)
}

/// The sheet as a page in a file.
fn save(lang: Lang, file: &Path, paper: &Paper) -> Result<(), crate::fault::Fault> {
    crate::disk::write_atomic(file, paper.html(lang).as_bytes())?;
    say_line(&coach(lang, &Coach::SvgSaved { file: file.display().to_string() }));
    Ok(())
}

fn data(lang: Lang, topic: Topic, paper: &Paper) -> Value {
    let mut data = json!({ "topic": topic.as_str(), "lang": lang.code() });
    if let (Value::Object(data), Ok(Value::Object(paper))) = (&mut data, serde_json::to_value(paper)) {
        data.extend(paper);
    }
    data
}

fn list(context: &Context) -> Done {
    let lang = context.lang;
    if context.common.json {
        let row = |topic: Topic| json!({ "topic": topic.as_str(), "title": words(lang, topic).title });
        print_line(&json!({ "schema": 1, "cards": Topic::ALL.map(row) }));
        return Ok(Outcome::Ok);
    }
    let width = Topic::ALL.iter().map(|topic| topic.as_str().len()).max().unwrap_or(0);
    for topic in Topic::ALL {
        print_out(&format!("{:width$}  {}", topic.as_str(), words(lang, topic).title));
    }
    Ok(Outcome::Ok)
}
