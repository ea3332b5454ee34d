//! The words of the coach: short, since they are read with both hands on a phone.

use super::Lang;

/// Everything that the coach says; `keys` come from [`keys`].
#[derive(Clone, Debug)]
pub enum Coach {
    TitleRestart,
    TitleOff,
    TitleRecovery,
    TitleDfu,
    TitleExit,
    /// Above the steps, where it applies.
    HintLightning,
    HintPad,
    HintUnsure,
    HintScreenFacts,
    Try {
        attempt: u32,
        tries: u32,
    },
    Step {
        number: usize,
        of: usize,
    },
    PressEnter {
        keys: String,
    },
    StartsSoon {
        keys: String,
    },
    Controls,
    Wake {
        power: String,
    },
    Ready {
        keys: String,
        left: u32,
    },
    Tap {
        keys: String,
    },
    HoldFor {
        keys: String,
        seconds: u32,
    },
    HoldBlack {
        keys: String,
        seconds: u32,
    },
    HoldPicture {
        keys: String,
    },
    HoldDark {
        keys: String,
    },
    ResetNow {
        keys: String,
    },
    LetGo {
        keys: String,
    },
    LetGoAll,
    Soon {
        keys: String,
    },
    SoonLetGo,
    CableOut,
    CableIn {
        keys: String,
    },
    Slide,
    Boots,
    Verdict,
    ReachedDfu,
    ReachedRecovery,
    ReachedNormal,
    ReachedOff,
    AlreadyThere,
    ByCommand,
    ByCommandFailed,
    MissNeverReset {
        taps: bool,
    },
    MissWentTooFar,
    MissLetGoEarly,
    MissReachedRecovery,
    MissReachedDfu,
    MissDark,
    MissCameBack,
    MissStillOn,
    MissLoop,
    MissNoReset,
    MissElsewhere {
        mode: String,
    },
    NextAgain,
    NextSooner,
    NextLater,
    NextWake {
        power: String,
    },
    NextAssisted,
    NextByHand,
    SvgSaved {
        file: String,
    },
    PaperFoot,
}

pub fn coach(lang: Lang, text: &Coach) -> String {
    match lang {
        Lang::En => en(text),
        Lang::Nl => nl(text),
    }
}

/// Key words as a list that is read aloud: "Side and Volume Down".
pub fn keys(lang: Lang, words: &[&str]) -> String {
    let names: Vec<&str> = words.iter().map(|w| super::key(lang, w)).collect();
    let and = match lang {
        Lang::En => " and ",
        Lang::Nl => " en ",
    };
    names.join(and)
}

fn en(text: &Coach) -> String {
    use Coach as C;
    let fixed = match text {
        C::TitleRestart => "Force restart",
        C::TitleOff => "Power off",
        C::TitleRecovery => "Recovery mode",
        C::TitleDfu => "DFU mode",
        C::TitleExit => "Leave recovery or DFU",
        C::HintLightning => "Use a USB-A cable, with an adapter if need be: USB-C to Lightning often breaks DFU.",
        C::HintPad => "Take the case off. Volume keys are named by their distance from the top button.",
        C::HintUnsure => "This sequence comes from few sources; it may not be exact.",
        C::HintScreenFacts => "In DFU the screen stays black. A logo or a picture means it is not DFU.",
        C::Controls => "Enter begins - space stops and begins anew - Ctrl-C leaves",
        C::LetGoAll => "Let go of everything.",
        C::SoonLetGo => "Next: let go of everything",
        C::CableOut => "Unplug the cable, and make sure that the device is off. Enter goes on.",
        C::Slide => "Let go, and slide the power slider on the screen.",
        C::Boots => "Let go: the Apple logo comes. Waiting until the system has started.",
        C::Verdict => "Let go of everything. Looking what it did.",
        C::ReachedDfu => "DFU reached. Let go of everything; the screen stays black.",
        C::ReachedRecovery => "Recovery mode reached. Let go of everything.",
        C::ReachedNormal => "Its system has started.",
        C::ReachedOff => "It is off.",
        C::AlreadyThere => "It is in that mode already.",
        C::ByCommand => "No keys needed: asking the device by command.",
        C::ByCommandFailed => "By command it does not work now, so by hand.",
        C::MissNeverReset { taps: true } => {
            "It was not reset. The two taps must be short, and the hold must follow at once; if Siri answered, the taps came too late."
        }
        C::MissNeverReset { taps: false } => "It was not reset: the keys were not down together, or not long enough.",
        C::MissWentTooFar => "It started its system: the power key was held too long, or the other key let go.",
        C::MissLetGoEarly => "It started its system: let go too early. Hold on past the Apple logo.",
        C::MissReachedRecovery => "That is recovery mode: the power key was held too long.",
        C::MissReachedDfu => "That is DFU: only one key was still held.",
        C::MissDark => "Nothing on USB: it is off, or the keys were let go too early. Look at the cable too.",
        C::MissCameBack => "It came back by itself instead of staying off.",
        C::MissStillOn => "It is still on: the slider was not slid to the end.",
        C::MissLoop => {
            "Recovery mode came again: its system does not start. Update it (keeps the data), then think of erasing."
        }
        C::MissNoReset => "The device did not take the reset.",
        C::NextAgain => "The same once more.",
        C::NextSooner => "The next try holds both keys a little shorter.",
        C::NextLater => "The next try holds both keys a little longer.",
        C::NextAssisted => "A good place to start from: this time Herstel makes the reset itself.",
        C::NextByHand => "This time with the keys alone.",
        C::PaperFoot => "Made by Herstel. Apple never asks for a password, code or recovery key.",
        C::Try { attempt, tries } => return format!("try {attempt} of {tries}"),
        C::Step { number, of } => return format!("step {number} of {of}"),
        C::PressEnter { keys } => return format!("Cable in, fingers on {keys}, nothing pressed yet. Enter begins."),
        C::StartsSoon { keys } => {
            return format!("Cable in, fingers on {keys}, nothing pressed yet. It begins in a moment.");
        }
        C::Wake { power } | C::NextWake { power } => {
            return format!("First wake it: hold {power} until the Apple logo, then wait.");
        }
        C::Ready { keys, left } => return format!("Ready on {keys} ... {left}"),
        C::Tap { keys } => return format!("Tap {keys}"),
        C::HoldFor { keys, seconds } => return format!("Hold {keys}: {seconds} s"),
        C::HoldBlack { keys, seconds: 0 } => return format!("Hold {keys} until the screen goes black"),
        C::HoldBlack { keys, seconds } => return format!("Hold {keys} until the screen goes black, about {seconds} s"),
        C::HoldPicture { keys } => return format!("Hold {keys} past the Apple logo, until cable and computer show"),
        C::HoldDark { keys } => return format!("Hold {keys}; the screen stays black"),
        C::ResetNow { keys } => return format!("Keep holding {keys}: Herstel resets it now"),
        C::LetGo { keys } => return format!("Let go of {keys}"),
        C::Soon { keys } => return format!("Next: {keys}"),
        C::CableIn { keys } => {
            return format!("Hold {keys}, plug the cable in, and keep holding until cable and computer show");
        }
        C::MissElsewhere { mode } => return format!("It is in {mode} mode, which no keys lead to."),
        C::SvgSaved { file } => return format!("The sheet is {file}"),
    };
    fixed.to_owned()
}

fn nl(text: &Coach) -> String {
    use Coach as C;
    let fixed = match text {
        C::TitleRestart => "Geforceerd herstarten",
        C::TitleOff => "Uitzetten",
        C::TitleRecovery => "Herstelmodus",
        C::TitleDfu => "DFU-modus",
        C::TitleExit => "Uit herstelmodus of DFU",
        C::HintLightning => "Neem een USB-A-kabel, desnoods met verloopje: met USB-C naar Lightning mislukt DFU vaak.",
        C::HintPad => "Haal het hoesje eraf. De volumeknoppen heten naar hun afstand tot de bovenste knop.",
        C::HintUnsure => "Deze volgorde komt uit weinig bronnen en klopt misschien niet precies.",
        C::HintScreenFacts => "In DFU blijft het scherm zwart. Zie je een logo of plaatje, dan is het geen DFU.",
        C::Controls => "Enter begint - spatie stopt en begint opnieuw - Ctrl-C gaat weg",
        C::LetGoAll => "Laat alles los.",
        C::SoonLetGo => "Zo meteen: alles loslaten",
        C::CableOut => "Trek de kabel eruit en zorg dat het toestel uit staat. Enter gaat verder.",
        C::Slide => "Laat los en veeg de schuif op het scherm opzij.",
        C::Boots => "Laat los: het Apple-logo komt. Wachten tot het systeem gestart is.",
        C::Verdict => "Laat alles los. Even kijken wat hij deed.",
        C::ReachedDfu => "Hij staat in DFU. Laat alles los; het scherm blijft zwart.",
        C::ReachedRecovery => "Hij staat in herstelmodus. Laat alles los.",
        C::ReachedNormal => "Het systeem is gestart.",
        C::ReachedOff => "Hij staat uit.",
        C::AlreadyThere => "Hij staat al in die modus.",
        C::ByCommand => "Knoppen zijn niet nodig: het gaat met een opdracht.",
        C::ByCommandFailed => "Met een opdracht lukt het nu niet, dus met de hand.",
        C::MissNeverReset { taps: true } => {
            "Hij is niet herstart. De twee tikken moeten kort zijn en het indrukken meteen erna; kwam Siri, dan was je te laat."
        }
        C::MissNeverReset { taps: false } => "Hij is niet herstart: de knoppen waren niet samen ingedrukt, of te kort.",
        C::MissWentTooFar => "Het systeem startte: de aan/uit-knop te lang vast, of de andere knop losgelaten.",
        C::MissLetGoEarly => "Het systeem startte: te vroeg losgelaten. Houd vast tot na het Apple-logo.",
        C::MissReachedRecovery => "Dit is herstelmodus: de aan/uit-knop is te lang vastgehouden.",
        C::MissReachedDfu => "Dit is DFU: er was nog maar één knop ingedrukt.",
        C::MissDark => "Niets op USB: hij staat uit, of je liet te vroeg los. Kijk ook naar de kabel.",
        C::MissCameBack => "Hij kwam vanzelf terug in plaats van uit te blijven.",
        C::MissStillOn => "Hij staat nog aan: de schuif is niet helemaal opzij geveegd.",
        C::MissLoop => {
            "Weer herstelmodus: het systeem start niet. Werk bij (gegevens blijven), denk dan pas aan wissen."
        }
        C::MissNoReset => "Het toestel nam de reset niet aan.",
        C::NextAgain => "Nog een keer hetzelfde.",
        C::NextSooner => "De volgende poging houdt beide knoppen iets korter vast.",
        C::NextLater => "De volgende poging houdt beide knoppen iets langer vast.",
        C::NextAssisted => "Een goed begin: nu doet Herstel de reset zelf.",
        C::NextByHand => "Nu alleen met de knoppen.",
        C::PaperFoot => "Gemaakt door Herstel. Apple vraagt nooit om een wachtwoord, code of herstelsleutel.",
        C::Try { attempt, tries } => return format!("poging {attempt} van {tries}"),
        C::Step { number, of } => return format!("stap {number} van {of}"),
        C::PressEnter { keys } => return format!("Kabel erin, vingers op {keys}, nog niets indrukken. Enter begint."),
        C::StartsSoon { keys } => return format!("Kabel erin, vingers op {keys}, nog niets indrukken. Het begint zo."),
        C::Wake { power } | C::NextWake { power } => {
            return format!("Maak hem eerst wakker: houd {power} vast tot het Apple-logo en wacht.");
        }
        C::Ready { keys, left } => return format!("Klaar op {keys} ... {left}"),
        C::Tap { keys } => return format!("Tik op {keys}"),
        C::HoldFor { keys, seconds } => return format!("Houd {keys} vast: {seconds} s"),
        C::HoldBlack { keys, seconds: 0 } => return format!("Houd {keys} vast tot het scherm zwart wordt"),
        C::HoldBlack { keys, seconds } => {
            return format!("Houd {keys} vast tot het scherm zwart wordt, ongeveer {seconds} s");
        }
        C::HoldPicture { keys } => {
            return format!("Houd {keys} vast tot na het Apple-logo, tot je kabel en computer ziet");
        }
        C::HoldDark { keys } => return format!("Houd {keys} vast; het scherm blijft zwart"),
        C::ResetNow { keys } => return format!("Houd {keys} vast: Herstel reset hem nu"),
        C::LetGo { keys } => return format!("Laat {keys} los"),
        C::Soon { keys } => return format!("Zo meteen: {keys}"),
        C::CableIn { keys } => {
            return format!("Houd {keys} vast, steek de kabel erin en houd vast tot je kabel en computer ziet");
        }
        C::MissElsewhere { mode } => return format!("Hij staat in {mode}-modus; daar leiden geen knoppen heen."),
        C::SvgSaved { file } => return format!("Het blad staat in {file}"),
    };
    fixed.to_owned()
}
