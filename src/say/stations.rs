//! Stations: what `stations` says while a person walks along the bench with one device.

use super::Lang;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stations {
    /// Above a column of numbers.
    Column,
    Header,
    /// No station was taught yet.
    None,
    Virtual,
    TeachIntro,
    TeachKeys,
    TeachNext {
        number: u32,
    },
    Arrived {
        title: String,
        port: String,
    },
    /// It hangs at a port that has its number already.
    ArrivedAt {
        title: String,
        port: String,
        number: u32,
    },
    Left {
        port: String,
    },
    NothingNew,
    Taught {
        number: u32,
        port: String,
    },
    /// A number that the port had before, or a port that the number had.
    GaveWay {
        number: u32,
        port: String,
    },
    Undone {
        number: u32,
    },
    NothingToUndo,
    Skipped {
        number: u32,
    },
    Forgotten {
        number: u32,
    },
    TeachEnd {
        taught: usize,
        all: usize,
    },
}

pub fn stations(lang: Lang, text: &Stations) -> String {
    match lang {
        Lang::En => en(text),
        Lang::Nl => nl(text),
    }
}

fn en(text: &Stations) -> String {
    use Stations as S;
    match text {
        S::Column => "ST".into(),
        S::Header => "STATION|LABEL|PORT|MODE|DEVICE|ECID".into(),
        S::None => "No stations yet. `herstel stations teach` numbers the ports of this bench.".into(),
        S::Virtual => "These are stations of a virtual bench; those of this computer are kept apart.".into(),
        S::TeachIntro => {
            "Take one device from cable to cable. Its newest port gets the number, when you say so.".into()
        }
        S::TeachKeys => "Enter: this port   s: skip the number   r: redo the last one   q: done".into(),
        S::TeachNext { number } => format!("Station {number}: plug the device in there, then press Enter."),
        S::Arrived { title, port } => format!("  seen: {title} at port {port}"),
        S::ArrivedAt { title, port, number } => format!("  seen: {title} at port {port}, which is station {number}"),
        S::Left { port } => format!("  port {port} is empty"),
        S::NothingNew => "  Nothing new was plugged in. Pull the device out and plug it in at this station.".into(),
        S::Taught { number, port } => format!("  Station {number} is port {port}."),
        S::GaveWay { number, port } => format!("  Station {number} is no longer port {port}."),
        S::Undone { number } => format!("  Station {number} is taken back."),
        S::NothingToUndo => "  There is nothing to take back.".into(),
        S::Skipped { number } => format!("  Station {number} is left as it was."),
        S::Forgotten { number } => format!("Station {number} is forgotten."),
        S::TeachEnd { taught, all } => format!("Taught now: {taught}. Stations in all: {all}."),
    }
}

fn nl(text: &Stations) -> String {
    use Stations as S;
    match text {
        S::Column => "PL".into(),
        S::Header => "WERKPLEK|NAAM|POORT|STAND|TOESTEL|ECID".into(),
        S::None => "Er zijn nog geen werkplekken. `herstel stations teach` geeft de poorten een nummer.".into(),
        S::Virtual => "Dit zijn plekken van een virtuele werkbank; die van deze computer staan apart.".into(),
        S::TeachIntro => {
            "Ga met één toestel van kabel naar kabel. De laatste poort krijgt het nummer zodra je dat zegt.".into()
        }
        S::TeachKeys => "Enter: deze poort   s: nummer overslaan   r: laatste opnieuw   q: klaar".into(),
        S::TeachNext { number } => format!("Werkplek {number}: steek het toestel daar in en druk op Enter."),
        S::Arrived { title, port } => format!("  gezien: {title} aan poort {port}"),
        S::ArrivedAt { title, port, number } => format!("  gezien: {title} aan poort {port}, dat is werkplek {number}"),
        S::Left { port } => format!("  poort {port} is leeg"),
        S::NothingNew => "  Er is niets nieuws ingestoken. Trek het toestel eruit en steek het hier in.".into(),
        S::Taught { number, port } => format!("  Werkplek {number} is poort {port}."),
        S::GaveWay { number, port } => format!("  Werkplek {number} is niet langer poort {port}."),
        S::Undone { number } => format!("  Werkplek {number} is teruggenomen."),
        S::NothingToUndo => "  Er is niets om terug te nemen.".into(),
        S::Skipped { number } => format!("  Werkplek {number} blijft zoals hij was."),
        S::Forgotten { number } => format!("Werkplek {number} is vergeten."),
        S::TeachEnd { taught, all } => format!("Nu geleerd: {taught}. Werkplekken in totaal: {all}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_say_it_and_it_fits() {
        use Stations as S;
        let (number, port, title) = (12, String::from("1-1.4.3"), String::from("Anna's iPhone"));
        let all = [
            S::Column,
            S::Header,
            S::None,
            S::Virtual,
            S::TeachIntro,
            S::TeachKeys,
            S::TeachNext { number },
            S::Arrived { title: title.clone(), port: port.clone() },
            S::ArrivedAt { title, port: port.clone(), number },
            S::Left { port: port.clone() },
            S::NothingNew,
            S::Taught { number, port: port.clone() },
            S::GaveWay { number, port },
            S::Undone { number },
            S::NothingToUndo,
            S::Skipped { number },
            S::Forgotten { number },
            S::TeachEnd { taught: 3, all: 16 },
        ];
        for text in &all {
            let (en, nl) = (stations(Lang::En, text), stations(Lang::Nl, text));
            assert!(!en.is_empty() && !nl.is_empty() && en != nl, "{text:?}");
            let long = matches!(text, S::TeachIntro | S::None | S::NothingNew);
            assert!(long || (en.len() <= 80 && nl.len() <= 80), "{text:?}");
        }
        let columns = |lang| stations(lang, &S::Header).split('|').count();
        assert_eq!(columns(Lang::En), columns(Lang::Nl));
    }
}
