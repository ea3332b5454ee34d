//! A sheet beside an older one of the same device: what is not the same any more.
//!
//! Only what both sheets know can differ. What one of them does not know is named apart, for "unknown" beside a value is
//! no change: the device may have been locked at one of the two readings.

use super::intake_sheet::or_dash;
use super::paper::{Items, Paper};
use crate::device::{Datum, Sheet};
use crate::event::{Field, Subject};
use crate::fault::{Code, Fault};
use crate::say::Lang;
use crate::say::sheet::{Around, around, field, subject};
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub field: Field,
    pub before: Datum,
    pub now: Datum,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub differences: Vec<Difference>,
    /// Known on one of the sheets only.
    pub one_sided: Vec<Field>,
}

/// # Errors
/// `stranger-device` when both sheets tell an ECID and these differ.
pub fn compare(before: &Sheet, now: &Sheet) -> Result<Comparison, Fault> {
    if let (Some(before), Some(now)) = (before.text(Field::Ecid), now.text(Field::Ecid))
        && before != now
    {
        let shown: String = before.chars().take(40).collect();
        return Err(Fault::new(Code::StrangerDevice, format!("the saved sheet is of {shown:?}, this device is {now}")));
    }
    let mut found = Comparison::default();
    for of in Field::ALL {
        match (before.value(*of), now.value(*of)) {
            (Some(before), Some(now)) if before != now => {
                found.differences.push(Difference { field: *of, before: before.clone(), now: now.clone() });
            }
            (Some(_), None) | (None, Some(_)) => found.one_sided.push(*of),
            _ => {}
        }
    }
    Ok(found)
}

impl Comparison {
    pub fn json(&self) -> Value {
        let difference = |d: &Difference| {
            json!({
                "line": d.field.as_str(), "subject": d.field.subject(),
                "before": d.before.json(), "now": d.now.json(),
            })
        };
        json!({
            "same": self.differences.is_empty(),
            "differences": self.differences.iter().map(difference).collect::<Vec<_>>(),
            "one_sided": self.one_sided.iter().map(|of| of.as_str()).collect::<Vec<_>>(),
        })
    }

    pub fn paper(&self, lang: Lang, is_virtual: bool) -> Paper {
        let mut paper = Paper { is_virtual, ..Paper::new(around(lang, Around::CompareTitle), "") };
        if self.differences.is_empty() {
            paper.lead = around(lang, Around::NoDifference).to_owned();
        }
        let head: Vec<String> =
            [Around::Line, Around::Before, Around::Now].map(|key| around(lang, key).to_owned()).to_vec();
        for &of in Subject::ALL {
            let rows: Vec<Vec<String>> = self
                .differences
                .iter()
                .filter(|d| d.field.subject() == of)
                .map(|d| {
                    let cell = |value| or_dash(lang, d.field, Some(value));
                    vec![field(lang, d.field).to_owned(), cell(&d.before), cell(&d.now)]
                })
                .collect();
            if !rows.is_empty() {
                paper = paper.section(subject(lang, of), [Items::Table { head: head.clone(), rows }]);
            }
        }
        if !self.one_sided.is_empty() {
            let names: Vec<&str> = self.one_sided.iter().map(|of| field(lang, *of)).collect();
            paper = paper.section(around(lang, Around::NotComparable), [Items::paragraph(names.join(", "))]);
        }
        paper
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(facts: Value) -> Sheet {
        Sheet::of(facts.as_object().unwrap())
    }

    #[test]
    fn another_battery_is_a_part_and_an_unknown_is_no_change() {
        let before = sheet(json!({ "ecid": "0x1", "mode": "normal", "version": "18.1", "serial": "S",
            "BatteryCurrentCapacity": 50, "battery_registry": { "Serial": "A", "CycleCount": 900 } }));
        let now = sheet(json!({ "ecid": "0x1", "mode": "normal", "version": "26.3", "ActivationState": "Activated",
            "BatteryCurrentCapacity": 51, "battery_registry": { "Serial": "B", "CycleCount": 2 } }));
        let found = compare(&before, &now).unwrap();
        let lines: Vec<(Field, Subject)> = found.differences.iter().map(|d| (d.field, d.field.subject())).collect();
        assert_eq!(
            lines,
            [
                (Field::Version, Subject::System),
                (Field::BatteryPercent, Subject::Rest),
                (Field::BatteryCycles, Subject::Rest),
                (Field::BatterySerial, Subject::Parts)
            ]
        );
        assert_eq!(found.one_sided, [Field::Serial, Field::Activation]);
        for lang in [Lang::En, Lang::Nl] {
            let shown = found.paper(lang, false).text(lang, 80);
            assert!(shown.contains("18.1") && shown.contains("26.3") && shown.lines().all(|l| l.chars().count() <= 80));
        }
        assert_eq!(compare(&now, &now).unwrap(), Comparison::default());
        assert_eq!(compare(&now, &now).unwrap().json()["same"], json!(true));
        let other = sheet(json!({ "ecid": "0x2" }));
        assert_eq!(compare(&other, &now).unwrap_err().code, Code::StrangerDevice);
    }
}
