//! The words of an intake sheet: what a line is called, and what the words on it mean.
//!
//! A word of a device that is not known here is shown as it came: better a strange word than a wrong one.

use super::Lang;
use crate::event::{Field, Group, Subject};

/// One row of a table with both languages.
fn pick(lang: Lang, (en, nl): (&'static str, &'static str)) -> &'static str {
    match lang {
        Lang::En => en,
        Lang::Nl => nl,
    }
}

pub fn group(lang: Lang, group: Group) -> &'static str {
    pick(
        lang,
        match group {
            Group::Device => ("Device", "Toestel"),
            Group::Numbers => ("Numbers", "Nummers"),
            Group::System => ("System", "Systeem"),
            Group::Locks => ("Locks and owner", "Sloten en eigenaar"),
            Group::Radio => ("SIM and modem", "Simkaart en modem"),
            Group::Battery => ("Battery", "Batterij"),
            Group::Crashes => ("Crashes", "Vastlopers"),
        },
    )
}

pub fn subject(lang: Lang, subject: Subject) -> &'static str {
    pick(
        lang,
        match subject {
            Subject::Parts => ("Parts and identity", "Onderdelen en identiteit"),
            Subject::System => ("System software", "Systeemsoftware"),
            Subject::Locks => ("Locks, owner and trust", "Sloten, eigenaar en vertrouwen"),
            Subject::Rest => ("What changes with use", "Wat bij gebruik verandert"),
        },
    )
}

/// What a line is called.
pub fn field(lang: Lang, field: Field) -> &'static str {
    pick(
        lang,
        match field {
            Field::Name => ("Name", "Naam"),
            Field::Model => ("Model", "Model"),
            Field::ProductType => ("Product type", "Producttype"),
            Field::ModelNumber => ("Model number", "Modelnummer"),
            Field::SoldAs => ("Sold as", "Verkocht als"),
            Field::Region => ("Region", "Regio"),
            Field::Color => ("Colour code", "Kleurcode"),
            Field::Capacity => ("Capacity", "Capaciteit"),
            Field::Free => ("Free", "Vrij"),
            Field::Serial => ("Serial number", "Serienummer"),
            Field::Imei => ("IMEI", "IMEI"),
            Field::Imei2 => ("Second IMEI", "Tweede IMEI"),
            Field::Meid => ("MEID", "MEID"),
            Field::Udid => ("UDID", "UDID"),
            Field::Ecid => ("ECID", "ECID"),
            Field::Board => ("Board serial", "Serienummer printplaat"),
            Field::Mode => ("Mode on arrival", "Stand bij aankomst"),
            Field::Version => ("System", "Systeem"),
            Field::Build => ("Build", "Build"),
            Field::Paired => ("Trusts this computer", "Vertrouwt deze computer"),
            Field::Activation => ("Activation", "Activering"),
            Field::FindMy => ("Find My", "Zoek mijn"),
            Field::Supervised => ("Supervised", "Onder toezicht"),
            Field::Organisation => ("Organisation", "Organisatie"),
            Field::SetupDone => ("Setup finished", "Configuratie klaar"),
            Field::Sim => ("SIM card", "Simkaart"),
            Field::BasebandAlive => ("Modem answers", "Modem antwoordt"),
            Field::BasebandVersion => ("Modem firmware", "Modemfirmware"),
            Field::BatteryPercent => ("Charge", "Lading"),
            Field::BatteryHealth => ("Battery health", "Batterijconditie"),
            Field::BatteryCycles => ("Charge cycles", "Laadcycli"),
            Field::BatterySerial => ("Battery serial", "Serienummer batterij"),
            Field::Panics => ("System crashes", "Systeemcrashes"),
            Field::NewestPanic => ("Newest crash", "Nieuwste crash"),
        },
    )
}

pub fn yes(lang: Lang, yes: bool) -> &'static str {
    pick(lang, if yes { ("yes", "ja") } else { ("no", "nee") })
}

pub fn on(lang: Lang, on: bool) -> &'static str {
    pick(lang, if on { ("on", "aan") } else { ("off", "uit") })
}

/// What the words of a device mean; none: it is shown as it came.
pub fn word(lang: Lang, field: Field, word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(of, known, ..)| *of == field && *known == word).map(|(.., en, nl)| pick(lang, (*en, *nl)))
}

/// Words with their meaning; where a language has no better word it keeps the device's.
const WORDS: &[(Field, &str, &str, &str)] = &[
    (Field::SoldAs, "new", "sold new", "nieuw verkocht"),
    (Field::SoldAs, "refurbished", "refurbished by Apple", "gereviseerd door Apple"),
    (Field::SoldAs, "replacement", "replacement device", "vervangend toestel"),
    (Field::SoldAs, "engraved", "engraved for its buyer", "gegraveerd voor de koper"),
    (Field::Activation, "Activated", "activated", "geactiveerd"),
    (Field::Activation, "FactoryActivated", "activated at the factory", "in de fabriek geactiveerd"),
    (Field::Activation, "WildcardActivated", "activated without a SIM", "zonder simkaart geactiveerd"),
    (Field::Activation, "Unactivated", "not activated", "niet geactiveerd"),
    (Field::Sim, "kCTSIMSupportSIMStatusReady", "in, and ready", "zit erin, klaar voor gebruik"),
    (Field::Sim, "kCTSIMSupportSIMStatusNotInserted", "not inserted", "zit er niet in"),
    (Field::Sim, "kCTSIMSupportSIMStatusNotReady", "in, not ready", "zit erin, niet klaar"),
    (Field::Sim, "kCTSIMSupportSIMStatusPINLocked", "asks for its PIN", "vraagt om de pincode"),
    (Field::Sim, "kCTSIMSupportSIMStatusPUKLocked", "asks for its PUK", "vraagt om de pukcode"),
    (Field::Mode, "normal", "normal: its system runs", "normaal: het systeem draait"),
    (Field::Mode, "recovery", "recovery mode", "herstelmodus"),
    (Field::Mode, "dfu", "DFU: nothing runs", "DFU: er draait niets"),
    (Field::Mode, "restore", "in the middle of a restore", "midden in een herstel"),
];

/// The sentences around a sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    Title,
    Lead,
    Unknown,
    Label,
    LostMode,
    Remarks,
    Signed,
    Saved,
    CompareTitle,
    NoDifference,
    Before,
    Now,
    NotComparable,
    Line,
}

impl Around {
    pub const ALL: [Around; 14] = [
        Around::Title,
        Around::Lead,
        Around::Unknown,
        Around::Label,
        Around::LostMode,
        Around::Remarks,
        Around::Signed,
        Around::Saved,
        Around::CompareTitle,
        Around::NoDifference,
        Around::Before,
        Around::Now,
        Around::NotComparable,
        Around::Line,
    ];
}

pub fn around(lang: Lang, key: Around) -> &'static str {
    pick(
        lang,
        match key {
            Around::Title => ("Intake sheet", "Intakeblad"),
            Around::Lead => (
                "What the device told of itself on arrival. What stands here was read, not judged.",
                "Wat het toestel bij aankomst over zichzelf vertelde. Het is gelezen, niet beoordeeld.",
            ),
            Around::Unknown => ("Not known", "Niet bekend"),
            Around::Label => ("Label", "Etiket"),
            Around::LostMode => ("Lost Mode (what the screen says)", "Verloren-modus (wat het scherm zegt)"),
            Around::Remarks => ("Remarks", "Opmerkingen"),
            Around::Signed => ("Date and signature", "Datum en handtekening"),
            Around::Saved => ("Sheet saved", "Blad bewaard"),
            Around::CompareTitle => ("What changed", "Wat er veranderde"),
            Around::NoDifference => {
                ("Nothing that both sheets know has changed.", "Niets van wat op beide bladen bekend is, is veranderd.")
            }
            Around::Before => ("Before", "Toen"),
            Around::Now => ("Now", "Nu"),
            Around::NotComparable => ("Known on one sheet only", "Maar op één blad bekend"),
            Around::Line => ("Line", "Regel"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_say_everything_in_their_own_words() {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        pairs.extend(Group::ALL.map(|g| (group(Lang::En, g), group(Lang::Nl, g))));
        pairs.extend(Subject::ALL.iter().map(|s| (subject(Lang::En, *s), subject(Lang::Nl, *s))));
        pairs.extend(Field::ALL.iter().map(|f| (field(Lang::En, *f), field(Lang::Nl, *f))));
        pairs.extend(Around::ALL.map(|a| (around(Lang::En, a), around(Lang::Nl, a))));
        pairs.extend(WORDS.iter().map(|(_, _, en, nl)| (*en, *nl)));
        pairs.extend([(yes(Lang::En, true), yes(Lang::Nl, true)), (on(Lang::En, false), on(Lang::Nl, false))]);
        // Names that are the same in every language.
        let same = ["Model", "IMEI", "MEID", "UDID", "ECID", "Build"];
        for (en, nl) in pairs {
            assert!(!en.trim().is_empty() && !nl.trim().is_empty(), "{en:?} {nl:?}");
            assert_eq!(en == nl, same.contains(&en), "{en:?} {nl:?}");
        }
        assert_eq!(word(Lang::En, Field::Sim, "kCTSomethingNew"), None);
        assert_eq!(word(Lang::En, Field::Sim, "new"), None, "a word belongs to its line");
    }
}
