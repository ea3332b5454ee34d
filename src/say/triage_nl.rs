//! De vragen van triage en de plannen, in het Nederlands.

use super::triage::{Asked, Label, Told};
use crate::event::{Choice, Clue, Question, WayOut};

pub(super) fn asked(question: Question) -> Asked {
    let (question, why) = match question {
        Question::Ownership => (
            "Van wie is het toestel, en mag je erover beslissen?",
            "Wie een vergrendeld toestel vindt, is nog niet de eigenaar. Voor iemand anders doen we hier niets.",
        ),
        Question::Problem => {
            ("Wat is er aan de hand?", "Elk probleem heeft zijn eigen weg, en op de meeste blijven de gegevens staan.")
        }
        Question::Managed => (
            "Wordt het beheerd door een bedrijf of school (\"Deze iPhone staat onder beheer van ...\" in Instellingen)?",
            "De beheerder kan de toegangscode eraf halen zonder te wissen. Na het wissen komt het toch weer onder beheer.",
        ),
        Question::PreviousCode => (
            "Is de toegangscode in de laatste 72 uur veranderd, en weet iemand de oude nog?",
            "Sinds iOS 17 opent de oude code het toestel nog 72 uur: er gaat niets verloren.",
        ),
        Question::Trusted => (
            "Heeft het toestel ooit een computer vertrouwd die er nog is?",
            "Oudere systemen laten zo'n computer een reservekopie maken zonder toegangscode.",
        ),
        Question::Unlocked => (
            "Is het ontgrendeld geweest sinds het voor het laatst aanging? (Bij een oproep staat de naam erbij, niet \
             alleen het nummer.)",
            "Tot de eerste ontgrendeling zijn de gegevens voor elke computer dicht. Start het dus niet opnieuw.",
        ),
        Question::Backup => (
            "Is er een reservekopie: in iCloud, op een Mac of pc, of hier?",
            "Kijk in Instellingen op andere toestellen van de eigenaar (naam, iCloud, Reservekopie), op iCloud.com, in \
             Finder of iTunes op elke computer, en met `herstel backups list`.",
        ),
        Question::FindMy => (
            "Staat Zoek mijn aan? (Dat zie je op iCloud.com/find en in de app Zoek mijn op andere toestellen van de \
             eigenaar.)",
            "Staat Zoek mijn aan, dan vraagt het toestel na elk wissen om het Apple Account van de eigenaar, hoe je ook \
             wist.",
        ),
        Question::Password => (
            "Is het wachtwoord van het Apple Account op het toestel bekend?",
            "Zonder dat blijft een gewist toestel met Zoek mijn op slot, en kom je niet bij wat in iCloud staat.",
        ),
        Question::Online => (
            "Heeft het verbinding met een netwerk, en biedt het scherm aan om te wissen (\"Code vergeten?\", \"Wis\")?",
            "Dan kan het zichzelf wissen met het wachtwoord van het account, zonder computer.",
        ),
        Question::WhoseAccount => (
            "Om wiens Apple Account vraagt het? (Op het scherm staat een hint zoals j*****@icloud.com.)",
            "Alleen de eigenaar van dat account kan het slot eraf halen, of Apple met een aankoopbewijs.",
        ),
    };
    Asked { question, why }
}

pub(super) fn subject(question: Question) -> &'static str {
    match question {
        Question::Ownership => "Van wie",
        Question::Problem => "Het probleem",
        Question::Managed => "Onder beheer",
        Question::PreviousCode => "Oude code bekend",
        Question::Trusted => "Vertrouwt een computer",
        Question::Unlocked => "Ontgrendeld sinds start",
        Question::Backup => "Reservekopie",
        Question::FindMy => "Zoek mijn",
        Question::Password => "Wachtwoord bekend",
        Question::Online => "Online, biedt wissen aan",
        Question::WhoseAccount => "Wiens account",
    }
}

pub(super) fn choice(choice: Choice) -> &'static str {
    match choice {
        Choice::Owner => "Het is van mij",
        Choice::OnBehalf => "De eigenaar heeft het mij gevraagd, op papier of staat hier",
        Choice::Organisation => "Het is van een organisatie waarvoor ik optreed",
        Choice::Found => "Ik heb het gevonden, of het is hier achtergelaten",
        Choice::ReportedMissing => "Het is als vermist of gestolen opgegeven, of dat staat op het scherm",
        Choice::ForgottenCode => "Niemand weet de toegangscode, of het is niet beschikbaar",
        Choice::DoesNotStart => "Het start niet, of toont een kabel en een computer",
        Choice::UpdateFailed => "Het start niet, en `herstel restore --update` is mislukt",
        Choice::StartAfresh => "Het werkt; het moet gewist en opnieuw ingesteld worden",
        Choice::AsksForAccount => "Na het wissen vraagt het om een Apple Account",
        Choice::AccountLost => "Het werkt, maar het Apple Account is kwijt",
        Choice::Yes => "Ja",
        Choice::No => "Nee",
        Choice::Unknown => "Dat weet ik niet",
        Choice::Here => "Ja, deze computer",
        Choice::Elsewhere => "Ja, een andere computer",
        Choice::On => "Aan",
        Choice::Off => "Uit, dat is zeker",
        Choice::Own => "Dat van de eigenaar zelf",
        Choice::PreviousOwner => "Dat van een vorige eigenaar, die te bereiken is",
        Choice::NobodyReachable => "Dat van iemand die niet te bereiken is",
    }
}

pub(super) fn told(way: WayOut) -> Told {
    let told = |title, kept, lost, needs, steps| Told { title, kept, lost, needs, steps };
    match way {
        WayOut::NotYours => told(
            "Stop: dit toestel is niet aan jou om te openen",
            "Alles, en de kans van de eigenaar om het terug te krijgen",
            "Niets",
            &[],
            &[
                "Laat het aan en leg het aan de lader: de eigenaar ziet dan waar het is en kan een nummer op het scherm \
                 zetten.",
                "Staat er een bericht of nummer op het scherm, bel dat. Vraag Siri \"Van wie is deze iPhone?\".",
                "Breng het naar de politie of naar gevonden voorwerpen. Een winkel van Apple zoekt geen eigenaren op.",
                "Wissen levert niets op: met Zoek mijn aan blijft het om het account van de eigenaar vragen.",
            ],
        ),
        WayOut::AskOrganisation => told(
            "Vraag de beheerder: die kan de toegangscode eraf halen",
            "Alles",
            "Niets",
            &[
                "Het serienummer (`herstel info`)",
                "De naam van de organisatie, op het toegangsscherm of in Instellingen",
            ],
            &[
                "De beheerder stuurt het toestel de opdracht om de code te wissen; het moet online zijn. Er gaat niets \
                 verloren.",
                "Vraagt het na het wissen om een account, dan heeft dezelfde beheerder er een ontgrendelcode voor.",
                "Tweedehands gekocht en nog onder beheer? Dan moet de verkoper het laten vrijgeven: `herstel card managed`.",
            ],
        ),
        WayOut::PreviousCode => told(
            "Open het met de vorige toegangscode",
            "Alles",
            "Niets",
            &["De toegangscode van voor de verandering"],
            &[
                "Typ een willekeurige code tot rechtsonder \"Code vergeten?\" verschijnt, en tik erop.",
                "Tik op \"Voer vorige toegangscode in\", typ de oude, en stel een nieuwe in.",
                "Doe het meteen: de oude werkt tot 72 uur na de verandering, en geen minuut langer.",
            ],
        ),
        WayOut::UpdateFirst => told(
            "Zet het systeem er opnieuw op, met behoud van de gegevens",
            "Alles, als het lukt",
            "Niets door deze stap",
            &["Een kabel die gegevens doorgeeft", "De toegangscode: nieuwere systemen vragen die op het toestel"],
            &[
                "`herstel restore --update`: het gaat naar de herstelmodus, en het systeem komt om de gegevens heen.",
                "Mislukt dat twee keer op dezelfde plek, dan blijft wissen over: doe dan opnieuw `herstel triage`.",
                "Stopt het op twee computers bij hetzelfde percentage? Dan ligt het waarschijnlijk aan de hardware.",
            ],
        ),
        WayOut::BackUpAndRestore => told(
            "Maak nu een reservekopie, op de computer die het vertrouwt; wis het dan en zet de kopie terug",
            "Wat in de reservekopie staat: bijna alles; wachtwoorden alleen als die versleuteld is",
            "De toegangscode, passen in Wallet, en wat apps buiten reservekopieën houden",
            &[
                "De vertrouwde computer",
                "Ruimte op de schijf daarvan",
                "Het wachtwoord van het Apple Account, als Zoek mijn aanstaat",
            ],
            &[
                "Start het niet opnieuw en laat het niet leeglopen: vóór de eerste ontgrendeling lukt er geen kopie.",
                "`herstel recover` op die computer: kopie, controle, wissen, herstellen, en de kopie komt terug.",
                "Na het wissen kan het om het Apple Account vragen.",
            ],
        ),
        WayOut::RestoreAndPutBack => told(
            "Wis het hier en zet daarna de reservekopie terug",
            "Wat in de reservekopie staat",
            "Alles van na de reservekopie",
            &[
                "De reservekopie",
                "Het wachtwoord van het Apple Account, als Zoek mijn aanstaat",
                "Een kabel en een netwerk",
            ],
            &[
                "`herstel restore --erase`: zonder toegangscode gaat het met de knoppen naar de herstelmodus; je ziet hoe.",
                "Een reservekopie op deze computer zet `herstel recover` na het wissen terug. Laat het toestel tot dan bij \
                 de eerste schermen staan.",
                "Een reservekopie in iCloud: stel het in; de configuratie biedt die zelf aan.",
            ],
        ),
        WayOut::RestoreWithoutBackup => told(
            "Wis het hier; wat in het account staat komt terug",
            "Foto's, contacten, notities en berichten die in iCloud of bij andere diensten stonden",
            "Alles wat alleen op het toestel staat, voorgoed",
            &["Het wachtwoord van het Apple Account, als Zoek mijn aanstaat", "Een kabel en een netwerk"],
            &[
                "Zoek nog één keer naar een reservekopie: achteraf kan die niet meer worden gemaakt.",
                "`herstel restore --erase`: zonder toegangscode gaat het met de knoppen naar de herstelmodus; je ziet hoe.",
                "Stel het in en log in: wat in iCloud stond, komt vanzelf terug.",
            ],
        ),
        WayOut::EraseOnDevice => told(
            "Laat het zichzelf wissen en zet daarna de reservekopie terug",
            "Wat in de reservekopie en in het account staat",
            "Alles van na de reservekopie",
            &["Het wachtwoord van het Apple Account", "Een netwerk op het toestel"],
            &[
                "Typ verkeerde codes tot rechtsonder \"Code vergeten?\" of \"Wis iPhone\" verschijnt, en tik erop.",
                "Sinds iOS 17 heet de volgende knop \"Start herstel van iPhone\". Log uit met het wachtwoord van het \
                 account.",
                "Het wist zichzelf; stel het daarna in en kies de reservekopie. Een computer is niet nodig.",
            ],
        ),
        WayOut::EraseByFindMy => told(
            "Wis het via iCloud.com/find en zet daarna de reservekopie terug",
            "Wat in de reservekopie en in het account staat",
            "Alles van na de reservekopie",
            &["Het wachtwoord van het Apple Account", "Een netwerk op het toestel"],
            &[
                "Log in op iCloud.com/find, kies het toestel en dan \"Wis\"; een e-mail bevestigt het.",
                "Kies niet \"Verwijder uit account\" voordat de eigenaar het weer heeft ingesteld.",
                "Is het niet online? Dan hier `herstel restore --erase`.",
            ],
        ),
        WayOut::RecoverAccount => told(
            "Krijg eerst het Apple Account terug; wis tot die tijd niets",
            "Alles op het toestel",
            "Niets; nu wissen eindigt bij een slot dat alleen het account opent",
            &["Een vertrouwd telefoonnummer of toestel", "Geduld: accountherstel duurt dagen"],
            &[
                "Ga naar iforgot.apple.com, het liefst vanaf een toestel of netwerk dat het account kent.",
                "Op een ander toestel dat is ingelogd: Instellingen, naam, Inloggen en beveiliging, Wijzig wachtwoord.",
                "Een herstelsleutel of herstelcontact maakt het korter. Anders accountherstel: Apple mailt wanneer, en \
                 niemand kan het versnellen; gebruik het account ondertussen niet.",
                "De wegen een voor een: `herstel card account`; komt er geen code: `herstel card 2fa`.",
                "Doe daarna opnieuw `herstel triage`: met het wachtwoord is er een weg. Is het account voorgoed weg, dan \
                 kan Apple het slot eraf halen voor wie de bon heeft: `herstel card activation-lock`.",
            ],
        ),
        WayOut::SignIn => told(
            "Log in met het account van de eigenaar",
            "Er verandert niets",
            "Niets",
            &["Het Apple Account en het wachtwoord ervan", "Een netwerk op het toestel"],
            &[
                "Typ het account en het wachtwoord op het toestel.",
                "Of tik op \"Ontgrendel met toegangscode\" en geef de code die het vóór het wissen had.",
                "Of haal het op iCloud.com/find uit het account en begin opnieuw met instellen.",
            ],
        ),
        WayOut::AskPreviousOwner => told(
            "Vraag het de vorige eigenaar: het kost twee minuten, op afstand",
            "Er verandert niets",
            "Niets",
            &["Het serienummer (`herstel info`)", "De hulp van de vorige eigenaar"],
            &[
                "Die logt in op iCloud.com/find, kiest het toestel en dan \"Verwijder dit apparaat\".",
                "Start het opnieuw: het vraagt niet meer.",
                "Niemand anders heeft dat wachtwoord nodig. Vraag er niet om.",
            ],
        ),
        WayOut::ProofOfPurchase => told(
            "Vraag het Apple, met het aankoopbewijs",
            "Er verandert niets",
            "Niets",
            &["De originele bon: winkel, datum, prijs, en het serienummer of IMEI erop"],
            &[
                "al-support.apple.com neemt het verzoek aan. Het toestel mag niet in de verliesmodus of onder beheer zijn.",
                "Het duurt dagen tot weken, en Apple kan weigeren. Als Apple instemt, wordt het toestel gewist.",
                "Wat er in het verzoek staat, en een brief om in te vullen: `herstel card activation-lock`.",
                "Geen bon? Ga terug naar de verkoper. Een eerlijke weg om dit slot heen is nergens te koop.",
            ],
        ),
    }
}

pub(super) fn clue(clue: Clue) -> &'static str {
    match clue {
        Clue::TrustsThisComputer => "het vertrouwt deze computer en opende een sessie",
        Clue::LockedSinceStart => "het zegt dat het sinds het aangaan niet ontgrendeld is",
        Clue::NotStarted => "het systeem ervan draait niet",
        Clue::Supervised => "het zegt dat het onder beheer staat",
        Clue::FindMyAssociated => "het zegt zelf of Zoek mijn aanstaat",
        Clue::ActivationLockVariable => "de opstartcode zegt of het aan een account vastzit",
        Clue::BackupHere => "op deze computer staat er een reservekopie van",
        Clue::CloudBackupEnabled => "iCloud-reservekopie staat aan",
        Clue::StopsInRecovery => "het bleef in de herstelmodus staan terwijl het moest starten",
        Clue::NotActivated => "het is niet geactiveerd",
        Clue::Version => "het zegt welk systeem erop staat",
    }
}

pub(super) fn label(label: Label<'_>) -> String {
    match label {
        Label::Kept => "Wat blijft".to_owned(),
        Label::Lost => "Wat verloren gaat".to_owned(),
        Label::Takes => "Hoe lang het duurt".to_owned(),
        Label::AtHand => "Wat je nodig hebt".to_owned(),
        Label::Steps => "Wat je doet".to_owned(),
        Label::Command => "De opdracht".to_owned(),
        Label::Known => "Waar dit uit volgt".to_owned(),
        Label::Said => "jij".to_owned(),
        Label::Proven => "het toestel".to_owned(),
        Label::Question => "Vraag".to_owned(),
        Label::Answer => "Antwoord".to_owned(),
        Label::Source => "Van".to_owned(),
        Label::Device => "Toestel".to_owned(),
        Label::System => "Systeem".to_owned(),
        Label::Why => "Waarom".to_owned(),
        Label::Suggests { answer, clue } => format!("Misschien \"{answer}\": {clue}."),
        Label::Account { masked } => format!("Het slot hoort bij {masked}."),
        Label::LockFollows { masked } => {
            let account = masked.map(|masked| format!(" ({masked})")).unwrap_or_default();
            format!(
                "Zoek mijn staat aan: na het wissen vraagt het om het Apple Account van de eigenaar{account} met \
                 wachtwoord. Zonder dat blijft het op slot."
            )
        }
        Label::Disagrees { question, said, read, clue } => {
            format!("{question}: jij zegt \"{said}\", het toestel \"{read}\" ({clue}). We geloven het toestel.")
        }
        Label::Prompt { hinted: Some(number) } => format!("Nummer (Enter: {number}, b: terug, q: stoppen): "),
        Label::Prompt { hinted: None } => "Nummer (b: terug, q: stoppen): ".to_owned(),
        Label::NoSuchNumber { most } => format!("Typ een nummer van 1 tot {most}, b of q."),
        Label::NoDevice => "Er is geen toestel aangesloten: alles wordt gevraagd.".to_owned(),
        Label::Minutes { from, to } => format!("{from} tot {to} minuten"),
        Label::OthersDecide => "Anderen bepalen hoe lang het duurt".to_owned(),
        Label::Unanswered => "Nog te beantwoorden".to_owned(),
        Label::Refused { place } => format!("Voor dit toestel wordt niets gedaan. Opgeschreven in {place}."),
        Label::Intro => "Eerst een paar vragen. Ondertussen gebeurt er niets met het toestel.".to_owned(),
        Label::GoesOn => "Dit is wat er nu volgt.".to_owned(),
        Label::AsksConsent => "Voor er iets gewist wordt, wordt het je nog een keer gevraagd.".to_owned(),
        Label::Footer => {
            "Apple vraagt nooit om een wachtwoord, een code of een herstelsleutel. Wie dat doet, is Apple niet."
                .to_owned()
        }
    }
}
