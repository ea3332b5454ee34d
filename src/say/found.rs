//! What is wrong with a backup, in a sentence: one exhaustive match per language.
//!
//! Names of files are the device's words. Control characters in them are not shown, for a terminal would obey them.

use super::Lang;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundKind {
    FileAbsent,
    PlistDamaged,
    NotFinished,
    ManifestDamaged,
    BadFileId,
    RecordUnreadable,
    PayloadAbsent,
    NotAFile,
    PayloadSize,
    KeybagDamaged,
    Undecryptable,
    SizeDiffers,
    Lost,
    Altered,
    Unlisted,
    DigestsDamaged,
    Sealed,
    OldManifest,
    SnapshotLeft,
    NoDigests,
}

impl FoundKind {
    pub const ALL: &[FoundKind] = &[
        FoundKind::FileAbsent,
        FoundKind::PlistDamaged,
        FoundKind::NotFinished,
        FoundKind::ManifestDamaged,
        FoundKind::BadFileId,
        FoundKind::RecordUnreadable,
        FoundKind::PayloadAbsent,
        FoundKind::NotAFile,
        FoundKind::PayloadSize,
        FoundKind::KeybagDamaged,
        FoundKind::Undecryptable,
        FoundKind::SizeDiffers,
        FoundKind::Lost,
        FoundKind::Altered,
        FoundKind::Unlisted,
        FoundKind::DigestsDamaged,
        FoundKind::Sealed,
        FoundKind::OldManifest,
        FoundKind::SnapshotLeft,
        FoundKind::NoDigests,
    ];
}

/// A finding with what goes into its sentence; what a kind does not need is empty.
#[derive(Clone, Debug)]
pub struct Found {
    pub kind: FoundKind,
    /// A file, domain and path, or a word of the device.
    pub what: String,
    /// English, from below.
    pub why: String,
    /// Bytes, or files.
    pub expected: u64,
    pub found: u64,
}

/// One line for a terminal.
pub fn found(lang: Lang, found: &Found) -> String {
    let line = match lang {
        Lang::En => en(found),
        Lang::Nl => nl(found),
    };
    line.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn en(found: &Found) -> String {
    use FoundKind as K;
    let Found { what, why, expected, found: size, .. } = found;
    match found.kind {
        K::FileAbsent => format!("{what} is missing"),
        K::PlistDamaged => format!("{what} cannot be read: it {why}"),
        K::NotFinished => format!("the device never finished this backup (its state is \"{what}\")"),
        K::ManifestDamaged => format!("the list of files ({what}) is damaged: {why}"),
        K::BadFileId => format!("the list of files names \"{what}\", which is no name of a file in a backup"),
        K::RecordUnreadable => format!("the list of files does not say how large {what} is"),
        K::PayloadAbsent => format!("{what}: the content is missing"),
        K::NotAFile => format!("{what}: something that is no file stands in its place"),
        K::PayloadSize => format!("{what}: {size} bytes instead of {expected}"),
        K::KeybagDamaged => format!("the keys in {what} are damaged: {why}"),
        K::Undecryptable => format!("{what}: does not decrypt"),
        K::SizeDiffers => format!(
            "{what}: {size} bytes as the device sent it, {expected} in its list; it changed while it was backed up"
        ),
        K::Lost => format!("{what}: was received, and is gone"),
        K::Altered => format!("{what}: is not what was received"),
        K::Unlisted => format!("{size} files are there that nobody listed when the backup was made"),
        K::DigestsDamaged => format!("the list of digests ({what}) is damaged: {why}"),
        K::Sealed => "the list of files is encrypted; without the password nobody can say what belongs to it".into(),
        K::OldManifest => format!("made before iOS 10; its list of files ({what}) has a form that is not read here"),
        K::SnapshotLeft => format!("the device left its work folder ({what}) behind"),
        K::NoDigests => format!("there are no digests ({what}) to compare the contents with"),
    }
}

fn nl(found: &Found) -> String {
    use FoundKind as K;
    let Found { what, why, expected, found: size, .. } = found;
    match found.kind {
        K::FileAbsent => format!("{what} ontbreekt"),
        K::PlistDamaged => format!("{what} is niet te lezen: {why}"),
        K::NotFinished => format!("het toestel heeft deze kopie nooit afgemaakt (de status is \"{what}\")"),
        K::ManifestDamaged => format!("de bestandslijst ({what}) is beschadigd: {why}"),
        K::BadFileId => format!("de bestandslijst noemt \"{what}\"; zo heet geen bestand in een reservekopie"),
        K::RecordUnreadable => format!("de bestandslijst zegt niet hoe groot {what} is"),
        K::PayloadAbsent => format!("{what}: de inhoud ontbreekt"),
        K::NotAFile => format!("{what}: op zijn plek staat iets wat geen bestand is"),
        K::PayloadSize => format!("{what}: {size} bytes in plaats van {expected}"),
        K::KeybagDamaged => format!("de sleutels in {what} zijn beschadigd: {why}"),
        K::Undecryptable => format!("{what}: is niet te ontsleutelen"),
        K::SizeDiffers => format!(
            "{what}: {size} bytes zoals het toestel het stuurde, {expected} volgens zijn lijst; het veranderde tijdens het kopiëren"
        ),
        K::Lost => format!("{what}: was ontvangen en is weg"),
        K::Altered => format!("{what}: is niet meer wat er ontvangen is"),
        K::Unlisted => format!("er staan {size} bestanden die bij het maken van de kopie niet geteld zijn"),
        K::DigestsDamaged => format!("de lijst met controlegetallen ({what}) is beschadigd: {why}"),
        K::Sealed => "de bestandslijst is versleuteld; zonder het wachtwoord kan niemand zeggen wat erbij hoort".into(),
        K::OldManifest => {
            format!("van vóór iOS 10; de bestandslijst ({what}) heeft een vorm die hier niet gelezen wordt")
        }
        K::SnapshotLeft => format!("het toestel heeft zijn werkmap ({what}) laten staan"),
        K::NoDigests => format!("er zijn geen controlegetallen ({what}) om de inhoud mee te vergelijken"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_a_sentence_in_both_languages_and_no_terminal_obeys_it() {
        assert_eq!(FoundKind::ALL.len(), FoundKind::NoDigests as usize + 1);
        for &kind in FoundKind::ALL {
            let it =
                Found { kind, what: "HomeDomain/\u{1b}[2Jx".into(), why: "is empty".into(), expected: 9, found: 5 };
            let (en, nl) = (found(Lang::En, &it), found(Lang::Nl, &it));
            assert!(en.len() > 12 && nl.len() > 12 && en != nl, "{en}");
            assert!(!en.contains('\u{1b}') && !nl.contains('\u{1b}'));
        }
    }
}
