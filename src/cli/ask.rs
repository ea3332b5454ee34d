//! Questions to a person, and the consents that come of them.

use super::show::wrap::COLUMNS;
use crate::device::{Consent, Deed, Given, Identity};
use crate::fault::{Code, Fault};
use crate::say::{self, Lang, Text};
use std::io::{BufRead, IsTerminal, Write};

/// Asks on the terminal; the answer without its newline.
fn prompt(question: &str) -> Result<String, Fault> {
    if !std::io::stdin().is_terminal() {
        return Err(Fault::new(Code::ConsentMissing, "no terminal to ask on"));
    }
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{question}");
    let _ = err.flush();
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|e| Fault::new(Code::NotATerminal, e.to_string()))?;
    Ok(line)
}

/// Did a person on the terminal type exactly `wanted`?
pub fn agrees(question: &str, wanted: &str) -> Result<bool, Fault> {
    Ok(prompt(question)?.trim() == wanted)
}

/// Consent to a deed: from the option if it was given, else from a question on the terminal.
pub fn consent(lang: Lang, who: &Identity, deed: Deed, option: Option<&str>) -> Result<Consent, Fault> {
    if let Some(name) = option {
        return Consent::from_person(who, deed, &Given::Named(name));
    }
    let name = who.title();
    let ecid = who.ecid.map(|e| e.to_string()).unwrap_or_default();
    let warning = match &deed {
        Deed::Erase { .. } => Text::EraseWarning { name, ecid },
        Deed::Update { .. } => Text::UpdateWarning { name, ecid },
        Deed::PutBack => Text::RestoreBackWarning { name },
    };
    let word = if matches!(deed, Deed::Update { .. }) { Text::UpdateWord } else { Text::ConsentWord };
    let wanted = say::text(lang, &word);
    let type_it = Text::EraseTypeToConfirm { word: wanted.clone() };
    let warning = say::wrapped(&say::text(lang, &warning), COLUMNS).join("\n");
    let question = format!("{warning}\n{}", say::text(lang, &type_it));
    let typed = prompt(&question)?;
    Consent::from_person(who, deed, &Given::Typed { word: &typed, wanted: &wanted })
}
