//! Cards: one printed page each, for a person who has lost a code and for the one behind the counter.
//!
//! A card is advice, ordered from cheap to dear, and never a promise: what a screen says goes before what a card
//! says, and what is not sure is said to be. The same warning closes every card, because people in trouble are who
//! swindlers look for. Cards hold no facts of a device; the table of waits is laid into its place by `report`.

use super::{Lang, cards_en, cards_nl};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Account,
    TwoFactor,
    RecoveryContact,
    SupportPin,
    Sim,
    ActivationLock,
    Lockout,
    Managed,
    BeforeRepair,
}

impl Topic {
    pub const ALL: [Topic; 9] = [
        Topic::Account,
        Topic::TwoFactor,
        Topic::RecoveryContact,
        Topic::SupportPin,
        Topic::Sim,
        Topic::ActivationLock,
        Topic::Lockout,
        Topic::Managed,
        Topic::BeforeRepair,
    ];

    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Topic::Account => "account",
            Topic::TwoFactor => "2fa",
            Topic::RecoveryContact => "recovery-contact",
            Topic::SupportPin => "support-pin",
            Topic::Sim => "sim",
            Topic::ActivationLock => "activation-lock",
            Topic::Lockout => "lockout",
            Topic::Managed => "managed",
            Topic::BeforeRepair => "before-repair",
        }
    }

    pub fn of(word: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.as_str() == word)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Card {
    pub title: &'static str,
    pub lead: &'static str,
    /// Heading and what stands below it.
    pub parts: &'static [(&'static str, Body)],
}

type Lines = &'static [&'static str];

#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// In this order.
    Steps(Lines),
    Points(Lines),
    /// To tick off.
    Boxes(Lines),
    Text(&'static str),
    Table(Lines, &'static [Lines]),
    /// Lines to write on: labels that share one, and what a device could fill in.
    Blanks(&'static [&'static [(&'static str, Fill)]]),
    /// The waits after wrong passcodes, and what the screen says.
    Waits,
}

/// What belongs behind a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// A person writes it.
    Pen,
    Model,
    Serial,
    Imei,
    System,
    Capacity,
    Battery,
}

pub fn card(lang: Lang, topic: Topic) -> Card {
    match lang {
        Lang::En => cards_en::card(topic),
        Lang::Nl => cards_nl::card(topic),
    }
}

/// What closes every card.
pub fn warning(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "Apple never asks for a password, a code or a recovery key: not on the phone, not by mail, not in a chat. Whoever does is not Apple. Type them only on your own device, or on a page of Apple that you opened yourself."
        }
        Lang::Nl => {
            "Apple vraagt nooit om een wachtwoord, een code of een herstelsleutel: niet aan de telefoon, niet per \
             mail, niet in een chat. Wie dat wel doet, is Apple niet. Typ ze alleen op je eigen toestel, of op een \
             pagina van Apple die je zelf hebt geopend."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text of a card, and its shape without the texts.
    fn taken_apart(card: Card) -> (Vec<&'static str>, Vec<String>) {
        let (mut texts, mut shape) = (vec![card.title, card.lead], Vec::new());
        for (heading, body) in card.parts {
            texts.push(heading);
            let (kind, lines): (&str, Vec<&'static str>) = match body {
                Body::Steps(lines) => ("steps", lines.to_vec()),
                Body::Points(lines) => ("points", lines.to_vec()),
                Body::Boxes(lines) => ("boxes", lines.to_vec()),
                Body::Text(text) => ("text", vec![*text]),
                Body::Table(head, rows) => ("table", [*head].iter().chain(*rows).copied().flatten().copied().collect()),
                Body::Blanks(rows) => {
                    let labels: Vec<_> = rows.iter().copied().flatten().collect();
                    shape.push(format!("{:?}", labels.iter().map(|(_, fill)| fill).collect::<Vec<_>>()));
                    ("blanks", labels.iter().map(|(label, _)| *label).collect())
                }
                Body::Waits => ("waits", Vec::new()),
            };
            shape.push(format!("{kind} {}", lines.len()));
            texts.extend(lines);
        }
        (texts, shape)
    }

    #[test]
    fn every_card_is_whole_in_both_languages() {
        // Words that both languages write alike.
        const SAME: [&str; 2] = ["", "IMEI"];
        for topic in Topic::ALL {
            let (en, en_shape) = taken_apart(card(Lang::En, topic));
            let (nl, nl_shape) = taken_apart(card(Lang::Nl, topic));
            assert_eq!(en_shape, nl_shape, "{topic:?}");
            assert!(en_shape.len() >= 2, "{topic:?}");
            for (en, nl) in en.iter().zip(&nl) {
                assert_eq!(en.is_empty(), nl.is_empty(), "{topic:?}: {en:?} {nl:?}");
                assert!(en != nl || SAME.contains(en), "{topic:?}: {en:?} is not in Dutch");
            }
        }
        assert_ne!(warning(Lang::En), warning(Lang::Nl));
    }

    #[test]
    fn sentences_end_and_name_topics_that_exist() {
        for topic in Topic::ALL {
            for lang in [Lang::En, Lang::Nl] {
                let card = card(lang, topic);
                assert!(card.lead.ends_with('.'), "{topic:?}: {}", card.lead);
                for (_, body) in card.parts {
                    let (Body::Steps(lines) | Body::Points(lines)) = body else { continue };
                    assert!(lines.iter().all(|line| line.ends_with(['.', '?', ')'])), "{topic:?}: {lines:#?}");
                }
                for text in taken_apart(card).0 {
                    for (at, mark) in text.match_indices("`herstel card ") {
                        let word = text[at + mark.len()..].split('`').next().unwrap();
                        let known = Topic::of(word.split(' ').next().unwrap());
                        assert!(known.is_some_and(|k| k != topic), "{topic:?} sends to {word:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_promises_a_way_round_a_lock() {
        const NEVER: [&str; 9] = [
            "guarantee",
            "garande",
            "gegarandeerd",
            "jailbreak",
            "crack the",
            "kraak",
            "always works",
            "omzeil",
            "unlocks",
        ];
        for topic in Topic::ALL {
            for text in [Lang::En, Lang::Nl].into_iter().flat_map(|lang| taken_apart(card(lang, topic)).0) {
                let small = text.to_lowercase();
                assert!(!NEVER.iter().any(|word| small.contains(word)), "{topic:?}: {text}");
            }
        }
    }

    #[test]
    fn the_warning_names_all_three_things() {
        for (lang, words) in
            [(Lang::En, ["password", "code", "recovery key"]), (Lang::Nl, ["wachtwoord", "code", "herstelsleutel"])]
        {
            assert!(words.iter().all(|word| warning(lang).contains(word)) && warning(lang).contains("Apple"));
        }
    }

    #[test]
    fn topics_are_typed_as_they_print() {
        for topic in Topic::ALL {
            assert_eq!(Topic::of(topic.as_str()), Some(topic));
        }
        assert_eq!(Topic::of("lock"), None);
    }
}
