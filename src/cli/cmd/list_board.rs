//! `list --board`: every device and every station on one screen, as they come and go.
//!
//! A station keeps its row whatever hangs there, so that a look at the same place of the screen is a look at the same
//! place of the bench. The time is how long a device has been in its mode.

use crate::cli::Done;
use crate::cli::context::Context;
use crate::cli::places::Places;
use crate::cli::show::board::{Doing, Leave, Live, Need, Row, Show};
use crate::device::{Access, Device, Fleet, State, Trust, look};
use crate::event::{Outcome, Request};
use crate::fault::Code;
use crate::ids::Mode;
use std::collections::BTreeMap;
use std::time::Duration;

pub async fn run(context: &Context, places: &Places) -> Done {
    let eyes = context.eyes()?;
    let show = Show::of(context.common.json, context.common.verbose > 0);
    let live = Live::new(show, context.lang, context.is_virtual());
    let feed = async {
        let mut changes = eyes.changes();
        let mut fleet = Fleet::default();
        loop {
            let seen = look(&eyes).await;
            let usbmuxd_runs = seen.mux.is_none();
            fleet.update(seen.devices);
            let devices: Vec<&Device> = fleet.devices().collect();
            feed(&live, rows(places, &devices, usbmuxd_runs));
            if changes.recv().await.is_none() {
                return;
            }
            // A burst of events is one change.
            tokio::time::sleep(Duration::from_millis(20)).await;
            while changes.try_recv().is_ok() {}
        }
    };
    tokio::select! {
        () = live.run(&context.cancel, Leave::ByKey) => {}
        () = feed => {}
    }
    Ok(Outcome::Ok)
}

fn feed(live: &Live, rows: BTreeMap<String, Row>) {
    live.keys().iter().filter(|key| !rows.contains_key(*key)).for_each(|key| live.remove(key));
    let now = live.now();
    for (key, mut row) in rows {
        live.alter(&key, |old| {
            let same = old.mode == row.mode && old.ecid == row.ecid;
            row.began = row.mode.map(|_| old.began.filter(|_| same).unwrap_or(now));
            *old = row;
        });
    }
}

/// A row for every station, and for every device that is at none.
fn rows(places: &Places, devices: &[&Device], usbmuxd_runs: bool) -> BTreeMap<String, Row> {
    let at = |number: u32| format!("station {number}");
    let mut out = BTreeMap::new();
    for station in places.stations.iter() {
        let key = at(station.number);
        let row = Row { station: Some(station.number), title: station.label.clone(), ..Row::new(key.clone()) };
        out.insert(key, row);
    }
    for device in devices {
        let who = device.who();
        let station = places.of_device(device);
        let name = who.ecid.map(|e| e.to_string()).or_else(|| who.udid.as_ref().map(ToString::to_string));
        let key = station.map(at).or(name).or_else(|| who.port.as_ref().map(|p| format!("port {p}")));
        let key = key.unwrap_or_else(|| who.title());
        let row = Row {
            station,
            title: Some(who.title()),
            ecid: who.ecid,
            mode: Some(device.mode()),
            doing: Doing::Here(device.normal().map(|normal| normal.trust)),
            need: need(device, usbmuxd_runs),
            ..Row::new(key.clone())
        };
        out.insert(key, row);
    }
    out
}

/// What stands in the way of work with it, if a person can take it away.
fn need(device: &Device, usbmuxd_runs: bool) -> Option<Need> {
    match (device.access, &device.state) {
        (Access::NoPermission, _) => Some(Need::Remedy(Code::UsbNoAccess)),
        (Access::Ok, State::Other(Mode::Normal, _)) if usbmuxd_runs => Some(Need::Remedy(Code::UsbRestricted)),
        (Access::Ok, State::Normal(normal)) => match normal.trust {
            Trust::Locked => Some(Need::Ask(Request::UnlockDevice)),
            Trust::Pending => Some(Need::Ask(Request::TapTrust)),
            Trust::Trusted | Trust::Untrusted | Trust::Denied | Trust::Stale => None,
        },
        _ => None,
    }
}
