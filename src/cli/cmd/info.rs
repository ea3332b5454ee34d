//! `info`: the intake sheet of one device.

use super::list::{print_out, say_line};
use crate::cli::Done;
use crate::cli::context::Context;
use crate::cli::places::Places;
use crate::cli::show::{print_line, virtual_banner};
use crate::device::intake;
use crate::event::Outcome;
use serde_json::{Value, json};

pub async fn run(context: &Context) -> Done {
    let eyes = context.eyes()?;
    let device = context.device(&eyes).await?;
    let mut sheet = intake(&eyes, &device).await?;
    sheet.facts.insert("station".into(), json!(Places::of(context)?.of_device(&device)));
    if context.common.json {
        print_line(&json!({ "schema": 1, "info": sheet.facts }));
        return Ok(Outcome::Ok);
    }
    let width = sheet.facts.keys().map(String::len).max().unwrap_or(0).min(36);
    for (key, value) in &sheet.facts {
        let shown = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        print_out(&format!("{key:width$}  {shown}"));
    }
    if device.is_virtual {
        say_line(&virtual_banner(context.lang));
    }
    Ok(Outcome::Ok)
}
