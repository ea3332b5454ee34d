//! What `doctor` finds, in Dutch.

use super::Advice;
use crate::event::Cause;

pub(super) fn cause(cause: Cause) -> Advice {
    let (what, next) = match cause {
        Cause::MuxMissing => (
            "usbmuxd is niet geïnstalleerd. De gewone modus kan niet zonder, en elk herstel evenmin zodra de ramdisk draait.",
            "Installeer het pakket usbmuxd en sluit het toestel opnieuw aan.",
        ),
        Cause::MuxAsleep => (
            "usbmuxd draait nu niet. Het start als er een toestel komt en stopt als het laatste weggaat.",
            "Niets: sluit het toestel aan.",
        ),
        Cause::MuxSilent => {
            ("usbmuxd geeft geen antwoord.", "Start het. Stopt het meteen weer, dan staat de reden in zijn logboek.")
        }
        Cause::MuxRefused => (
            "De socket van usbmuxd is er wel, maar deze gebruiker mag er niet bij.",
            "Kijk van wie hij is. usbmuxd zelf geeft hem aan iedereen, dus iemand heeft dat veranderd.",
        ),
        Cause::MuxGarbage => (
            "Op de plek van usbmuxd antwoordt iets anders.",
            "Kijk welk programma de socket heeft, stop dat en start usbmuxd opnieuw.",
        ),
        Cause::MuxElsewhere => (
            "USBMUXD_SOCKET_ADDRESS wijst naar een plek waar niemand antwoordt.",
            "Haal de variabele weg, of start wat daar hoort te luisteren.",
        ),
        Cause::MuxBlind => (
            "De computer ziet een toestel dat usbmuxd niet laat zien.",
            "Ontgrendel het toestel en sluit het opnieuw aan. Helpt dat niet, start usbmuxd dan opnieuw.",
        ),
        Cause::UsbAway => (
            "De USB-bus is niet uit te lezen zoals hij is.",
            "In een container of virtuele machine moet USB worden doorgegeven. Sluit anders opnieuw aan, op een andere poort.",
        ),
        Cause::NoBus => (
            "Er is hier geen USB. Met de socket van usbmuxd werkt de gewone modus toch; voor een herstel is de bus nodig.",
            "Geef in een container of virtuele machine USB door. Kijk anders of de kernel het heeft.",
        ),
        Cause::NoStartRule => (
            "Geen enkele udev-regel start usbmuxd als je een toestel aansluit.",
            "Installeer het pakket usbmuxd opnieuw voor zijn regel, of start het met de hand voor je begint.",
        ),
        Cause::StartFailed => (
            "Een regel start usbmuxd als er een toestel komt, maar nu draait het niet. Het stopt als het laatste toestel weggaat.",
            "Start het met de hand, of sluit het toestel opnieuw aan.",
        ),
        Cause::RuleMissing => (
            "Geen udev-regel geeft je toestellen in herstelmodus of DFU. Je ziet ze dan wel, maar kunt er niet bij.",
            "Installeer de regel van Herstel en sluit opnieuw aan.",
        ),
        Cause::RulePartly => (
            "De regels openen sommige modi, niet alle. Vaak ontbreekt Port-DFU (f014), waar een USB-C-model in kan belanden.",
            "Zet de regel van Herstel ernaast en sluit opnieuw aan.",
        ),
        Cause::RuleLate => (
            "Een regel geeft het toestel aan wie achter de computer zit, maar te laat: het nummer van het bestand moet onder 73 zijn.",
            "Hernoem dat bestand of installeer de regel van Herstel. Sluit daarna opnieuw aan.",
        ),
        Cause::NodeRefused => (
            "Deze gebruiker mag niet bij een toestel dat is aangesloten.",
            "Installeer de regel van Herstel en sluit opnieuw aan. Als root gaat het ook, maar dat laat bestanden van root achter.",
        ),
        Cause::NotInGroup => (
            "De regel geeft de toestellen aan een groep waar jij niet in zit.",
            "Word lid van de groep, meld je af en weer aan.",
        ),
        Cause::NoSeat => (
            "De regel geldt voor wie achter de computer zit; jij bent via het netwerk aangemeld.",
            "Installeer de regel van Herstel, die ook een groep noemt, en word lid van die groep (plugdev).",
        ),
        Cause::AsRoot => (
            "Je bent root. Dat werkt, maar wat Herstel schrijft wordt dan van root.",
            "Draai het liever als jezelf; met de udev-regel is root niet nodig.",
        ),
        Cause::RootsFiles => (
            "Sommige bestanden van Herstel zijn van root, van een eerdere keer met sudo. Misschien kun jij daar niet schrijven.",
            "Maak ze weer van jezelf.",
        ),
        Cause::TwoDaemons => (
            "Er praat meer dan één daemon met toestellen. Elk heeft eigen gegevens, dus vraagt het toestel weer om vertrouwen.",
            "Houd er één over. Kijk ook naar containers met een eigen usbmuxd.",
        ),
        Cause::RecordsUnseen => (
            "Deze gebruiker mag niet in de koppelbestanden kijken. Zo stellen de meeste distributies het in.",
            "Niets, tenzij er steeds om vertrouwen wordt gevraagd: kijk dan met sudo.",
        ),
        Cause::RecordsForeign => (
            "Koppelbestanden zijn van een andere gebruiker dan die van usbmuxd, en die kan ze niet lezen.",
            "Geef ze aan de eigenaar van hun map.",
        ),
        Cause::RecordsEmpty => (
            "Een koppelbestand is leeg; misschien was de schijf ooit vol.",
            "Verwijder dat ene bestand, sluit opnieuw aan en vertrouw deze computer weer.",
        ),
        Cause::LockedSinceBoot => (
            "Het toestel is sinds het opstarten niet ontgrendeld en laat dus niemand binnen.",
            "Voer één keer de toegangscode in op het toestel en houd het wakker. Geen toegangscode? `herstel triage`.",
        ),
        Cause::TrustStale => (
            "Deze computer heeft een koppelbestand dat het toestel niet meer kent.",
            "Vergeet het oude en vraag opnieuw; iemand moet op het ontgrendelde toestel op Vertrouw tikken.",
        ),
        Cause::OldLibrary => (
            "De libimobiledevice van de distributie is ouder dan 1.4 en kan vastlopen op iOS 17 en later.",
            "Voor Herstel hoeft er niets: het gebruikt deze niet. Andere programma's hier hebben een nieuwere nodig.",
        ),
        Cause::FilesGrab => (
            "De camera- of schijfdienst van de bestandsbeheerder houdt het toestel vast.",
            "Ontkoppel het toestel daar, of stop de dienst zolang je bezig bent.",
        ),
        Cause::OtherHolds => {
            ("Een ander programma houdt het toestel vast.", "Sluit dat programma netjes af en probeer het opnieuw.")
        }
        Cause::ModemProbes => (
            "ModemManager draait, en niets houdt het weg bij toestellen in herstelmodus of DFU. Het kan ertegen gaan praten.",
            "Installeer de regel van Herstel, of stop ModemManager zolang je bezig bent.",
        ),
        Cause::TetheringTakes => (
            "Het stuurprogramma voor de hotspot heeft het toestel en usbmuxd niet; ze kunnen om de configuratie vechten.",
            "Haal dat stuurprogramma even weg en start usbmuxd opnieuw. Bij opnieuw aansluiten komt het terug.",
        ),
        Cause::LabelsWrong => (
            "SELinux verbiedt, en een label lijkt niet op dat van usbmuxd. Dit is een hint: het beleid verschilt per distributie.",
            "Zet de labels zoals het beleid ze wil.",
        ),
        Cause::LabelsUnseen => (
            "SELinux verbiedt, en de labels zijn vanaf hier niet te lezen.",
            "Bekijk ze; staat usbmuxd er niet in, herstel ze dan met restorecon.",
        ),
        Cause::InFlatpak => (
            "Herstel draait in een Flatpak: de bus en usbmuxd zijn daar verborgen, en aansluiten wordt niet gemeld.",
            "Zet er deuren in open, of draai het erbuiten.",
        ),
        Cause::InSnap => (
            "Herstel draait opgesloten in een Snap, zonder deur naar usbmuxd of de koppelbestanden.",
            "Draai het buiten de Snap.",
        ),
        Cause::NodesMissing => (
            "De kernel laat een toestel zien, maar deze container heeft er geen apparaatbestand voor.",
            "Start de container met de USB-map en het recht erop. Voor de gewone modus is alleen de socket genoeg.",
        ),
        Cause::NoUsbFolder => (
            "Deze container heeft geen USB. De gewone modus werkt met alleen de socket van usbmuxd; herstellen vraagt ook de bus.",
            "Start de container met de USB-map, het recht erop, en de map van udev voor het aansluiten.",
        ),
        Cause::InWsl => (
            "Dit is WSL. Elke andere modus is een nieuw apparaat, dat Windows terugneemt; oude kernels missen onderdelen.",
            "Koppel in Windows met --auto-attach. Gebruik voor een herstel liever een Linux dat zelfstandig draait.",
        ),
        Cause::InVirtualMachine => (
            "Dit is een virtuele machine. Elke modus van het toestel is daar een ander apparaat.",
            "Geef 05ac:12a8, 1281, 1227 en f014 door, of liever de hele USB-controller.",
        ),
        Cause::RaspberryPi => (
            "Dit is een Raspberry Pi. De poorten geven weinig stroom; een toestel kan halverwege uitvallen.",
            "Gebruik een hub met eigen voeding en een goede 5V-voeding. Iets anders dan 0x0 betekent te weinig spanning.",
        ),
        Cause::OverCurrent => (
            "Een poort is uitgeschakeld omdat er te veel stroom werd gevraagd.",
            "Neem een andere poort of een hub met eigen voeding, en een andere kabel.",
        ),
        Cause::ManyPhones => (
            "Er zijn meer dan tien toestellen aangesloten. Zoveel tegelijk mislukt vaak, door stroom of door geduld.",
            "Werk in groepen van hooguit tien, op hubs die elke poort minstens een halve ampère geven.",
        ),
        Cause::SlowLink => (
            "Een toestel is trager dan 480 Mbit/s verbonden: dat ligt aan de kabel, de hub of de poort.",
            "Probeer een andere kabel, rechtstreeks in de computer.",
        ),
        Cause::DeepHubs => (
            "Er zitten twee of meer hubs tussen het toestel en de computer. Herstellen mislukt dan vaak; achter drie bijna altijd.",
            "Sluit rechtstreeks aan op de computer, of gebruik één goede hub.",
        ),
        Cause::LinkDrops => (
            "Een toestel viel van de bus tijdens het kijken. Heb je het niet zelf losgehaald, dan deugt de kabel of poort niet.",
            "Probeer een andere kabel en poort. Gebruik voor DFU van oudere modellen USB-A; USB-C naar Lightning mislukt vaak.",
        ),
        Cause::NotWatched => {
            ("Of de verbinding blijft staan, is niet bekeken.", "Kijk een tijdje mee, en beweeg de stekker een beetje.")
        }
        Cause::LockedCanBeRestored => (
            "Ja: herstelmodus en DFU vragen geen toegangscode. Alle gegevens gaan verloren en het activeringsslot blijft.",
            "Bekijk welke wegen er nog zijn voor je iets wist.",
        ),
        Cause::SuspendOn => {
            ("De kernel mag de poort van een toestel laten slapen.", "Houd hem wakker tot je het toestel loshaalt.")
        }
        Cause::TlpSuspends => (
            "TLP laat USB-poorten slapen en zondert geen toestellen van Apple uit.",
            "Noem die toestellen in de lijst met uitzonderingen.",
        ),
        Cause::NoInhibitor => (
            "Er is geen systemd-inhibit, dus niets houdt deze computer wakker tijdens een herstel.",
            "Zet de slaapstand met de hand uit en laat de klep open.",
        ),
        Cause::BatteryLow => {
            ("Deze computer draait op een batterij die bijna leeg is.", "Sluit de voeding aan voor je begint.")
        }
        Cause::RoomShort => (
            "Er is weinig plaats vrij op de schijf.",
            "Maak plaats; drie keer de firmware (zo'n 30 GB) is ruim genoeg.",
        ),
        Cause::RoomNone => ("De schijf is te vol.", "Maak eerst plaats, of gebruik een map op een andere schijf."),
        Cause::RoomUnseen => ("De vrije ruimte is niet te lezen.", "Kijk zelf voor je aan een lange klus begint."),
        Cause::ClockWrong => (
            "De klok van deze computer staat meer dan een dag verkeerd. Certificaten en tickets worden dan geweigerd.",
            "Zet hem goed, het liefst via het netwerk.",
        ),
        Cause::ClockDrifts => {
            ("De klok van deze computer loopt een paar minuten uit de pas.", "Laat hem de netwerktijd volgen.")
        }
        Cause::ClockUnproven => {
            ("Er was niets om te vragen of de klok goed staat.", "Vergelijk hem met een andere klok.")
        }
        Cause::HostsAway => (
            "Een server van Apple is niet te bereiken. Zonder kan er niets worden opgehaald of ondertekend.",
            "Kijk naar het netwerk, een firewall of een filter. Voor reservekopieën is geen netwerk nodig.",
        ),
        Cause::HostsOnlyByProxy => (
            "De servers van Apple zijn alleen via een proxy te bereiken. Delen van een herstel gaan daar langs en kunnen mislukken.",
            "Gebruik voor een herstel een netwerk zonder proxy.",
        ),
        Cause::PortalAnswers => (
            "Op de plek van Apple antwoordt een webpagina: de aanmelding van een gastnetwerk, of een filter.",
            "Meld je aan met een browser, of neem een ander netwerk.",
        ),
        Cause::CalibrationAway => (
            "Servers die het toestel zelf halverwege een herstel nodig heeft, zijn hier niet te bereiken.",
            "Kijk naar firewall en filter; een proxy helpt het toestel niet.",
        ),
        Cause::Offline => {
            ("De servers van Apple zijn niet geprobeerd.", "Draai het voor een herstel nog eens zonder --offline.")
        }
        Cause::ProxySet => (
            "Er is een proxy ingesteld. Herstel haalt er bestanden mee op; wat het toestel zelf vraagt, gaat eromheen.",
            "Gebruik voor een herstel liever een netwerk zonder proxy.",
        ),
        Cause::HostsNamed => (
            "Het hosts-bestand geeft namen van Apple een adres.",
            "Haal die regels weg, tenzij je weet waarom ze er staan.",
        ),
        Cause::HostsMoved => (
            "Het hosts-bestand stuurt de ondertekenserver van Apple ergens anders heen; dat laten oude programma's achter. Zo lukt geen herstel.",
            "Haal die regel weg.",
        ),
        Cause::NoResolver => ("Namen van servers zijn niet op te zoeken.", "Kijk naar het netwerk en de naamserver."),
        Cause::ResolverLies => (
            "De naamserver geeft voor een server van Apple een adres in je eigen netwerk: een filter.",
            "Laat de namen van Apple door in dat filter, of neem een andere naamserver.",
        ),
        Cause::Unreadable => (
            "Niet alles was te bekijken; de reden staat erbij.",
            "Kijk zelf als het ertoe doet, of draai dit één keer met sudo.",
        ),
    };
    Advice { what, next }
}
