//! Wat er misging en wat je doet, in het Nederlands.

use super::Advice;
use crate::fault::Code;

pub fn fault(code: Code) -> Advice {
    let (what, next) = match code {
        Code::NoDevice => (
            "Er is geen toestel aangesloten",
            "Sluit de iPhone of iPad met een datakabel rechtstreeks aan en ontgrendel hem. Blijft hij onzichtbaar, draai dan `herstel doctor`.",
        ),
        Code::NoSuchDevice => {
            ("Het genoemde toestel is er niet", "Kijk met `herstel list` wat er is en noem er een met -d.")
        }
        Code::AmbiguousDevice => ("Er past meer dan één toestel", "Noem er een met -d en het ECID of UDID."),
        Code::WrongMode => (
            "Het toestel staat in een andere stand dan nodig is",
            "Breng het in de stand die hierboven staat (`herstel guide`) en geef de opdracht opnieuw.",
        ),
        Code::UnknownModel => (
            "Dit model staat in geen enkele tabel",
            "Gebruik een nieuwere versie van Herstel, of meld de nummers hierboven.",
        ),
        Code::StrangerDevice => (
            "Er antwoordde een ander toestel",
            "Koppel alle andere toestellen los en begin opnieuw; met het vreemde toestel is niets gedaan.",
        ),
        Code::MuxUnreachable => (
            "usbmuxd antwoordt niet",
            "Start het (`systemctl start usbmuxd`) of installeer het pakket usbmuxd, en draai dan `herstel doctor`.",
        ),
        Code::MuxGarbage => (
            "Wat daar antwoordt, is usbmuxd niet",
            "Kijk naar USBMUXD_SOCKET_ADDRESS of haal die weg, en herstart usbmuxd (`systemctl restart usbmuxd`).",
        ),
        Code::HostNotReady => (
            "Deze computer is er niet klaar voor",
            "Hierboven staat wat in de weg zit en wat helpt; draai daarna `herstel doctor` nog eens.",
        ),
        Code::UsbUnavailable => (
            "USB is hier niet te gebruiken",
            "Draai `herstel doctor`: in containers en virtuele machines moet USB worden doorgegeven.",
        ),
        Code::NoCertificates => (
            "Deze computer heeft geen hoofdcertificaten, dus is geen server te controleren",
            "Installeer ze (Debian: `apt install ca-certificates`) en geef de opdracht opnieuw.",
        ),
        Code::UsbNoAccess => (
            "Het toestel is gevonden, maar deze gebruiker mag er niet bij",
            "`herstel doctor` zegt wat er ontbreekt, meestal de udev-regel. Trek het toestel daarna los en sluit het weer aan.",
        ),
        Code::UsbBusy => (
            "Een ander programma houdt het toestel vast",
            "Sluit andere telefoonprogramma's (virtuele machines, irecovery) en probeer het opnieuw.",
        ),
        Code::DiskFull => (
            "De schijf is vol",
            "Maak ruimte of kies een andere plek (--vault, XDG-mappen). Wat al compleet was, is onaangeroerd.",
        ),
        Code::DiskError => ("De schijf weigerde", "Controleer de schijf en de kabel, en geef de opdracht dan opnieuw."),
        Code::DiskNoAccess => {
            ("Deze gebruiker mag daar niet schrijven", "Kies een eigen map, of herstel de eigenaar en de rechten.")
        }
        Code::Locked => ("Een andere Herstel is hiermee bezig", "Wacht tot die klaar is, of stop hem."),
        Code::UsbGone => (
            "Het toestel viel van de bus",
            "Gebruik een korte, goede kabel, rechtstreeks in de computer; geef de opdracht opnieuw, of `herstel resume`.",
        ),
        Code::UsbTimeout => (
            "Het toestel gaf via USB niet op tijd antwoord",
            "Steek de kabel opnieuw in; gebeurt het weer, neem dan een andere poort of begin vanuit DFU.",
        ),
        Code::UsbStall => (
            "Het toestel weigerde een USB-verzoek",
            "Sluit opnieuw aan en probeer het weer; blijft het, begin dan vanuit DFU (`herstel guide dfu`).",
        ),
        Code::UsbError => ("USB werkte niet", "Een andere kabel en een andere poort (USB 2, geen hub) helpen meestal."),
        Code::LinkLost => (
            "De verbinding met het toestel brak af",
            "Controleer de kabel, laat het toestel liggen, en geef dezelfde opdracht of `herstel resume`.",
        ),
        Code::LinkSilent => (
            "Het toestel geeft geen antwoord meer",
            "Kijk op het scherm: misschien staat er een vraag. Sluit het dan opnieuw aan en probeer het weer.",
        ),
        Code::LinkGarbage => (
            "Het toestel stuurde iets onbegrijpelijks",
            "Start het toestel opnieuw op en probeer het weer; blijft het, meld het dan met het logboek.",
        ),
        Code::LinkAbsurd => (
            "Het toestel noemde een onmogelijke lengte",
            "Vertrouw dit toestel of dit tussenstuk niet; start het opnieuw op, en meld het als het terugkomt.",
        ),
        Code::NeverCameBack => (
            "Het toestel kwam niet terug",
            "Forceer een herstart (`herstel guide restart`), controleer de kabel, en dan `herstel resume`.",
        ),
        Code::CameBackElsewhere => (
            "Het toestel kwam terug in een andere stand",
            "Er is nog niets verloren: draai `herstel list`, en dan `herstel resume`.",
        ),
        Code::NoSuchKeys => (
            "Voor dit toestel bestaat daar geen knoppenvolgorde voor",
            "Zie `herstel guide --help` voor andere wegen; een toestel zonder knoppen gaat alleen met opdrachten.",
        ),
        Code::KeysMissed => (
            "Met de knoppen kwam het toestel niet waar het moest zijn",
            "Lees hierboven wat er gezien is, laat je handen rusten en geef dezelfde opdracht nog eens; een andere kabel helpt vaak.",
        ),
        Code::RecoveryLoop => (
            "Het toestel komt steeds terug in de herstelmodus",
            "Het systeem is beschadigd. Probeer eerst `herstel restore --update`: dat houdt de gegevens. Wis pas als dat niet lukt.",
        ),
        Code::TrustPending => (
            "Het toestel vraagt of het deze computer mag vertrouwen",
            "Tik op het toestel op Vertrouw en voer de code in, en geef de opdracht opnieuw.",
        ),
        Code::TrustDenied => (
            "Op het toestel is op 'Vertrouw niet' getikt",
            "Trek de kabel eruit en steek hem er weer in: dan komt de vraag opnieuw. Tik nu op Vertrouw.",
        ),
        Code::DeviceLocked => ("Het toestel is vergrendeld", "Ontgrendel het met de code en laat het scherm aan."),
        Code::NotTrusted => {
            ("Het toestel vertrouwt deze computer niet", "Draai `herstel pair` terwijl het toestel ontgrendeld is.")
        }
        Code::PairingStale => (
            "Het toestel kent deze computer niet meer",
            "Het is gewist of het vertrouwen is teruggezet: draai `herstel pair --reset`.",
        ),
        Code::PairingForbidden => (
            "Het toestel mag geen nieuwe computers vertrouwen",
            "Een organisatie beheert het: vraag die om te koppelen of het toe te staan. Alleen een computer die al vertrouwd is, kan verder.",
        ),
        Code::PairingNeedsCable => (
            "Vertrouwen geven kan niet via wifi",
            "Sluit het toestel aan met een kabel, ontgrendel het en draai `herstel pair` opnieuw.",
        ),
        Code::PairingUnsaved => (
            "Het toestel zei ja, maar usbmuxd heeft dat niet bewaard",
            "usbmuxd moet in zijn map kunnen schrijven (`/var/lib/lockdown`): kijk daar en in het logboek, en draai `herstel pair` opnieuw.",
        ),
        Code::UsbRestricted => (
            "Het toestel houdt zijn dataverbinding dicht",
            "Het was langer dan een uur vergrendeld: ontgrendel het één keer met de kabel erin. Blijft het weg, herstart dan usbmuxd.",
        ),
        Code::LockdownRefused => (
            "Het toestel weigerde het verzoek",
            "Ontgrendel het en probeer het weer; het woord van het toestel staat bij detail.",
        ),
        Code::ServiceRefused => (
            "Het toestel biedt deze dienst nu niet aan",
            "Ontgrendel het toestel, maak de installatie af, en probeer het opnieuw.",
        ),
        Code::BackupRefused => (
            "Het toestel weigerde de reservekopie",
            "Het nummer staat bij detail: `herstel explain` vertelt meer. De vorige reservekopie is onaangeroerd.",
        ),
        Code::BackupPasscode => (
            "De code is niet op het toestel ingevoerd",
            "Begin opnieuw en voer de code in als het toestel erom vraagt. Zonder code maakt iOS 16.1 of nieuwer geen reservekopie.",
        ),
        Code::BackupIncomplete => (
            "Het toestel kon enkele bestanden niet lezen",
            "De rest is opgeslagen en gecontroleerd; herstart het toestel en probeer het nog eens voor die bestanden.",
        ),
        Code::BackupHostile => (
            "Het toestel noemde een bestand buiten zijn eigen map",
            "Daar is niets geschreven. Gebruik dit toestel niet met andere back-upprogramma's.",
        ),
        Code::BackupDamaged => (
            "De reservekopie is beschadigd",
            "Gooi hem niet weg: `herstel backups verify` zegt wat er mis is; een oudere generatie kan nog heel zijn.",
        ),
        Code::BackupUnverified => (
            "De nieuwe reservekopie klopt niet",
            "Hij is apart gezet; de vorige reservekopieën zijn onaangeroerd. Geef dezelfde opdracht opnieuw.",
        ),
        Code::DeviceFull => (
            "Het toestel heeft te weinig ruimte voor de reservekopie",
            "Kies een toestel met meer opslag, of maak een reservekopie zonder grote apps en foto's.",
        ),
        Code::BackupNone => (
            "Er is geen reservekopie van dit toestel",
            "Maak er een met `herstel backup`, of noem een andere kluis met --vault.",
        ),
        Code::BackupPassword => (
            "Het wachtwoord van de reservekopie is fout of ontbreekt",
            "Het is niet de toegangscode en niet het Apple-wachtwoord: vraag het aan wie de reservekopie maakte.",
        ),
        Code::BackupPasswordWrong => (
            "Het wachtwoord van de reservekopie klopt niet",
            "Het is het wachtwoord dat ooit bij het aanzetten van de versleuteling is gekozen, misschien jaren geleden \
             in iTunes; niet de toegangscode en niet het Apple-wachtwoord. Niemand kan het terughalen.",
        ),
        Code::EncryptionOn => (
            "Reservekopieën van dit toestel zijn al versleuteld",
            "Verander het wachtwoord met `herstel backups encrypt change`. Weet niemand het meer: op het toestel haalt \
             Instellingen, Algemeen, Zet over of stel opnieuw in, Stel opnieuw in, Herstel alle instellingen het weg.",
        ),
        Code::EncryptionOff => {
            ("Reservekopieën van dit toestel zijn niet versleuteld", "Zet het aan met `herstel backups encrypt on`.")
        }
        Code::EncryptionRequired => (
            "Een profiel op het toestel eist versleutelde reservekopieën",
            "Zet versleuteling aan met `herstel backups encrypt on`; alleen de eigenaar van het profiel kan dit opheffen.",
        ),
        Code::EncryptionUnclear => (
            "Onduidelijk is of reservekopieën nu versleuteld zijn",
            "Kijk bij `herstel info`, maak een reservekopie en controleer die met `herstel backups verify` voor je erop \
             rekent.",
        ),
        Code::BackupNewer => (
            "De reservekopie komt van een nieuwer systeem dan het toestel heeft",
            "Werk eerst het toestel bij en zet dan de reservekopie terug.",
        ),
        Code::FindMyOn => (
            "Zoek mijn staat aan",
            "Zet het uit op het toestel (Instellingen, naam, Zoek mijn) en probeer het opnieuw.",
        ),
        Code::SetupUnfinished => {
            ("Het toestel is nog niet ingesteld", "Maak de installatie op het scherm af en probeer het opnieuw.")
        }
        Code::CatalogueUnreachable => (
            "De firmwarelijst van Apple is niet bereikbaar",
            "Controleer netwerk en proxy; is er een lijst van eerder, dan wordt die gebruikt.",
        ),
        Code::CatalogueInvalid => (
            "Wat er kwam is niet de firmwarelijst van Apple",
            "Misschien zit er een aanmeldpagina of filter tussen: open een webpagina en probeer het opnieuw.",
        ),
        Code::NoFirmware => (
            "Apple biedt geen firmware voor dit toestel",
            "Controleer het type hierboven; voor sommige toestellen is er geen (Apple TV 4K, HomePod).",
        ),
        Code::DownloadFailed => {
            ("Het ophalen brak af", "Geef dezelfde opdracht opnieuw: het gaat verder waar het bleef.")
        }
        Code::DownloadStalled => {
            ("Het ophalen stond stil", "Geef dezelfde opdracht opnieuw: het gaat verder waar het bleef.")
        }
        Code::DownloadNotFirmware => (
            "Wat er kwam is geen firmware",
            "Misschien zit er een aanmeldpagina of filter tussen: open een webpagina en probeer het opnieuw.",
        ),
        Code::HostNotAllowed => (
            "Dat adres is niet van Apple",
            "Firmware komt alleen van Apple; gebruik `herstel firmware add BESTAND` voor een bestand dat je vertrouwt.",
        ),
        Code::FirmwareDigest => (
            "De firmware is niet wat Apple heeft uitgegeven",
            "Hij is apart gezet en wordt niet gebruikt. Geef dezelfde opdracht opnieuw om hem opnieuw op te halen.",
        ),
        Code::FirmwareDamaged => {
            ("Het firmwarebestand is beschadigd", "Verwijder het en haal het opnieuw op: `herstel firmware fetch`.")
        }
        Code::FirmwareWrongDevice => {
            ("Deze firmware is niet voor dit toestel", "Laat Herstel kiezen: `herstel firmware fetch -d TOESTEL`.")
        }
        Code::TssUnreachable => (
            "De handtekeningserver van Apple is niet bereikbaar",
            "Controleer netwerk, proxy en het hosts-bestand op gs.apple.com.",
        ),
        Code::TssNotSigned => (
            "Apple ondertekent deze versie niet meer",
            "Alleen de nieuwste versies zijn te herstellen: haal een nieuwe op met `herstel firmware fetch`.",
        ),
        Code::TssRefused => (
            "De handtekeningserver van Apple weigerde het verzoek",
            "Nummer en tekst staan bij detail; probeer het later, en meld het als het blijft.",
        ),
        Code::TssInvalid => (
            "De handtekeningserver gaf geen bruikbaar ticket",
            "Misschien veranderde een proxy het antwoord; probeer een ander netwerk.",
        ),
        Code::TicketUnfit => (
            "Het meegegeven ticket is niet te gebruiken",
            "Wat er niet past, staat bij detail; zonder --ticket wordt Apple om een nieuw gevraagd.",
        ),
        Code::ConsentMissing => (
            "Dit wist gegevens en niemand heeft toegestemd",
            "Doe het in een terminal en bevestig, of geef --yes-erase met het volledige ECID of UDID.",
        ),
        Code::ConsentMismatch => (
            "De toestemming noemt een ander toestel dan het plan",
            "Geef het volledige ECID of UDID van het toestel dat gewist mag worden.",
        ),
        Code::BootRefused => (
            "Het toestel nam een deel van de firmware niet aan",
            "Draai `herstel resume`; blijft het, begin dan vanuit DFU (`herstel guide dfu`).",
        ),
        Code::NonceUnread => {
            ("Het toestel gaf zijn nonce niet", "Sluit het toestel opnieuw aan en geef de opdracht opnieuw.")
        }
        Code::RestoreRefused => (
            "Het toestel wilde niet aan het herstel beginnen",
            "Start het in de herstelmodus en draai `herstel resume`.",
        ),
        Code::HostUnsupported => (
            "Dit systeem wil een nieuwere Herstel",
            "Wat ontbreekt staat bij detail: gebruik een nieuwere versie. Het toestel staat veilig in de herstelmodus.",
        ),
        Code::RestoreFailed => (
            "Het toestel gaf het herstel op",
            "De woorden van het toestel staan bij detail. Draai één keer `herstel resume`; faalt dezelfde plek weer, dan is het hardware.",
        ),
        Code::AsrFailed => (
            "Het systeem kwam niet over",
            "Gebruik een korte kabel rechtstreeks in een USB 2-poort, en dan `herstel resume`.",
        ),
        Code::FdrFailed => (
            "Apples gegevens over een onderdeel van het toestel waren niet te krijgen",
            "Controleer eerst het netwerk; is dat goed, dan is een onderdeel (Touch ID, Face ID, scherm, batterij) niet het originele.",
        ),
        Code::UnknownRequest => (
            "Het toestel vroeg iets wat Herstel niet kent",
            "Gebruik een nieuwere versie; meld alsjeblieft de naam bij detail.",
        ),
        Code::UpdateImpossible => (
            "Bijwerken met behoud van gegevens kan niet",
            "Alleen wissen helpt nog: lees in `herstel triage` wat dan verloren gaat.",
        ),
        Code::PasscodeNotEntered => (
            "Niemand heeft de toegangscode op het toestel ingevoerd",
            "Probeer het opnieuw en voer de toegangscode in als het toestel erom vraagt. Er is niets veranderd. Zonder \
             de toegangscode kan alleen wissen nog.",
        ),
        Code::StashbagRefused => (
            "Het toestel wilde zijn gegevens niet klaarzetten voor de update",
            "Er is niets veranderd. Start het toestel opnieuw op, ontgrendel het een keer en probeer het nog eens. \
             Weigert het weer, maak dan eerst een reservekopie.",
        ),
        Code::BatteryLow => (
            "De batterij is hiervoor te leeg",
            "Leg het toestel een half uur aan een lader en probeer het opnieuw. Er is niets veranderd.",
        ),
        Code::NotYours => (
            "Dit toestel is niet aan jou om te openen",
            "Help het terug naar de eigenaar: hoe, staat in het plan hierboven. Er is niets mee gedaan.",
        ),
        Code::QuestionsOpen => (
            "Er staan vragen open, en er is niemand om ze aan te stellen",
            "Doe `herstel triage` in een terminal, of geef de antwoorden hierboven met --answers BESTAND.",
        ),
        Code::AnswersInvalid => (
            "Met deze antwoorden kunnen we niets",
            "Verbeter het bestand: het detail noemt de regel of de woorden die wel bekend zijn.",
        ),
        Code::OtherWayOut => {
            ("De uitweg is een andere dan herstellen", "Volg het plan hierboven; er is niets met het toestel gedaan.")
        }
        Code::PersonNeeded => (
            "Een paar toestellen van de reeks wachten op iemand",
            "Doe wat er bij elk toestel staat, en draai dan `herstel batch --resume`.",
        ),
        Code::NoJob => ("Die klus is er niet", "Draai `herstel resume` zonder naam om de open klussen te zien."),
        Code::JournalDamaged => (
            "Het journaal van deze klus is beschadigd",
            "Begin een nieuwe klus; reservekopieën en downloads van de oude zijn er nog.",
        ),
        Code::CertificateRefused => (
            "Voor deze klus kan geen wisverklaring worden gegeven",
            "Alleen een klus die het toestel wiste, goed eindigde en niets terugzette, krijgt er een.",
        ),
        Code::CertificateInvalid => (
            "Deze wisverklaring is niet meer zoals ze ondertekend werd",
            "Vertrouw er niet op; vraag het bestand opnieuw aan de ondertekenaar.",
        ),
        Code::Usage => ("De opdracht is niet te begrijpen", "Zie `herstel --help`."),
        Code::ConfigInvalid => (
            "Er staat een fout in een van je instellingenbestanden",
            "Verbeter de genoemde regel, of zet het bestand weg.",
        ),
        Code::NotATerminal => {
            ("Deze vraag heeft een terminal nodig", "Doe het in een terminal, of geef het antwoord als optie.")
        }
        Code::NotYet => ("Dit deel is nog niet gebouwd", "In de README staat wat er al is."),
        Code::Cancelled => {
            ("Afgebroken", "Geef dezelfde opdracht opnieuw; een recover of restore gaat verder met `herstel resume`.")
        }
        Code::BenchUnavailable => ("De proefbank antwoordt niet", "Start hem met `herstel bench up`."),
        Code::Internal => ("Herstel maakte een fout", "Meld het alsjeblieft met het logboek."),
    };
    Advice { what, next }
}
