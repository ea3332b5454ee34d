//! Whether a backup can still be made, said before an erase.

use crate::event::{Caveat, Ground, Possible};

pub(super) fn possible_en(possible: Possible) -> &'static str {
    match possible {
        Possible::Yes => "A backup can be made now.",
        Possible::WithTrust => "A backup can be made once somebody taps Trust on the device.",
        Possible::WithPasscode => {
            "A backup can be made only with the passcode, typed on the device (where one is set)."
        }
        Possible::No => "No backup can be made of the device as it is now.",
    }
}

pub(super) fn possible_nl(possible: Possible) -> &'static str {
    match possible {
        Possible::Yes => "Een reservekopie kan nu worden gemaakt.",
        Possible::WithTrust => "Een reservekopie kan, zodra iemand op het toestel op Vertrouw tikt.",
        Possible::WithPasscode => {
            "Een reservekopie kan alleen met de toegangscode, ingetypt op het toestel (als die is ingesteld)."
        }
        Possible::No => "Zoals het toestel nu is, kan er geen reservekopie worden gemaakt.",
    }
}

pub(super) fn ground_en(ground: Ground) -> &'static str {
    match ground {
        Ground::Ready => "It trusts this computer, is unlocked, and its system asks no passcode for a backup.",
        Ground::AsksEachTime => {
            "It trusts this computer. This system asks for the passcode on the device at each backup, if it has one; \
             without it there is no backup."
        }
        Ground::RecordOpens => {
            "It is locked, but it trusts this computer and was unlocked since it started: this system lets such a \
             computer back it up without the passcode."
        }
        Ground::LockedAsks => {
            "It is locked, and this system (from iOS 15.7.1 and 16.1 on) asks for the passcode at each backup. That it \
             trusts this computer does not help: without the passcode nobody makes a backup, and an erase loses all."
        }
        Ground::TrustByTap => {
            "It does not trust this computer yet; on this system a tap on the unlocked screen is enough."
        }
        Ground::TrustByPasscode => {
            "It does not trust this computer yet, and since iOS 11 trust takes the passcode where one is set: \
             without it no backup."
        }
        Ground::LockedStranger => {
            "It is locked and does not trust this computer: without the passcode nobody makes a backup, and an erase \
             loses all."
        }
        Ground::BeforeFirstUnlock => {
            "It was not unlocked since it started, so its data is closed to every computer: without the passcode there \
             is nothing to save, and an erase loses all."
        }
        Ground::Denied => "Don't Trust was tapped: unplug it, plug it in again, and tap Trust.",
        Ground::Lockout => {
            "Its screen says that it is unavailable, disabled or in security lockout: nobody can back it up any more, \
             and an erase loses all that is only on it."
        }
        Ground::NotStarted => {
            "It does not run its own system. If it can still start (`herstel guide exit`), start it and look again \
             before it is erased."
        }
    }
}

pub(super) fn ground_nl(ground: Ground) -> &'static str {
    match ground {
        Ground::Ready => {
            "Het vertrouwt deze computer, is ontgrendeld, en dit systeem vraagt geen toegangscode voor een reservekopie."
        }
        Ground::AsksEachTime => {
            "Het vertrouwt deze computer. Dit systeem vraagt bij elke reservekopie op het toestel om de toegangscode, \
             als die is ingesteld; zonder die code komt er geen."
        }
        Ground::RecordOpens => {
            "Het is vergrendeld, maar vertrouwt deze computer en is sinds het opstarten ontgrendeld geweest: op dit \
             systeem kan zo'n computer zonder toegangscode een reservekopie maken."
        }
        Ground::LockedAsks => {
            "Het is vergrendeld, en dit systeem (vanaf iOS 15.7.1 en 16.1) vraagt bij elke reservekopie om de \
             toegangscode. Dat het deze computer vertrouwt, helpt niet: zonder die code maakt niemand een \
             reservekopie, en na wissen is alles weg."
        }
        Ground::TrustByTap => {
            "Het vertrouwt deze computer nog niet; op dit systeem is een tik op het ontgrendelde scherm genoeg."
        }
        Ground::TrustByPasscode => {
            "Het vertrouwt deze computer nog niet, en sinds iOS 11 is daar de toegangscode voor nodig, als die is \
             ingesteld: zonder code geen reservekopie."
        }
        Ground::LockedStranger => {
            "Het is vergrendeld en vertrouwt deze computer niet: zonder toegangscode maakt niemand een reservekopie, en \
             na wissen is alles weg."
        }
        Ground::BeforeFirstUnlock => {
            "Het is sinds het opstarten niet ontgrendeld, dus de gegevens zijn voor elke computer dicht: zonder \
             toegangscode valt er niets te redden, en na wissen is alles weg."
        }
        Ground::Denied => {
            "Er is op \"Vertrouw niet\" getikt: trek de kabel los, sluit hem weer aan en tik op Vertrouw."
        }
        Ground::Lockout => {
            "Op het scherm staat dat het niet beschikbaar, uitgeschakeld of beveiligd geblokkeerd is: niemand kan er \
             nog een reservekopie van maken, en wat alleen daarop staat is na wissen weg."
        }
        Ground::NotStarted => {
            "Het draait zijn eigen systeem niet. Kan het nog starten (`herstel guide exit`), start het dan en kijk \
             opnieuw voordat het wordt gewist."
        }
    }
}

pub(super) fn caveat_en(caveat: Caveat) -> &'static str {
    match caveat {
        Caveat::KeepItOn => "Do not restart it and keep it charged: after a start nothing opens without the passcode.",
        Caveat::UsbHour => "Leave the cable in: an hour after it was locked it closes its data connection.",
        Caveat::RestartsItself => "After 72 hours without unlocking it restarts by itself.",
        Caveat::PhotosPerhaps => "Photos may still be readable without a backup; nobody can promise that.",
    }
}

pub(super) fn caveat_nl(caveat: Caveat) -> &'static str {
    match caveat {
        Caveat::KeepItOn => {
            "Herstart het niet en houd het opgeladen: na opnieuw opstarten gaat er zonder toegangscode niets meer open."
        }
        Caveat::UsbHour => "Laat de kabel erin: een uur na het vergrendelen sluit het zijn dataverbinding.",
        Caveat::RestartsItself => "Na 72 uur zonder ontgrendelen start het vanzelf opnieuw op.",
        Caveat::PhotosPerhaps => "Foto's zijn misschien nog te lezen zonder reservekopie; dat kan niemand beloven.",
    }
}
