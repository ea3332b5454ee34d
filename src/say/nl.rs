//! Nederlands.

use super::Text;
use crate::event::{Hurdle, Request, Step};
use crate::fault::{Class, Retry};

pub fn text(text: &Text) -> String {
    use Text as T;
    match text {
        T::FaultStage { stage } => format!("  waar     stap {stage}"),
        T::FaultDevice { device } => format!("  toestel  {device}"),
        T::FaultDetail { detail } => format!("  detail   {detail}"),
        T::FaultWhose { whose } => format!("  oorzaak  {whose}"),
        T::FaultNext { next } => format!("  nu       {next}"),
        T::FaultMore { codes } => format!("  meer     {codes}"),
        T::FaultNumber { number, means } => format!("  nummer   {number}: {means}"),
        T::ExplainUnknown { code } => format!("{code} - onbekend: in geen lijst van Herstel staat wat dit betekent"),
        T::ExplainFirstAid => "Wat je kunt proberen als geen code meer zegt, van goedkoop naar duur:".into(),
        T::ExplainMore => "`herstel explain CODE` vertelt meer over één ervan.".into(),
        T::VirtualBanner => "VIRTUEEL: dit is de proefbank; er wordt geen echt toestel aangeraakt.".into(),
        T::NoDevices => "Geen iPhone of iPad gevonden. Sluit er een aan met een datakabel en ontgrendel hem.".into(),
        T::ListHeader => "STAND|NAAM|MODEL|VERSIE|VERTROUWEN|ECID|POORT".into(),
        T::NoAccess => "gevonden, geen rechten".into(),
        T::Guessed { like } => format!("{like} (gok)"),
        T::UnknownValue => "-".into(),
        T::Trusted => "vertrouwd".into(),
        T::Untrusted => "niet vertrouwd".into(),
        T::TrustLocked => "vergrendeld".into(),
        T::TrustPending => "vraagt het".into(),
        T::TrustDenied => "geweigerd".into(),
        T::TrustStale => "vertrouwen kwijt".into(),
        T::Paired { name } => format!("{name} vertrouwt deze computer nu."),
        T::AlreadyPaired { name } => format!("{name} vertrouwt deze computer al."),
        T::Unpaired { name } => format!("{name} vertrouwt deze computer niet meer."),
        T::UnpairedHere { name } => {
            format!("{name} was deze computer al vergeten; nu is het ook hier opgeruimd.")
        }
        T::PairNeeds { seconds } => {
            format!("Houd het toestel ontgrendeld bij de hand. Ik wacht {seconds} s op de tik op Vertrouw.")
        }
        T::PairReset => "Het oude vertrouwen is vergeten.".into(),
        T::PlanTitle { name } => format!("Plan voor {name}"),
        T::PlanKeeps => "Blijft".into(),
        T::PlanLoses => "Kwijt".into(),
        T::PlanSteps => "Stappen".into(),
        T::PlanDoes => "Doet".into(),
        T::DoesErase => "WIST het toestel en zet het systeem er opnieuw op".into(),
        T::DoesUpdate => "WERKT het systeem BIJ en houdt de gegevens".into(),
        T::UpdateWarning { name, ecid } => {
            format!("Dit werkt {name} ({ecid}) bij en houdt de gegevens. Zonder reservekopie blijft dat een risico.")
        }
        T::UpdateWord => "BIJWERKEN".into(),
        T::ReportData => "gegevens".into(),
        T::DataErased => "gewist".into(),
        T::DataKept => "staan nog op het toestel (bijgewerkt, niet gewist)".into(),
        T::PreflightTitle => "Bekeken".into(),
        T::DryRunCached => "al hier".into(),
        T::DryRunMinutes { minutes } => format!("zo'n {minutes} min (schatting)"),
        T::DryRunUnknown => "tijd onbekend".into(),
        T::DryRunTotal { minutes } => {
            format!("Zo'n {minutes} min (schatting), zonder de stappen waarvan de tijd onbekend is.")
        }
        T::DryRunNeeds => "Nodig bij de hand".into(),
        T::DryRunNothing => "Een proefrun: er is niets veranderd.".into(),
        T::PlanFirmware { version, build, size } => format!("{version} ({build}), {size}, van Apple, gecontroleerd"),
        T::KeepsBackup => "wat in een reservekopie zit: foto's, berichten, instellingen, apps".into(),
        T::KeepsOnDevice => "alles op het toestel".into(),
        T::KeepsNothing => "niets van wat alleen op het toestel staat".into(),
        T::LosesAll => "alles op het toestel: een reservekopie is niet mogelijk".into(),
        T::LosesAllUnsaved => "alles op het toestel wat in geen reservekopie zit".into(),
        T::LosesNothing => "niets, als de update lukt".into(),
        T::LosesAllButBackup => "al het andere: het wordt gewist, daarna gaat de kopie terug".into(),
        T::EraseWarning { name, ecid } => {
            format!("Dit WIST {name} ({ecid}). Wat niet in een reservekopie zit, is voorgoed weg.")
        }
        T::EraseTypeToConfirm { word } => format!("Typ {word} om door te gaan, iets anders om te stoppen: "),
        T::RestoreBackWarning { name } => format!("Dit vervangt de gegevens op {name} door de reservekopie."),
        T::ConsentWord => "WISSEN".into(),
        T::ConsentRefused => "Gestopt. Er is niets veranderd.".into(),
        T::BackupDone { files, size, place } => {
            format!("Reservekopie gecontroleerd: {files} bestanden, {size}, in {place}")
        }
        T::BackupPartial { unread } => {
            format!("{unread} bestanden kon het toestel zelf niet lezen; de rest is veilig.")
        }
        T::BackupExisting { generation } => {
            format!("De reservekopie van {generation} komt terug; wat daarna kwam gaat verloren")
        }
        T::BackupNotPossible { why } => format!("Een reservekopie kan niet: {why}"),
        T::BackupPasswordAsk => "Wachtwoord van de reservekopie (onzichtbaar): ".into(),
        T::BackupPasswordAskVerify => {
            "Wachtwoord van de reservekopie (onzichtbaar; Enter om zonder te controleren): ".into()
        }
        T::BackupPasswordChecking => "Het wachtwoord wordt gecontroleerd; dat duurt enkele seconden.".into(),
        T::BackupSealed => {
            "De reservekopie is versleuteld. Zonder wachtwoord is de lijst van bestanden niet te lezen; \
                            of ze er allemaal zijn, is dus niet gecontroleerd."
                .into()
        }
        T::BackupDoneSealed { files, size, place } => format!(
            "Reservekopie ontvangen en opgeslagen: {files} bestanden, {size}, versleuteld, in {place}\nMet het \
             wachtwoord controleert `herstel backups verify` of ze er allemaal zijn."
        ),
        T::BackupPlain => "Deze reservekopie is niet versleuteld: wachtwoorden (ook die van wifi) en \
                           gezondheidsgegevens zitten er niet in. `herstel backups encrypt on` verandert dat."
            .into(),
        T::BackupPasswordAskOld => "Huidig wachtwoord van reservekopieën (onzichtbaar): ".into(),
        T::BackupPasswordAskNew => "Nieuw wachtwoord voor reservekopieën (onzichtbaar): ".into(),
        T::BackupPasswordAskAgain => "Nog een keer hetzelfde: ".into(),
        T::BackupPasswordsDiffer => "Dat waren twee verschillende wachtwoorden.".into(),
        T::EncryptionBefore => "In versleutelde reservekopieën zit ook wat er anders buiten blijft: bewaarde \
                                wachtwoorden (de sleutelhanger, met die van wifi) en gezondheidsgegevens. Het toestel \
                                onthoudt dit wachtwoord en versleutelt er elke reservekopie mee, op welke computer ook."
            .into(),
        T::EncryptionForgotten => {
            "Zonder het wachtwoord krijgt niemand deze reservekopieën open. Wie het vergeet, kan \
                                   het alleen op het toestel wissen (Instellingen, Algemeen, Zet over of stel opnieuw \
                                   in, Stel opnieuw in, Herstel alle instellingen); oudere kopieën blijven dicht."
                .into()
        }
        T::EncryptionLoses => "Bewaarde wachtwoorden en gezondheidsgegevens komen niet meer in reservekopieën, en wie \
                               ze heeft kan ze lezen. Kopieën die al versleuteld zijn, blijven dat."
            .into(),
        T::EncryptionNowOn => "Versleuteling staat aan. De volgende reservekopie haalt alles opnieuw op.".into(),
        T::EncryptionChanged => "Het wachtwoord is veranderd. De volgende reservekopie haalt alles opnieuw op; oudere \
                                 gaan open met het oude wachtwoord."
            .into(),
        T::EncryptionNowOff => "Versleuteling staat uit. De volgende reservekopie haalt alles opnieuw op.".into(),
        T::EncryptionIsOff => "Versleuteling stond al uit; er is niets veranderd.".into(),
        T::NoBackups => "Nog geen reservekopieën.".into(),
        T::PruneHeader => "KOPIE|TOESTEL|GROOTTE|WAT|OPMERKING".into(),
        T::PruneGoes => "weg".into(),
        T::PruneStays => "blijft".into(),
        T::PruneHeld => "in gebruik".into(),
        T::PruneDamaged => "beschadigd".into(),
        T::PruneNothing => "Er hoeft geen reservekopie weg.".into(),
        T::PruneAsk { count, word } => {
            let what = if *count == 1 { "reservekopie gaat" } else { "reservekopieën gaan" };
            format!("{count} {what} voorgoed weg. Typ {word} om door te gaan, iets anders om te stoppen: ")
        }
        T::PruneWord => "WEG".into(),
        T::PruneDone { count } => format!("Reservekopieën verwijderd: {count}."),
        T::ShowLabels => {
            "toestel|systeem|UDID|kopie|gemaakt|duur|gecontroleerd|nagekeken|bestanden|ontvangen|op schijf|\
             versleuteld|onleesbaar|apps|map"
                .into()
        }
        T::ShowKinds => "SOORT|BESTANDEN|GROOTTE".into(),
        T::ShowEncrypted { encrypted } => match encrypted {
            Some(true) => "ja".into(),
            Some(false) => "nee: wachtwoorden en gezondheidsgegevens zitten er niet in".into(),
            None => "onbekend".into(),
        },
        T::ShowSealed => "De bestandslijst is versleuteld en niet te tonen zonder het wachtwoord.".into(),
        T::ExportDone { files, size, place } => {
            format!("Geëxporteerd en gecontroleerd: {files} bestanden, {size}, in {place}")
        }
        T::ExportLinked => {
            "De bestanden worden gedeeld met de kluis: laat geen ander programma in deze map een kopie maken.".into()
        }
        T::ShowChecked { when, deep, damage, first } => {
            let how = if *deep { "elke byte" } else { "zonder de inhoud" };
            match first {
                _ if *damage == 0 => format!("{when}, {how}: goed"),
                Some(first) if *damage == 1 => format!("{when}, {how}: BESCHADIGD, {first}"),
                first => {
                    let first = first.as_deref().unwrap_or_default();
                    format!("{when}, {how}: BESCHADIGD, {damage} gebreken, het eerste: {first}")
                }
            }
        }
        T::ProveIntro { device, version } => format!(
            "Een virtuele {device} met systeem {version} neemt de kopie over. Die bestaat alleen in dit programma: geen \
             echt toestel wordt aangeraakt en er gaat niets van deze computer af."
        ),
        T::ProveStandIn { product, device } => {
            format!("Het model {product:?} staat hier in geen tabel; een virtuele {device} valt ervoor in.")
        }
        T::ProveDone { files, size, device } => format!(
            "Bewezen: alle {files} bestanden ({size}) van de kopie staan op de virtuele {device}, byte voor byte."
        ),
        T::ProveAbsent { what } => format!("{what}: is niet op het virtuele toestel aangekomen"),
        T::ProveOther { what } => format!("{what}: is op het virtuele toestel iets anders"),
        T::FindingsMore { count } => format!("en nog {count}"),
        T::FirmwareReady { version, build, place } => format!("Firmware {version} ({build}) gecontroleerd: {place}"),
        T::FirmwareCached => "is er al, en gecontroleerd".into(),
        T::FirmwareFor { products } => format!("Voor {products}"),
        T::FirmwareRemote { size } => format!("Gelezen van Apples server: {size} ervan, er is niets bewaard."),
        T::FirmwareHeader => "VERSIE|BUILD|GROOTTE|GETEKEND|HIER|VOLGENS".into(),
        T::FirmwareHere => "ja".into(),
        T::FirmwareNotHere => "nee".into(),
        T::SignedUnsaid => "?".into(),
        T::SignedYes => "ja".into(),
        T::SignedNo => "nee".into(),
        T::SignedUnknown { text } => format!("onbekend: {text}"),
        T::SignedAsked { product, board } => format!(
            "Gevraagd voor een verzonnen {product} ({board}). Bij het herstellen wordt het voor het toestel zelf gevraagd."
        ),
        T::CachePruneNothing => "Er hoeft niets weg: elk bestand is het nieuwste voor een toestel.".into(),
        T::CachePruneAsk { count, word } => format!("{count} bestanden verwijderen? Typ {word}: "),
        T::CachePruneDone { count, size } => format!("Verwijderd: {count} bestanden, {size}."),
        T::RestoreDone { version, build } => format!("Hersteld: het toestel draait {version} ({build})."),
        T::PutBackDone { files } => format!("Reservekopie teruggezet: {files} bestanden."),
        T::PutBackPlan { generation, device } => format!("Reservekopie {generation} van {device} wordt teruggezet:"),
        T::PutBackSystem => "  gegevens van apps en media, en daarbij de bestanden van het systeem zelf".into(),
        T::PutBackNoSystem => "  alleen gegevens van apps en media, niets van het systeem zelf".into(),
        T::PutBackSettings => "  instellingen zoals ze in de reservekopie staan".into(),
        T::PutBackKeepsSettings => "  instellingen blijven zoals ze nu op het toestel staan".into(),
        T::PutBackLeaves => "  wat op het toestel staat en niet in de reservekopie, blijft".into(),
        T::PutBackRemoves => "  wat op het toestel staat en NIET in de reservekopie, gaat weg".into(),
        T::PutBackCopies => "  de hele reservekopie gaat eerst naar het toestel; pas dan verandert er iets".into(),
        T::PutBackTight => {
            "  er is minder vrij dan de reservekopie vraagt: het past alleen als plaatsmaakt wat er nu op staat".into()
        }
        T::PutBackRestarts => "  daarna start het toestel opnieuw".into(),
        T::PutBackStays => "  het toestel herstart niet vanzelf: doe dat zelf, anders is er niets van te zien".into(),
        T::PutBackInSetup => {
            "Het toestel is nog niet ingesteld: laat het bij de eerste schermen tot het opnieuw is gestart.".into()
        }
        T::ReportTitle => "Verslag".into(),
        T::ReportSaved { place } => format!("Verslag bewaard: {place}"),
        T::ReportDevice => "toestel".into(),
        T::ReportResult => "uitslag".into(),
        T::ReportDuration => "duurde".into(),
        T::ReportSteps => "stappen".into(),
        T::ReportFiles { files, size, place } => format!("{files} bestanden, {size}, in {place}"),
        T::ReportBackup => "reservekopie".into(),
        T::ReportFirmware => "firmware".into(),
        T::OutcomeOk => "gelukt".into(),
        T::OutcomePartial => "gedeeltelijk gelukt".into(),
        T::OutcomeFailed => "mislukt".into(),
        T::OutcomeCancelled => "afgebroken".into(),
        T::CancelOnce => "Ik stop na deze stap. Druk nog eens op Ctrl-C om te zien wat dat achterlaat.".into(),
        T::CancelNow { state } => format!("Ik stop. {state}"),
        T::CancelTwice { state } => format!("{state} Druk nog één keer op Ctrl-C om meteen weg te gaan."),
        T::StateSafe => "Het toestel is zoals het was.".into(),
        T::StateRecovery => {
            "Het toestel staat in de herstelmodus, de gegevens zijn er nog; `herstel resume` gaat verder.".into()
        }
        T::StateBatch { running } => format!(
            "{running} toestellen zijn halverwege en starten misschien niet; `herstel batch --resume` maakt ze af."
        ),
        T::StateErased => "Het toestel is halverwege en start zo niet op; `herstel resume` maakt het af.".into(),
        T::ResumeHint { job } => format!("Verdergaan: herstel resume {job}"),
        T::ResumeNothing => "Deze klus is af; er valt niets te hervatten.".into(),
        T::DemoIntro { device, bus } => format!("Er ligt een virtuele {device} op de proefbank:\n{bus}."),
        T::DemoBusEmulated => "de USB is onder libusb nagebootst, dus de echte USB-code draait".into(),
        T::DemoBusDirect => "de USB is er rechtstreeks: de preload-bibliotheek van umockdev ontbreekt".into(),
        T::DemoProof { files, size } => {
            format!("Nagekeken op het toestel zelf: alle {files} bestanden ({size}) zijn terug, byte voor byte.")
        }
        T::DemoDone { seconds } => format!("De hele gang duurde {seconds} s."),
        T::BenchUp { place } => format!("De proefbank staat klaar in {place}"),
        T::BenchUse => "In een andere terminal:".into(),
        T::BenchStops => "Ctrl-C of `herstel bench down` zet hem uit.".into(),
        T::BenchDown => "De proefbank is uit.".into(),
        T::Waiting { seconds } => format!("wachten, nog {seconds} s"),
        T::DoctorGood => "Deze computer is er klaar voor.".into(),
        T::DoctorBad { blocking: 0, warnings } => {
            format!("Deze computer is er klaar voor; waarschuwingen: {warnings}.")
        }
        T::DoctorBad { blocking, warnings } => {
            format!("Deze computer is er niet klaar voor; in de weg: {blocking}, waarschuwingen: {warnings}.")
        }
        T::DoctorMore { count } => format!("en nog {count}: met --json zie je alles."),
        T::DoctorWatching { seconds } => {
            format!("De bus wordt {seconds} s bekeken. Beweeg de stekker een beetje; Ctrl-C stopt.")
        }
    }
}

pub fn step(step: Step) -> &'static str {
    match step {
        Step::Find => "Toestel zoeken",
        Step::Pair => "Om vertrouwen vragen",
        Step::Plan => "Plan maken",
        Step::Encrypt => "Wachtwoord van reservekopieën veranderen",
        Step::Backup => "Reservekopie maken",
        Step::VerifyBackup => "Reservekopie controleren",
        Step::Catalogue => "Passende firmware opzoeken",
        Step::Fetch => "Firmware ophalen",
        Step::VerifyFirmware => "Firmware controleren",
        Step::Stashbag => "Het toestel zijn gegevens laten bewaren",
        Step::EnterRecovery => "Naar de herstelmodus",
        Step::EnterDfu => "Naar de DFU-modus",
        Step::LeaveRecovery => "Terug naar het eigen systeem",
        Step::Ticket => "Apple om een handtekening vragen",
        Step::BootIbss => "iBSS starten",
        Step::BootIbec => "iBEC starten",
        Step::BootRamdisk => "Herstelsysteem laden",
        Step::AwaitRestore => "Wachten op het herstelsysteem",
        Step::Restore => "Herstellen",
        Step::SendImage => "Systeem versturen",
        Step::AwaitNormal => "Wachten tot het toestel start",
        Step::PutBack => "Reservekopie terugzetten",
        Step::Report => "Verslag schrijven",
    }
}

pub fn request(request: &Request) -> String {
    match request {
        Request::UnlockDevice => "Ontgrendel het toestel met de toegangscode; laat de kabel erin.".into(),
        Request::TapTrust => "Op het toestel: tik op Vertrouw en voer de toegangscode in.".into(),
        Request::EnterPasscode => "Voer op het toestel de toegangscode in.".into(),
        Request::Keys { text, seconds, .. } if *seconds > 0 => format!("{text} ({seconds} s)"),
        Request::Keys { text, .. } => text.clone(),
        Request::Replug => "Trek de kabel eruit en steek hem er weer in.".into(),
        Request::CableOut => "Trek de kabel eruit; het toestel moet uit staan.".into(),
        Request::CableIn => "Steek de kabel erin en houd vast.".into(),
        Request::Slide => "Veeg de schuif op het scherm opzij.".into(),
    }
}

pub fn hurdle(hurdle: Hurdle) -> &'static str {
    match hurdle {
        Hurdle::Pending => "Het toestel vraagt of het deze computer mag vertrouwen.",
        Hurdle::Denied => "Er is op 'Vertrouw niet' getikt.",
        Hurdle::Locked => "Het toestel is vergrendeld en vraagt nu nog niets.",
        Hurdle::Stale => "Het kent deze computer niet meer en krijgt de vraag opnieuw.",
        Hurdle::Forbidden => "Een profiel op het toestel laat geen nieuwe computers toe.",
        Hurdle::Restricted => "Het toestel laadt wel, maar de dataverbinding is dicht.",
    }
}

pub fn class(class: Class) -> &'static str {
    match class {
        Class::User => "iets wat iemand recht kan zetten",
        Class::Device => "het toestel of de kabel",
        Class::Host => "deze computer",
        Class::Network => "het netwerk",
        Class::Apple => "een besluit van Apple",
        Class::Bug => "Herstel zelf; meld het alsjeblieft",
    }
}

pub fn retry(retry: Retry) -> &'static str {
    match retry {
        Retry::Now => "  opnieuw  ja, dezelfde opdracht kan nu lukken",
        Retry::AfterRemedy => "  opnieuw  als het bovenstaande gedaan is",
        Retry::Never => "  opnieuw  nee, het mislukt weer",
    }
}

/// Een toets zoals mensen hem noemen.
pub fn key(word: &str) -> &'static str {
    match word {
        "home" => "de thuisknop",
        "power" => "de zijknop (bovenste knop)",
        "side" => "de zijknop",
        "top" => "de bovenste knop",
        "volume-up" => "volume omhoog",
        "volume-down" => "volume omlaag",
        "volume-near" => "de volumeknop het dichtst bij de bovenste knop",
        "volume-far" => "de volumeknop het verst van de bovenste knop",
        "menu" => "Menu",
        "play" => "Afspelen",
        "remote-down" => "Omlaag",
        _ => "?",
    }
}
