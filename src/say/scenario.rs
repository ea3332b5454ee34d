//! What `demo --scenario` says between the programs that it runs.

use super::Lang;

/// The four situations of a forgotten passcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A backup, Find My, and the account's password.
    BackupAndPassword,
    /// A computer that it trusts, an older system, no Find My.
    TrustedComputer,
    /// No backup; the account's password is known.
    NoBackup,
    /// The account is lost too.
    AccountLost,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    Title(Scenario),
    Situation(Scenario),
    /// The program that runs now.
    Runs(&'a str),
    MadeBackup,
    Forgotten,
    OwnerErases,
    OwnerSignsIn,
    DaysLater,
    Hands,
    /// So many files are there again, byte for byte.
    Back {
        files: u64,
    },
    /// It was erased once, runs this and opens.
    Works {
        version: &'a str,
    },
    NothingErased,
    /// `demo --shop`.
    Shop,
    ShopPerson,
    ShopDone {
        devices: usize,
    },
}

impl Scenario {
    pub const ALL: &'static [Scenario] =
        &[Scenario::BackupAndPassword, Scenario::TrustedComputer, Scenario::NoBackup, Scenario::AccountLost];

    /// The word of JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Scenario::BackupAndPassword => "backup-and-password",
            Scenario::TrustedComputer => "trusted-computer",
            Scenario::NoBackup => "no-backup",
            Scenario::AccountLost => "account-lost",
        }
    }
}

pub fn line(lang: Lang, line: &Line<'_>) -> String {
    match lang {
        Lang::En => en(line),
        Lang::Nl => nl(line),
    }
}

fn en(line: &Line<'_>) -> String {
    match line {
        Line::Title(Scenario::BackupAndPassword) => "A. A backup, Find My is on, the password is known".into(),
        Line::Title(Scenario::TrustedComputer) => "B. A computer that it trusts, and Find My is off".into(),
        Line::Title(Scenario::NoBackup) => "C. No backup; the account's password is known".into(),
        Line::Title(Scenario::AccountLost) => "D. The passcode is lost, and the account too".into(),
        Line::Situation(Scenario::BackupAndPassword) => {
            "A newer iPhone that was backed up here. It is online and erases itself on its screen.".into()
        }
        Line::Situation(Scenario::TrustedComputer) => {
            "An older iPhone that was unlocked since it started: this computer can still back it up.".into()
        }
        Line::Situation(Scenario::NoBackup) => {
            "An iPhone that no computer knows. What is only on it will be lost; what is in the account comes back."
                .into()
        }
        Line::Situation(Scenario::AccountLost) => {
            "The same without the password: an erase now would end at a lock that nobody here opens.".into()
        }
        Line::Runs(command) => format!("$ {command}"),
        Line::MadeBackup => "Last month the passcode was still known.".into(),
        Line::Forgotten => "Today nobody knows the passcode. The answers to the questions:".into(),
        Line::OwnerErases => "The owner erases it on its screen, with the account's password.".into(),
        Line::OwnerSignsIn => "It asks for the owner's account. The owner signs in.".into(),
        Line::DaysLater => "Six days later Apple has given the account back. The answers now:".into(),
        Line::Hands => "The keys are pressed by the bench, as the coach asks.".into(),
        Line::Back { files } => format!("All {files} files are back, byte for byte, and no passcode is set."),
        Line::Works { version } => format!("It runs {version}, was erased once, and opens."),
        Line::Shop => {
            "Eight virtual devices are on the bench. Three of them fail once: a cable that comes out, another in \
             the middle of the system image, a device that ends with error 100. They are tried again by themselves."
                .into()
        }
        Line::ShopPerson => {
            "One was restarted and not unlocked: it waits for a person, who hears of it by a hook, types the passcode, pulls \
             the cable and puts it back."
                .into()
        }
        Line::ShopDone { devices } => format!("All {devices} devices run what Apple offers for them."),
        Line::NothingErased => "Nothing was erased: the phone holds what it held.".into(),
    }
}

fn nl(line: &Line<'_>) -> String {
    match line {
        Line::Title(Scenario::BackupAndPassword) => "A. Een reservekopie, Zoek mijn aan, wachtwoord bekend".into(),
        Line::Title(Scenario::TrustedComputer) => "B. Een computer die het vertrouwt, en Zoek mijn uit".into(),
        Line::Title(Scenario::NoBackup) => "C. Geen reservekopie; het wachtwoord is bekend".into(),
        Line::Title(Scenario::AccountLost) => "D. De toegangscode is kwijt, en het account ook".into(),
        Line::Situation(Scenario::BackupAndPassword) => {
            "Een nieuwere iPhone met een reservekopie hier. Hij is online en wist zichzelf op het scherm.".into()
        }
        Line::Situation(Scenario::TrustedComputer) => {
            "Een oudere iPhone die na het aangaan ontgrendeld is: deze computer kan nog een kopie maken.".into()
        }
        Line::Situation(Scenario::NoBackup) => {
            "Een iPhone die geen computer kent. Wat alleen daarop staat gaat verloren; wat in het account staat komt \
             terug."
                .into()
        }
        Line::Situation(Scenario::AccountLost) => {
            "Hetzelfde zonder wachtwoord: nu wissen eindigt bij een slot dat hier niemand opent.".into()
        }
        Line::Runs(command) => format!("$ {command}"),
        Line::MadeBackup => "Vorige maand was de toegangscode nog bekend.".into(),
        Line::Forgotten => "Vandaag weet niemand de toegangscode. De antwoorden op de vragen:".into(),
        Line::OwnerErases => "De eigenaar wist hem op het scherm, met het wachtwoord van het account.".into(),
        Line::OwnerSignsIn => "Hij vraagt om het account van de eigenaar. De eigenaar logt in.".into(),
        Line::DaysLater => "Zes dagen later heeft Apple het account teruggegeven. De antwoorden nu:".into(),
        Line::Hands => "De proefbank drukt de knoppen in, zoals de coach het vraagt.".into(),
        Line::Back { files } => {
            format!("Alle {files} bestanden zijn terug, byte voor byte, en er is geen toegangscode meer.")
        }
        Line::Works { version } => format!("Hij draait {version}, is één keer gewist, en gaat open."),
        Line::Shop => {
            "Er liggen acht virtuele toestellen op de proefbank. Drie daarvan mislukken één keer: een kabel die losschiet, een \
             andere midden in de systeemimage, een toestel dat met fout 100 stopt. Die worden vanzelf opnieuw geprobeerd."
                .into()
        }
        Line::ShopPerson => {
            "Eén is herstart en niet ontgrendeld: dat wacht op iemand, die het via een hook hoort, de code intypt, de kabel \
             eruit trekt en er weer in doet."
                .into()
        }
        Line::ShopDone { devices } => format!("Alle {devices} toestellen draaien wat Apple ervoor aanbiedt."),
        Line::NothingErased => "Er is niets gewist: op de telefoon staat wat erop stond.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_in_both_languages() {
        let mut lines: Vec<Line<'_>> =
            Scenario::ALL.iter().flat_map(|each| [Line::Title(*each), Line::Situation(*each)]).collect();
        lines.extend([Line::MadeBackup, Line::Forgotten, Line::OwnerErases, Line::OwnerSignsIn, Line::DaysLater]);
        lines.extend([Line::Hands, Line::Back { files: 3 }, Line::Works { version: "27.0" }, Line::NothingErased]);
        lines.extend([Line::Shop, Line::ShopPerson, Line::ShopDone { devices: 8 }]);
        for each in lines {
            let (en, nl) = (line(Lang::En, &each), line(Lang::Nl, &each));
            assert!(en != nl && en.len() > 20 && nl.len() > 20, "{en} {nl}");
        }
    }
}
