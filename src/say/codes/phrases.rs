//! The words around an explained code: labels of a card, what joins its parts, and the rules of stopping.

use crate::fault::Retry;
use crate::say::Lang;

/// What stands before a line of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    When,
    Means,
    Cause,
    Hint,
    Whose,
    Do,
    Retry,
    Stop,
    Exit,
    Source,
    Near,
    Place,
    /// Under the label above.
    Blank,
}

pub fn label(lang: Lang, label: Label) -> &'static str {
    let (en, nl) = match label {
        Label::When => ("when", "wanneer"),
        Label::Means => ("means", "wat"),
        Label::Cause => ("cause", "reden"),
        Label::Hint => ("hint", "hint"),
        Label::Whose => ("whose", "oorzaak"),
        Label::Do => ("do", "doen"),
        Label::Retry => ("retry", "opnieuw"),
        Label::Stop => ("stop", "stop"),
        Label::Exit => ("exit", "exitcode"),
        Label::Source => ("source", "bron"),
        Label::Near => ("near", "ernaast"),
        Label::Place => ("place", "plek"),
        Label::Blank => ("", ""),
    };
    match lang {
        Lang::En => en,
        Lang::Nl => nl,
    }
}

/// The column of the labels, as failures have it.
pub fn label_width(lang: Lang) -> usize {
    match lang {
        Lang::En => 8,
        Lang::Nl => 9,
    }
}

/// A hint is always marked as one.
pub fn uncertain(lang: Lang, hint: &str) -> String {
    match lang {
        Lang::En => format!("(not certain) {hint}"),
        Lang::Nl => format!("(niet zeker) {hint}"),
    }
}

/// A meaning that only holds where the device's text has these words.
pub fn text_has(lang: Lang, text: &str) -> String {
    match lang {
        Lang::En => format!("where its text has \"{text}\""),
        Lang::Nl => format!("als er \"{text}\" in de tekst staat"),
    }
}

pub fn otherwise(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "otherwise",
        Lang::Nl => "anders",
    }
}

pub fn as_above(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "as above",
        Lang::Nl => "als hierboven",
    }
}

/// Between two courses.
pub fn then(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "; then ",
        Lang::Nl => "; daarna ",
    }
}

/// Whether to try again, without its label.
pub fn again(lang: Lang, retry: Retry) -> &'static str {
    let line = crate::say::retry(lang, retry).trim_start();
    line.strip_prefix(label(lang, Label::Retry)).unwrap_or(line).trim_start()
}

/// What the percentage tells at which it failed.
pub fn place_rule(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "Before 5 % it is mostly the signature or the mode of the device; beyond 90 % the modem, the Secure Enclave or a \
             part that was replaced."
        }
        Lang::Nl => {
            "Voor de 5 % is het meestal de handtekening of de modus van het toestel; na 90 % de modem, de Secure Enclave of \
             een vervangen onderdeel."
        }
    }
}

/// When to stop trying.
pub fn stop_rule(lang: Lang, hardware: bool) -> &'static str {
    match (lang, hardware) {
        (Lang::En, false) => {
            "The same code at the same percentage on two computers is likely hardware; a percentage that varies is rather \
             the cable or power."
        }
        (Lang::En, true) => {
            "Stop after two tries. The same code at the same percentage on two computers is likely hardware."
        }
        (Lang::Nl, false) => {
            "Dezelfde code bij hetzelfde percentage op twee computers is waarschijnlijk hardware; wisselt het percentage, \
             dan eerder kabel of voeding."
        }
        (Lang::Nl, true) => {
            "Stop na twee pogingen. Dezelfde code bij hetzelfde percentage op twee computers is waarschijnlijk hardware."
        }
    }
}
