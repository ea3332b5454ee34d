//! The words around a support bundle.

use super::Lang;

/// What stands above the list of what is inside.
pub fn inside(lang: Lang, file: &str) -> String {
    match lang {
        Lang::En => format!("Support bundle: {file}. Numbers and names in it are shortened. Inside:"),
        Lang::Nl => format!("Bundel voor hulp: {file}. Nummers en namen erin zijn ingekort. Inhoud:"),
    }
}

/// What a person does before sending it.
pub fn look(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "Look through it before you send it: only you know what else is private.",
        Lang::Nl => "Kijk het door voordat je het verstuurt: alleen jij weet wat er nog meer privé is.",
    }
}
