//! `stations`: which USB port is which place at the bench.

use super::list::{print_out, say_line};
use super::stations_teach;
use crate::cli::Done;
use crate::cli::args::StationsVerb;
use crate::cli::context::Context;
use crate::cli::places::{Places, book, topology};
use crate::cli::show::{print_line, table::table, virtual_banner};
use crate::device::{Station, look};
use crate::event::Outcome;
use crate::fault::{Code, Fault};
use crate::ids::PortPath;
use crate::say::stations::{Stations as Say, stations as say};
use crate::say::{self as words, Text};
use serde_json::json;

pub async fn run(context: &Context, verb: Option<StationsVerb>) -> Done {
    match verb {
        None => list(context).await,
        Some(StationsVerb::Teach { from }) => stations_teach::run(context, from).await,
        Some(StationsVerb::Set { number, port, label }) => set(context, number, PortPath::new(port), label),
        Some(StationsVerb::Forget { numbers }) => forget(context, &numbers),
    }
}

async fn list(context: &Context) -> Done {
    let places = Places::of(context)?;
    // The list is of ports: that nothing can be seen on them now is no failure.
    let devices = match context.eyes() {
        Ok(eyes) => look(&eyes).await.devices,
        Err(_) => Vec::new(),
    };
    let at = |station: &Station| devices.iter().find(|d| places.of_device(d) == Some(station.number));
    if context.common.json {
        let rows = places.stations.iter().map(|station| {
            let mut row = json!(station);
            if let Some(row) = row.as_object_mut() {
                row.insert("port_now".into(), json!(places.stations.port_of(&places.topology, station.number)));
                row.insert("device".into(), json!(at(station).map(|device| places.row(device))));
            }
            row
        });
        let rows: Vec<_> = rows.collect();
        print_line(&json!({ "schema": 1, "virtual": context.is_virtual(), "stations": rows }));
        return Ok(Outcome::Ok);
    }
    if places.stations.is_empty() {
        words::wrapped(&say(context.lang, &Say::None), 78).iter().for_each(|line| say_line(line));
        return Ok(Outcome::Ok);
    }
    let unknown = || words::text(context.lang, &Text::UnknownValue);
    let rows = places.stations.iter().map(|station| {
        let port = places.stations.port_of(&places.topology, station.number);
        let device = at(station);
        vec![
            station.number.to_string(),
            station.label.clone().unwrap_or_else(unknown),
            port.map_or_else(unknown, |port| port.to_string()),
            device.map_or_else(unknown, |d| d.mode().to_string()),
            device.map_or_else(unknown, |d| d.who().title()),
            device.and_then(|d| d.who().ecid).map_or_else(unknown, |ecid| ecid.to_string()),
        ]
    });
    let header = say(context.lang, &Say::Header);
    let header: Vec<&str> = header.split('|').collect();
    print_out(&table(&header, &[1, 4], rows.collect()));
    banner(context);
    Ok(Outcome::Ok)
}

fn set(context: &Context, number: u32, port: PortPath, label: Option<String>) -> Done {
    let topology = topology(context);
    let (station, gave_way) = book(context)?.change(|stations| {
        let gave_way = stations.set(&topology, number, port.clone(), label)?;
        Ok((stations.get(number).cloned(), gave_way))
    })?;
    if context.common.json {
        let object = json!({ "schema": 1, "virtual": context.is_virtual(), "station": station, "gave_way": gave_way });
        print_line(&object);
    } else {
        gave_way_lines(context, number, &port, &gave_way);
        say_line(&say(context.lang, &Say::Taught { number, port: port.to_string() }));
        banner(context);
    }
    Ok(Outcome::Ok)
}

/// What a new binding took from older ones; that it is the same again is not worth a line.
pub(super) fn gave_way_lines(context: &Context, number: u32, port: &PortPath, gave_way: &[Station]) {
    for old in gave_way.iter().filter(|old| old.number != number || old.port != *port) {
        say_line(&say(context.lang, &Say::GaveWay { number: old.number, port: old.port.to_string() }));
    }
}

fn forget(context: &Context, numbers: &[u32]) -> Done {
    let gone = book(context)?.change(|stations| {
        let one = |number: &u32| {
            stations.forget(*number).ok_or_else(|| Fault::new(Code::Usage, format!("there is no station {number}")))
        };
        numbers.iter().map(one).collect::<Result<Vec<_>, _>>()
    })?;
    if context.common.json {
        print_line(&json!({ "schema": 1, "virtual": context.is_virtual(), "forgotten": gone }));
    } else {
        gone.iter().for_each(|old| say_line(&say(context.lang, &Say::Forgotten { number: old.number })));
        banner(context);
    }
    Ok(Outcome::Ok)
}

pub(super) fn banner(context: &Context) {
    if context.is_virtual() {
        say_line(&virtual_banner(context.lang));
        say_line(&say(context.lang, &Say::Virtual));
    }
}
