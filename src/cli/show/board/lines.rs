//! The board without a screen: a line for each change, for people or for programs. Percent count in tens.

use super::frame::{Setting, device, doing, needed, percent};
use super::{Doing, Need, Row};
use crate::say::board::{Board as Say, board as say};
use crate::say::plain;
use serde_json::{Value, json};

/// Is that worth a line?
pub fn is_news(old: Option<&Row>, new: &Row) -> bool {
    let Some(old) = old else { return true };
    let tens = |row: &Row| percent(row).map(|p| p / 10);
    let same = |row: &Row| (row.station, row.title.clone(), row.ecid, row.mode, row.doing, row.need.clone());
    same(old) != same(new) || tens(old) != tens(new)
}

/// `station 3  0x126D…  Anna's iPhone  restore  Sending the system image  70 %  >> Unlock it.`
pub fn line(setting: Setting, row: &Row) -> String {
    let ecid = row.ecid.map(|ecid| ecid.to_string());
    let title = Some(device(row)).filter(|title| Some(title) != ecid.as_ref());
    let parts = [
        row.station.map(|number| say(setting.lang, &Say::Station { number })),
        ecid,
        title,
        row.mode.map(|mode| mode.to_string()),
        Some(doing(setting.lang, row)),
        percent(row).map(|p| format!("{p} %")),
        row.need.as_ref().map(|need| format!(">> {}", needed(setting.lang, need, row.ecid))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    plain(&format!("{}{}", if setting.is_virtual { "[virtual] " } else { "" }, parts.join("  "))).replace('\n', " ")
}

/// The same that it is gone.
pub fn gone_line(setting: Setting, row: &Row) -> String {
    let gone = Row { doing: Doing::Here(None), mode: None, percent: None, need: None, ..row.clone() };
    format!("{}  {}", line(setting, &gone), say(setting.lang, &Say::Gone))
}

/// The same for programs.
pub fn json_line(setting: Setting, row: &Row) -> Value {
    let (state, step, fault) = match row.doing {
        Doing::Empty => ("empty", None, None),
        Doing::Here(_) => ("here", None, None),
        Doing::Queued => ("queued", None, None),
        Doing::Working(step) => ("working", Some(step), None),
        Doing::Retry => ("retry", None, None),
        Doing::Done => ("done", None, None),
        Doing::Partly => ("partly", None, None),
        Doing::Failed(code) => ("failed", None, Some(code)),
        Doing::Cancelled => ("cancelled", None, None),
    };
    let trust = match row.doing {
        Doing::Here(trust) => trust,
        _ => None,
    };
    let request = match &row.need {
        Some(Need::Ask(request)) => Some(request),
        _ => None,
    };
    let remedy = match row.need {
        Some(Need::Remedy(code)) => Some(code),
        Some(Need::Wants { code, .. }) => code,
        _ => None,
    };
    let wants = match row.need {
        Some(Need::Wants { wants, .. }) => Some(wants),
        _ => None,
    };
    let stranger = match row.need {
        Some(Need::Stranger(ecid)) => Some(ecid),
        _ => None,
    };
    json!({
        "schema": 1, "event": "row", "virtual": setting.is_virtual, "row": row.key, "station": row.station,
        "ecid": row.ecid, "name": row.title, "mode": row.mode, "state": state, "trust": trust, "step": step,
        "percent": percent(row), "needs_person": row.need.is_some(), "ask": request, "remedy": remedy, "wants": wants,
        "stranger": stranger, "fault": fault,
    })
}

pub fn gone_json(setting: Setting, row: &Row) -> Value {
    json!({
        "schema": 1, "event": "row-gone", "virtual": setting.is_virtual, "row": row.key, "station": row.station,
        "ecid": row.ecid,
    })
}
