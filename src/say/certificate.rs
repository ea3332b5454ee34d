//! The words of an erase certificate. It is read by people who have to answer for a device, so nothing in it promises more
//! than was seen.

use super::Lang;

macro_rules! lines {
    ($($name:ident = $en:literal, $nl:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Line { $($name,)* }

        impl Line {
            pub const ALL: &'static [Line] = &[$(Line::$name,)*];
        }

        pub fn line(lang: Lang, line: Line) -> &'static str {
            match (lang, line) {
                $((Lang::En, Line::$name) => $en,
                (Lang::Nl, Line::$name) => $nl,)*
            }
        }
    };
}

lines! {
    Title = "Record of an erased device", "Verklaring van een gewist toestel";
    Lead = "What was done to erase this device, and what was seen. The fields are those of NIST SP 800-88 Rev. 1, \
        appendix G.",
        "Wat er is gedaan om dit toestel te wissen, en wat er is gezien. De velden zijn die van NIST SP 800-88 Rev. 1, \
        bijlage G.";
    Medium = "The device", "Het toestel";
    Manufacturer = "Maker", "Fabrikant";
    Model = "Model", "Model";
    Serial = "Serial number", "Serienummer";
    Ecid = "ECID", "ECID";
    Udid = "UDID", "UDID";
    MediaType = "Kind of storage", "Soort opslag";
    BuiltInFlash = "flash memory, built in", "flashgeheugen, ingebouwd";
    PropertyNumber = "Property number", "Inventarisnummer";
    Source = "Taken from (person or place)", "Afkomstig van (persoon of plaats)";
    ConfidentialityBefore = "Confidentiality before", "Vertrouwelijkheid vooraf";
    Erasure = "The erasure", "Het wissen";
    Category = "Category", "Categorie";
    Method = "Method", "Methode";
    CryptographicErase = "cryptographic erase: the restore of the device's own system destroys the keys of the data",
        "cryptografisch wissen: het herstel van het eigen systeem vernietigt de sleutels van de gegevens";
    Tool = "Program", "Programma";
    System = "System installed", "Geïnstalleerd systeem";
    Began = "Job began", "Begin van de klus";
    Ended = "Job ended", "Einde van de klus";
    Verification = "What was seen", "Wat er is gezien";
    SawEnd = "The device itself said that its restore had ended well.",
        "Het toestel meldde zelf dat het herstel goed was geëindigd.";
    ConcludedEnd = "The restore ended while this program was not listening; that it ended was concluded from the device \
        as it came back.",
        "Het herstel eindigde terwijl dit programma niet meeluisterde; dat het was geëindigd, is afgeleid uit het \
        toestel zoals het terugkwam.";
    SawReturn = "Afterwards the same device, by its ECID, was seen running a system.",
        "Daarna is hetzelfde toestel, aan zijn ECID herkend, met een draaiend systeem gezien.";
    NotRead = "The storage itself was not read back.", "De opslag zelf is niet teruggelezen.";
    Backup = "Copies", "Kopieën";
    BackupExists = "This job made a backup before it erased. That copy still holds the data:",
        "Deze klus maakte voor het wissen een reservekopie. Daarin staan de gegevens nog:";
    BackupNone = "This job made no backup. Copies made elsewhere (iCloud, a computer) are not touched by it.",
        "Deze klus maakte geen reservekopie. Kopieën op een andere plek (iCloud, een computer) blijven bestaan.";
    After = "To be filled in", "Zelf in te vullen";
    ConfidentialityAfter = "Confidentiality afterwards", "Vertrouwelijkheid achteraf";
    Destination = "Where the device goes", "Bestemming van het toestel";
    Person = "Name and title", "Naam en functie";
    Place = "Place, date, telephone", "Plaats, datum, telefoon";
    Signature = "Signature", "Handtekening";
    Proof = "To check it", "Om het na te gaan";
    Job = "Job", "Klus";
    Lines = "Lines of the journal", "Regels van het logboek";
    LastHash = "Last hash (SHA-256)", "Laatste hash (SHA-256)";
    Key = "Key (ed25519)", "Sleutel (ed25519)";
    NoCertification = "This record is no certification, and nobody has certified the program that wrote it. `herstel report \
        verify FILE` checks the file that belongs to it.",
        "Dit is geen certificering, en het programma dat dit schreef is door niemand gecertificeerd. `herstel report \
        verify BESTAND` controleert het bestand dat erbij hoort.";
    Saved = "Record saved", "Verklaring bewaard";
    PublicKey = "Signed with the key", "Ondertekend met de sleutel";
    Genuine = "Nothing in this file was changed since it was signed, and its record says what its journal says.",
        "Aan dit bestand is sinds de ondertekening niets veranderd, en de verklaring zegt wat het logboek zegt.";
    OwnKey = "It was signed by this computer.", "Het is door deze computer ondertekend.";
    GivenKey = "It was signed with the key that you gave.", "Het is ondertekend met de sleutel die je gaf.";
    StrangeKey = "Whose key that is, nothing here can tell. Compare it with the one that the signer gave you, or give it \
        with --key.",
        "Van wie die sleutel is, valt hier niet te zien. Vergelijk hem met de sleutel die je van de ondertekenaar kreeg, \
        of geef hem op met --key.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_say_everything_in_their_own_words() {
        let same = ["Model", "ECID", "UDID"];
        for each in Line::ALL {
            let (en, nl) = (line(Lang::En, *each), line(Lang::Nl, *each));
            assert!(
                !en.trim().is_empty() && !nl.trim().is_empty() && !en.contains("  ") && !nl.contains("  "),
                "{each:?}"
            );
            assert_eq!(en == nl, same.contains(&en), "{each:?}");
        }
    }
}
