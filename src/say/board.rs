//! The board: words for a table that is read from two metres away.

use super::Lang;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Board {
    /// Station, device, mode, step, progress, time.
    Columns,
    Total {
        rows: usize,
    },
    Working {
        count: usize,
    },
    NeedsPerson {
        count: usize,
    },
    Finished {
        count: usize,
    },
    Failures {
        count: usize,
    },
    Keys,
    KeysShort,
    /// In a batch, where a row can be picked.
    PickKeys,
    PickKeysShort,
    /// A row is picked that waits for a person.
    PickDone {
        name: String,
    },
    /// Which rows of how many are on the screen.
    Part {
        from: usize,
        to: usize,
        of: usize,
    },
    Nothing,
    Empty,
    Queued,
    Retry,
    Done,
    Partly,
    Failed,
    Cancelled,
    Gone,
    Station {
        number: u32,
    },
    /// In a batch, where a key does not end the work.
    CtrlC,
    Stranger {
        ecid: String,
    },
}

pub fn board(lang: Lang, text: &Board) -> String {
    match lang {
        Lang::En => en(text),
        Lang::Nl => nl(text),
    }
}

fn en(text: &Board) -> String {
    use Board as B;
    match text {
        B::Columns => "ST|DEVICE|MODE|STEP|PROGRESS|TIME".into(),
        B::Total { rows } => format!("rows: {rows}"),
        B::Working { count } => format!("working: {count}"),
        B::NeedsPerson { count } => format!("NEED YOU: {count}"),
        B::Finished { count } => format!("done: {count}"),
        B::Failures { count } => format!("FAILED: {count}"),
        B::Keys => "sort: s station  d device  p progress  a attention   j k scroll   q quit".into(),
        B::KeysShort => "s d p a sort  j k scroll  q quit".into(),
        B::PickKeys => "arrows pick a row   Enter: it is done   sort: s d p a   Ctrl-C stops".into(),
        B::PickKeysShort => "arrows pick  Enter done  s d p a sort".into(),
        B::PickDone { name } => format!("Enter: it is done for {name}   arrows: another row"),
        B::Part { from, to, of } => format!("{from}-{to} of {of}"),
        B::Nothing => "No device yet. Plug one in.".into(),
        B::Empty => "empty".into(),
        B::Queued => "waits its turn".into(),
        B::Retry => "will be tried again".into(),
        B::Done => "done".into(),
        B::Partly => "partly done".into(),
        B::Failed => "failed".into(),
        B::Cancelled => "cancelled".into(),
        B::Gone => "gone".into(),
        B::Station { number } => format!("station {number}"),
        B::CtrlC => "The work goes on. Ctrl-C stops it, after the step of each device.".into(),
        B::Stranger { ecid } => format!("Another device hangs here ({ecid}): swap it for the one of this row."),
    }
}

fn nl(text: &Board) -> String {
    use Board as B;
    match text {
        B::Columns => "PL|TOESTEL|STAND|STAP|VOORTGANG|TIJD".into(),
        B::Total { rows } => format!("regels: {rows}"),
        B::Working { count } => format!("bezig: {count}"),
        B::NeedsPerson { count } => format!("JIJ NODIG: {count}"),
        B::Finished { count } => format!("klaar: {count}"),
        B::Failures { count } => format!("MISLUKT: {count}"),
        B::Keys => "sorteer: s plek  d toestel  p voortgang  a aandacht   j k blader   q stop".into(),
        B::KeysShort => "s d p a sorteer  j k blader  q stop".into(),
        B::PickKeys => "pijltjes: kies een regel   Enter: gedaan   sorteer: s d p a   Ctrl-C stopt".into(),
        B::PickKeysShort => "pijl kiest  Enter gedaan  s d p a".into(),
        B::PickDone { name } => format!("Enter: gedaan voor {name}   pijltjes: een andere regel"),
        B::Part { from, to, of } => format!("{from}-{to} van {of}"),
        B::Nothing => "Nog geen toestel. Sluit er een aan.".into(),
        B::Empty => "leeg".into(),
        B::Queued => "wacht op zijn beurt".into(),
        B::Retry => "wordt opnieuw gedaan".into(),
        B::Done => "klaar".into(),
        B::Partly => "deels klaar".into(),
        B::Failed => "mislukt".into(),
        B::Cancelled => "afgebroken".into(),
        B::Gone => "weg".into(),
        B::Station { number } => format!("werkplek {number}"),
        B::CtrlC => "Het werk gaat door. Ctrl-C stopt het, na de stap van elk toestel.".into(),
        B::Stranger { ecid } => format!("Hier hangt een ander toestel ({ecid}): hang dat van deze regel eraan."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_say_it_in_the_room_there_is() {
        use Board as B;
        let count = 12;
        let all = [
            B::Columns,
            B::Total { rows: 16 },
            B::Working { count },
            B::NeedsPerson { count },
            B::Finished { count },
            B::Failures { count },
            B::Keys,
            B::KeysShort,
            B::PickKeys,
            B::PickKeysShort,
            B::PickDone { name: "Anna's iPhone".into() },
            B::Part { from: 1, to: 9, of: 16 },
            B::Nothing,
            B::Empty,
            B::Queued,
            B::Retry,
            B::Done,
            B::Partly,
            B::Failed,
            B::Cancelled,
            B::Gone,
            B::Station { number: 3 },
            B::CtrlC,
            B::Stranger { ecid: "0x126D0E81100001".into() },
        ];
        for text in &all {
            let (en, nl) = (board(Lang::En, text), board(Lang::Nl, text));
            assert!(!en.is_empty() && !nl.is_empty() && en != nl, "{text:?}");
            // Sentences below a row are wrapped.
            let wraps = matches!(text, B::Stranger { .. });
            assert!(wraps || (en.len() <= 78 && nl.len() <= 78), "{text:?}");
        }
        for lang in [Lang::En, Lang::Nl] {
            assert_eq!(board(lang, &B::Columns).split('|').count(), 6);
            assert!(board(lang, &B::KeysShort).len() <= 38 && board(lang, &B::PickKeysShort).len() <= 38);
            let totals = [B::Total { rows: 99 }, B::Working { count: 99 }, B::NeedsPerson { count: 99 }];
            let totals = totals.iter().chain(&[B::Finished { count: 99 }, B::Failures { count: 99 }]);
            assert!(totals.map(|t| board(lang, t).len() + 2).sum::<usize>() <= 80, "the whole head fits");
        }
    }
}
