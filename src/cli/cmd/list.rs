//! `list`: every device in every mode, once or as it changes.

use crate::cli::context::Context;
use crate::cli::places::Places;
use crate::cli::show::{self, table::table};
use crate::cli::{Done, show::print_line};
use crate::device::{Access, Change, Device, Fleet, Likeness, Look, State, Trust, look};
use crate::event::Outcome;
use crate::fault::{Code, Fault};
use crate::ids::Mode;
use crate::say::stations::{Stations, stations};
use crate::say::{self, Text};
use serde_json::json;
use std::io::Write;

pub async fn run(context: &Context, watch: bool, board: bool) -> Done {
    let places = Places::of(context)?;
    if board {
        return super::list_board::run(context, &places).await;
    }
    let eyes = context.eyes()?;
    let seen = look(&eyes).await;
    remarks(context, &seen);
    if !watch {
        return once(context, &places, seen);
    }
    let mut changes = eyes.changes();
    let mut fleet = Fleet::default();
    let mut devices = seen.devices;
    devices.sort_by_key(|device| places.order(device));
    loop {
        for change in fleet.update(devices) {
            print_change(context, &places, &change);
        }
        tokio::select! {
            tick = changes.recv() => if tick.is_none() { return Ok(Outcome::Ok) },
            () = context.cancel.cancelled() => return Ok(Outcome::Ok),
        }
        // A burst of events is one change.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        while changes.try_recv().is_ok() {}
        devices = look(&eyes).await.devices;
    }
}

fn once(context: &Context, places: &Places, mut seen: Look) -> Done {
    seen.devices.sort_by_key(|device| places.order(device));
    if context.common.json {
        let rows: Vec<_> = seen.devices.iter().map(|device| places.row(device)).collect();
        print_line(&json!({ "schema": 1, "devices": rows }));
    }
    if seen.devices.is_empty() {
        if let Some(fault) = seen.mux.clone().or(seen.usb) {
            return Err(fault);
        }
        // For a program an empty list is an answer like any other.
        if !context.common.json {
            say_line(&say::text(context.lang, &Text::NoDevices));
            return Err(Fault::new(Code::NoDevice, "nothing on USB or usbmuxd"));
        }
    }
    if context.common.json {
        return Ok(Outcome::Ok);
    }
    let mut header = say::text(context.lang, &Text::ListHeader);
    let mut names = [1, 2];
    if !places.stations.is_empty() {
        header = format!("{}|{header}", stations(context.lang, &Stations::Column));
        names = [2, 3];
    }
    let header: Vec<&str> = header.split('|').collect();
    print_out(&table(&header, &names, seen.devices.iter().map(|d| row(context, places, d)).collect()));
    for device in &seen.devices {
        remedy(context, device, seen.mux.is_none()).iter().for_each(|line| say_line(line));
    }
    if seen.devices.iter().any(|d| d.is_virtual) {
        say_line(&show::virtual_banner(context.lang));
    }
    Ok(Outcome::Ok)
}

/// A device that is there and cannot be worked with: what to do about it.
fn remedy(context: &Context, device: &Device, usbmuxd_runs: bool) -> Vec<String> {
    let code = match (device.access, &device.state) {
        (Access::NoPermission, _) => Code::UsbNoAccess,
        (Access::Ok, State::Other(Mode::Normal, _)) if usbmuxd_runs => Code::UsbRestricted,
        _ => return Vec::new(),
    };
    let advice = say::fault(context.lang, code);
    let place = device.who().port.as_ref().map(ToString::to_string).unwrap_or_else(|| device.who().title());
    say::wrapped(&format!("! {place}: {}. {}", advice.what, advice.next), 78)
}

fn row(context: &Context, places: &Places, device: &Device) -> Vec<String> {
    let unknown = || say::text(context.lang, &Text::UnknownValue);
    let who = device.who();
    let shown = device.row();
    let trust = match (device.access, shown.trust) {
        (Access::NoPermission, _) => say::text(context.lang, &Text::NoAccess),
        (_, Some(trust)) => say::text(context.lang, &trust_text(trust)),
        (_, None) => unknown(),
    };
    let named = who.product.as_ref().map(ToString::to_string);
    let model = match who.likeness() {
        Likeness::Known(model) => Some(model.name.to_owned()),
        Likeness::Guessed(guess) => {
            let like = named.or_else(|| guess.family.map(|f| f.name().to_owned()));
            let like = like.or_else(|| who.cpid.map(|c| c.to_string())).unwrap_or_else(unknown);
            Some(say::text(context.lang, &Text::Guessed { like }))
        }
        Likeness::Unknown => named,
    };
    let station = (!places.stations.is_empty())
        .then(|| places.of_device(device).map_or_else(unknown, |number| number.to_string()));
    let cells = [
        device.mode().to_string(),
        who.name.clone().unwrap_or_else(unknown),
        model.unwrap_or_else(unknown),
        shown.version.map(|v| v.to_string()).unwrap_or_else(unknown),
        trust,
        who.ecid.map(|e| e.to_string()).unwrap_or_else(unknown),
        who.port.as_ref().map(|p| p.to_string()).unwrap_or_else(unknown),
    ];
    station.into_iter().chain(cells).collect()
}

pub fn trust_text(trust: Trust) -> Text {
    match trust {
        Trust::Trusted => Text::Trusted,
        Trust::Untrusted => Text::Untrusted,
        Trust::Locked => Text::TrustLocked,
        Trust::Pending => Text::TrustPending,
        Trust::Denied => Text::TrustDenied,
        Trust::Stale => Text::TrustStale,
    }
}

fn print_change(context: &Context, places: &Places, change: &Change) {
    let (word, json_body, line) = match change {
        Change::Appeared(device) => {
            ("appeared", json!({ "device": places.row(device) }), row(context, places, device).join("  "))
        }
        Change::Changed { from, device } => {
            ("changed", json!({ "from": from, "device": places.row(device) }), row(context, places, device).join("  "))
        }
        Change::Gone(who, mode) => (
            "gone",
            json!({ "ecid": who.ecid, "udid": who.udid, "mode": mode }),
            format!("{mode}  {}  {}", who.title(), who.ecid.map(|e| e.to_string()).unwrap_or_default()),
        ),
    };
    if context.common.json {
        let mut object = json!({ "schema": 1, "event": word });
        if let (serde_json::Value::Object(object), serde_json::Value::Object(body)) = (&mut object, json_body) {
            object.extend(body);
        }
        print_line(&object);
    } else {
        let sign = match change {
            Change::Appeared(_) => '+',
            Change::Changed { .. } => '~',
            Change::Gone(..) => '-',
        };
        print_out(&format!("{sign} {line}"));
    }
}

/// What could not be asked is a remark as long as something was seen.
fn remarks(context: &Context, seen: &Look) {
    if seen.devices.is_empty() && !context.common.json {
        return;
    }
    for fault in [&seen.mux, &seen.usb].into_iter().flatten() {
        say_line(&format!("! {} ({})", say::fault(context.lang, fault.code).what, fault.detail));
    }
}

/// Texts may hold what a device says of itself: no terminal obeys that.
pub fn say_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", say::plain(text));
}

/// Data on standard output; a closed pipe is quiet.
pub fn print_out(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", say::plain(text));
}
