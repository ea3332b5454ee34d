//! What happened and what helps, where the device told a number: one exhaustive match per language.

use super::Advice;
use crate::fault::Remedy;

pub(super) fn en(remedy: Remedy) -> Advice {
    let (what, next) = match remedy {
        Remedy::Unlock => (
            "The device could not open its protected data",
            "Unlock it, leave the screen on until the backup is done, and run the same command again.",
        ),
        Remedy::RestartDevice => (
            "Something of an earlier run is in the way on the device",
            "Restart the device, unlock it once, and run the same command again.",
        ),
        Remedy::WaitForCloud => (
            "The device is still getting its data back from iCloud",
            "Wait until Settings, name, iCloud, Backup no longer says so (it needs Wi-Fi), then run the command again.",
        ),
        Remedy::DeviceStorage => (
            "The device cannot read or write its own storage",
            "Restart it and try once more. If it stays, its storage is failing: save the photos first, do not erase it yet.",
        ),
        Remedy::DeviceFile => (
            "The device stumbled over one of its own files",
            "Restart it and run the command again; if the same number comes back, update its iOS, which mends such files.",
        ),
        Remedy::UnreadableFiles => (
            "The device could not read several of its files",
            "Unlock it, keep the screen on, free some room on it, restart it and try again. If files are \
             named in the detail, remove those on the device or copy them elsewhere first.",
        ),
        Remedy::SnapshotLeft => (
            "The remains of an unfinished backup could not be removed",
            "Run the same command again: it starts from the last good backup, which is untouched. If it repeats, use --full.",
        ),
        Remedy::HostRoom => (
            "This computer has too little room, as the device counts it",
            "Make room or use another disk with --vault. The device may count far too much; what it wants is in the \
             detail. The previous backup is untouched.",
        ),
        Remedy::DeviceRoom => (
            "The device has too little room for the backup",
            "Free room on it, or choose a device with more storage; leave --copy-first out, which needs room twice.",
        ),
        Remedy::UpdateRoom => (
            "The device is too full for an update that keeps its data",
            "Delete something large on it (videos, apps), restart it and try again: 5 GB free is a safe amount. Nothing \
             was changed.",
        ),
        Remedy::StoppedThere => {
            ("It was stopped on the device", "Run the same command again, and leave the device alone.")
        }
        Remedy::UpdateDevice => (
            "The backup comes from a newer system than the device has",
            "Update the device to at least the version of the backup, then put the backup back.",
        ),
        Remedy::BackupVersion => (
            "The device does not go on with the older backup here",
            "Make a fresh one beside it with --full; the older one stays.",
        ),
        Remedy::VerifyBackup => (
            "The device found the backup damaged or not complete",
            "Run `herstel backups verify` on it; an older generation may be whole. Do not delete anything.",
        ),
        Remedy::StartFresh => (
            "The device found the older backup damaged and does not go on with it",
            "Make a fresh one with --full. The older one stays; `herstel backups verify` says what is wrong with it.",
        ),
        Remedy::Password => (
            "The backup password is wrong or needed",
            "It is the one that was chosen when encryption was switched on; not the passcode and not the Apple Account \
             password.",
        ),
        Remedy::OldPassword => (
            "The old backup password is wrong",
            "Nothing was changed. It is not the passcode; if nobody knows it, Settings, General, Reset, Reset All \
             Settings on the device takes it away for new backups.",
        ),
        Remedy::PasswordDemanded => (
            "The device makes no backup without encryption, or its backup password does not fit",
            "An organisation's profile may demand it: switch encryption on and choose a password, then back up again.",
        ),
        Remedy::Passcode => (
            "The passcode was not entered on the device",
            "Start again and enter it when the device asks. From iOS 15.7.1 and 16.1 on nobody makes a backup without it.",
        ),
        Remedy::FindMy => (
            "Find My is on",
            "Switch it off on the device (Settings, name, Find My), which needs the Apple Account password; then try again.",
        ),
        Remedy::Setup => (
            "The device is still in its setup",
            "Finish the setup on the screen, or stop at \"Apps & Data\" and put the backup back from there.",
        ),
        Remedy::Unknown => (
            "The device refused with a number that nobody has explained",
            "Its own words are in the detail. Restart it and try once more; if it repeats, please report number and words.",
        ),
    };
    Advice { what, next }
}

pub(super) fn nl(remedy: Remedy) -> Advice {
    let (what, next) = match remedy {
        Remedy::Unlock => (
            "Het toestel kon niet bij zijn beveiligde gegevens",
            "Ontgrendel het, laat het scherm aan tot de reservekopie klaar is, en geef dezelfde opdracht opnieuw.",
        ),
        Remedy::RestartDevice => (
            "Op het toestel zit iets van een eerdere keer in de weg",
            "Herstart het toestel, ontgrendel het één keer, en geef dezelfde opdracht opnieuw.",
        ),
        Remedy::WaitForCloud => (
            "Het toestel haalt zijn gegevens nog terug uit iCloud",
            "Wacht tot Instellingen, naam, iCloud, Reservekopie dat niet meer zegt (daar is wifi voor nodig) en probeer het dan opnieuw.",
        ),
        Remedy::DeviceStorage => (
            "Het toestel kan zijn eigen opslag niet lezen of schrijven",
            "Herstart het en probeer het nog één keer. Blijft het, dan gaat de opslag stuk: red eerst de foto's en wis het nog niet.",
        ),
        Remedy::DeviceFile => (
            "Het toestel struikelde over een van zijn eigen bestanden",
            "Herstart het en geef de opdracht opnieuw; komt hetzelfde nummer terug, werk dan iOS bij, dat herstelt zulke bestanden.",
        ),
        Remedy::UnreadableFiles => (
            "Het toestel kon een aantal van zijn bestanden niet lezen",
            "Ontgrendel het, laat het scherm aan, maak er wat ruimte vrij, herstart het en probeer het opnieuw. Staan er \
             bestanden bij detail, verwijder die dan van het toestel of kopieer ze eerst.",
        ),
        Remedy::SnapshotLeft => (
            "De resten van een onvoltooide reservekopie waren niet weg te halen",
            "Geef dezelfde opdracht opnieuw: die begint bij de laatste goede reservekopie, die onaangeroerd is. Komt \
             het terug, gebruik dan --full.",
        ),
        Remedy::HostRoom => (
            "Deze computer heeft te weinig ruimte, zoals het toestel het telt",
            "Maak ruimte of kies een andere schijf met --vault. Het toestel telt soms veel te veel; wat het wil, staat \
             bij detail. De vorige reservekopie is onaangeroerd.",
        ),
        Remedy::DeviceRoom => (
            "Het toestel heeft te weinig ruimte voor de reservekopie",
            "Maak er ruimte op, of kies een toestel met meer opslag; laat --copy-first weg, dat vraagt dubbel zoveel.",
        ),
        Remedy::UpdateRoom => (
            "Het toestel is te vol voor een update die de gegevens houdt",
            "Gooi er iets groots af (video's, apps), start het opnieuw op en probeer het nog eens: met 5 GB vrij zit je \
             goed. Er is niets veranderd.",
        ),
        Remedy::StoppedThere => {
            ("Het is op het toestel gestopt", "Geef dezelfde opdracht opnieuw, en laat het toestel dan met rust.")
        }
        Remedy::UpdateDevice => (
            "De reservekopie komt van een nieuwer systeem dan het toestel heeft",
            "Werk het toestel bij tot minstens de versie van de reservekopie en zet die dan terug.",
        ),
        Remedy::BackupVersion => (
            "Het toestel gaat niet verder met de oudere reservekopie hier",
            "Maak er met --full een nieuwe naast; de oudere blijft staan.",
        ),
        Remedy::VerifyBackup => (
            "Volgens het toestel is de reservekopie beschadigd of niet compleet",
            "Draai er `herstel backups verify` op; misschien is een oudere wel heel. Verwijder niets.",
        ),
        Remedy::StartFresh => (
            "Volgens het toestel is de oudere reservekopie beschadigd; het gaat er niet mee verder",
            "Maak een nieuwe met --full. De oudere blijft staan; `herstel backups verify` zegt wat eraan mankeert.",
        ),
        Remedy::Password => (
            "Het wachtwoord van de reservekopie is fout of nodig",
            "Het is het wachtwoord van toen versleutelen werd aangezet; niet de toegangscode en niet het wachtwoord van \
             het Apple-account.",
        ),
        Remedy::OldPassword => (
            "Het oude wachtwoord voor reservekopieën is fout",
            "Er is niets veranderd. Het is niet de toegangscode; weet niemand het meer, dan haalt Instellingen, \
             Algemeen, Stel opnieuw in, Herstel alle instellingen het weg voor nieuwe reservekopieën.",
        ),
        Remedy::PasswordDemanded => (
            "Het toestel maakt geen reservekopie zonder versleuteling, of het wachtwoord past niet",
            "Misschien eist een profiel van een organisatie dat: zet versleutelen aan, kies een wachtwoord en probeer het opnieuw.",
        ),
        Remedy::Passcode => (
            "De toegangscode is niet ingevoerd op het toestel",
            "Begin opnieuw en voer hem in als het toestel erom vraagt. Vanaf iOS 15.7.1 en 16.1 maakt niemand zonder \
             die code een reservekopie.",
        ),
        Remedy::FindMy => (
            "Zoek mijn staat aan",
            "Zet het uit op het toestel (Instellingen, naam, Zoek mijn); daar is het wachtwoord van het Apple-account \
             voor nodig. Probeer het daarna opnieuw.",
        ),
        Remedy::Setup => (
            "Het toestel is nog niet klaar met instellen",
            "Maak het instellen af, of stop bij \"Apps en gegevens\" en zet de reservekopie van daaruit terug.",
        ),
        Remedy::Unknown => (
            "Het toestel weigerde met een nummer dat nog niemand heeft verklaard",
            "Wat het zelf zei, staat bij detail. Herstart het en probeer het nog één keer; blijft het, meld dan nummer en tekst.",
        ),
    };
    Advice { what, next }
}
