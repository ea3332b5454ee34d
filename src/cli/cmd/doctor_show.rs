//! How `doctor` reads: what blocks first, then warnings, then what is unknown; what is good in a line each.

use super::doctor::short;
use super::list::{print_out, say_line};
use crate::cli::context::Context;
use crate::cli::show::{self, wrap::COLUMNS};
use crate::doctor::Diagnosis;
use crate::event::Verdict;
use crate::say::{self, Lang, Text};

/// Evidence shown of one finding; all of it is in the JSON.
const SHOWN: usize = 6;

pub fn watching(lang: Lang, seconds: u64) {
    say_line(&say::text(lang, &Text::DoctorWatching { seconds }));
}

pub fn print(context: &Context, found: &[Diagnosis]) {
    let lang = context.lang;
    for verdict in [Verdict::Blocking, Verdict::Warning, Verdict::Unknown] {
        for one in found.iter().filter(|d| d.verdict == verdict) {
            long(lang, one).iter().for_each(|line| print_out(line));
        }
    }
    let good: Vec<&Diagnosis> = found.iter().filter(|d| d.verdict == Verdict::Good).collect();
    let width = good.iter().map(|d| d.exam.as_str().len()).max().unwrap_or(0);
    for one in good {
        short_line(lang, one, width).iter().for_each(|line| print_out(line));
    }
    let away: Vec<&str> =
        found.iter().filter(|d| d.verdict == Verdict::NotApplicable).map(|d| d.exam.as_str()).collect();
    if !away.is_empty() {
        let text = format!("{}: {}", say::verdict(lang, Verdict::NotApplicable), away.join(", "));
        for (at, piece) in say::wrapped(&text, COLUMNS - 4).iter().enumerate() {
            print_out(&format!("{}{piece}", if at == 0 { "-   " } else { "    " }));
        }
    }
    if context.is_virtual() {
        say_line(&show::virtual_banner(lang));
    }
    let count = |wanted: Verdict| found.iter().filter(|d| d.verdict == wanted).count();
    let text = match (count(Verdict::Blocking), count(Verdict::Warning)) {
        (0, 0) => Text::DoctorGood,
        (blocking, warnings) => Text::DoctorBad { blocking, warnings },
    };
    say_line(&say::text(lang, &text));
}

fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Blocking => "!!",
        Verdict::Warning => "! ",
        Verdict::Unknown => "? ",
        Verdict::Good => "ok",
        Verdict::NotApplicable => "- ",
    }
}

/// The question, what is wrong, where it was seen, what helps.
fn long(lang: Lang, one: &Diagnosis) -> Vec<String> {
    let mut out = vec![format!("{}  {} ({})", sign(one.verdict), one.exam.as_str(), say::verdict(lang, one.verdict))];
    let add = |text: &str, out: &mut Vec<String>| {
        out.extend(say::wrapped(text, COLUMNS - 4).into_iter().map(|l| format!("    {l}")));
    };
    let item = |text: &str, out: &mut Vec<String>| {
        let pieces = say::wrapped(text, COLUMNS - 6).into_iter().enumerate();
        out.extend(pieces.map(|(at, l)| format!("    {} {l}", if at == 0 { '-' } else { ' ' })));
    };
    let number = one.exam.question();
    add(&format!("{number}. {}", say::doctor::question(lang, number)), &mut out);
    let advice = one.cause.map(|cause| say::doctor::cause(lang, cause));
    if let Some(advice) = &advice {
        add(advice.what, &mut out);
    }
    for seen in one.evidence.iter().take(SHOWN) {
        item(&format!("{}: {}", short(&seen.place), seen.seen), &mut out);
    }
    if let Some(more) = one.evidence.len().checked_sub(SHOWN + 1) {
        item(&say::text(lang, &Text::DoctorMore { count: more + 1 }), &mut out);
    }
    if let Some(advice) = &advice {
        add(advice.next, &mut out);
    }
    // A command stays in one piece, to be copied.
    out.extend(one.commands.iter().map(|command| format!("        {command}")));
    out.push(String::new());
    out
}

fn short_line(lang: Lang, one: &Diagnosis, width: usize) -> Vec<String> {
    let text = match one.cause {
        Some(cause) => say::doctor::cause(lang, cause).what.to_owned(),
        None => one.evidence.first().map_or(String::new(), |e| format!("{}: {}", short(&e.place), e.seen)),
    };
    let room = COLUMNS.saturating_sub(width + 6).max(20);
    let head = |at: usize| if at == 0 { format!("ok  {:width$}", one.exam.as_str()) } else { " ".repeat(width + 4) };
    let mut lines: Vec<String> =
        say::wrapped(&text, room).iter().enumerate().map(|(at, piece)| format!("{}  {piece}", head(at))).collect();
    if one.cause.is_some() {
        lines.extend(one.commands.iter().map(|command| format!("{}  {command}", head(1))));
    }
    lines
}
