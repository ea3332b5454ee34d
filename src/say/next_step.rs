//! What a person does next, where many devices stand on one bench: each command names its device.

use super::{Lang, keys, wants};
use crate::event::batch::{Press, Wants};
use crate::ids::Ecid;

/// Verbs that work on one device.
const VERBS: &[&str] = &["backup", "guide", "info", "pair", "recover", "restore", "triage", "unpair"];

/// A text in which every command for one device says for which, and what goes on with a job goes on with the batch.
pub fn on_bench(text: &str, ecid: Option<Ecid>) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    for (at, piece) in text.split('`').enumerate() {
        if at > 0 {
            out.push('`');
        }
        let piece = if at % 2 == 1 && piece == "herstel resume" { "herstel batch --retry-failed" } else { piece };
        out.push_str(piece);
        // Between two marks.
        let verb = piece.strip_prefix("herstel ").and_then(|rest| rest.split(' ').next());
        let named = verb.is_some_and(|verb| VERBS.contains(&verb)) && !piece.contains(" -d");
        if let Some(ecid) = ecid.filter(|_| at % 2 == 1 && named) {
            out.push_str(&format!(" -d {ecid}"));
        }
    }
    out
}

/// What a batch waits for, about this device.
pub fn wanted(lang: Lang, want: Wants, presses: &[Press], ecid: Option<Ecid>) -> String {
    match want {
        Wants::Dfu => to_dfu(lang, presses, ecid),
        Wants::PlugIn | Wants::OtherCable | Wants::Replug | Wants::Remedy => wants(lang, want).to_owned(),
    }
}

/// The way into DFU by a model's keys, and the coach for those who miss it.
pub fn to_dfu(lang: Lang, presses: &[Press], ecid: Option<Ecid>) -> String {
    if presses.is_empty() {
        return on_bench(wants(lang, Wants::Dfu), ecid);
    }
    let steps: Vec<String> = presses.iter().map(|each| press(lang, each)).collect();
    let (head, coach) = match lang {
        Lang::En => ("DFU mode: ", "The coach counts along: `herstel guide dfu`"),
        Lang::Nl => ("DFU-modus: ", "De coach telt mee: `herstel guide dfu`"),
    };
    format!("{head}{}. {}", steps.join("; "), on_bench(coach, ecid))
}

fn press(lang: Lang, press: &Press) -> String {
    let words: Vec<&str> = press.keys.iter().map(String::as_str).collect();
    let (keys, seconds) = (keys(lang, &words), press.seconds);
    match (lang, seconds, press.black) {
        (Lang::En, 0, _) => format!("tap {keys}"),
        (Lang::En, _, true) => format!("hold {keys} until the screen is black ({seconds} s)"),
        (Lang::En, _, false) => format!("hold {keys} {seconds} s"),
        (Lang::Nl, 0, _) => format!("tik op {keys}"),
        (Lang::Nl, _, true) => format!("houd {keys} vast tot het scherm zwart is ({seconds} s)"),
        (Lang::Nl, _, false) => format!("houd {keys} {seconds} s vast"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Code;

    #[test]
    fn a_command_names_its_device() {
        let ecid = Some(Ecid(0x1A));
        for (text, wanted) in [
            ("Run `herstel pair` with it unlocked.", "Run `herstel pair -d 0x1A` with it unlocked."),
            ("run `herstel pair --reset`.", "run `herstel pair --reset -d 0x1A`."),
            ("`herstel pair -d x` and `herstel info`", "`herstel pair -d x` and `herstel info -d 0x1A`"),
            ("`herstel doctor` knows no device", "`herstel doctor` knows no device"),
            ("herstel pair without marks", "herstel pair without marks"),
            ("an open `herstel pair", "an open `herstel pair -d 0x1A"),
        ] {
            assert_eq!(on_bench(text, ecid), wanted);
            assert_eq!(on_bench(text, None), text);
        }
        assert_eq!(on_bench("then `herstel resume`", None), "then `herstel batch --retry-failed`");
        for lang in [Lang::En, Lang::Nl] {
            for code in Code::ALL {
                let said = on_bench(super::super::fault(lang, *code).next, ecid);
                for verb in VERBS {
                    assert!(!said.contains(&format!("`herstel {verb}`")), "{code}: {said}");
                }
            }
        }
    }

    #[test]
    fn a_sequence_reads_as_one_sentence() {
        let press = |keys: &[&str], seconds, black| Press {
            keys: keys.iter().map(|k| k.to_string()).collect(),
            seconds,
            black,
        };
        let presses =
            [press(&["volume-up"], 0, false), press(&["side"], 10, true), press(&["side", "volume-down"], 5, false)];
        let said = |lang| wanted(lang, Wants::Dfu, &presses, Some(Ecid(0x1A)));
        assert_eq!(
            said(Lang::En),
            "DFU mode: tap Volume Up; hold Side until the screen is black (10 s); hold Side and Volume Down 5 s. The coach \
             counts along: `herstel guide dfu -d 0x1A`"
        );
        assert_eq!(
            said(Lang::Nl),
            "DFU-modus: tik op volume omhoog; houd de zijknop vast tot het scherm zwart is (10 s); houd de zijknop en volume \
             omlaag 5 s vast. De coach telt mee: `herstel guide dfu -d 0x1A`"
        );
    }
}
