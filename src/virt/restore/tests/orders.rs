//! What a phone says, in the order in which real ones said it.
//!
//! Whole restores are walked against the small host, and the messages are laid beside the orders that were
//! recorded: here as words and numbers of our own, and beside the logs themselves where a checkout of them
//! is given (`HERSTEL_TEST_DATA` at compile time). A completed checkpoint is written in hexadecimal (three
//! digits and more), an operation in decimal (two digits), a request by its type or by the name of its image.

use super::host::{Host, Seen};
use super::{number, phone};
use crate::virt::restore::{Faults, script};
use crate::wire::restored::{DataRequest, FromDevice};
use plist::{Dictionary, Value};

/// The complete order of an iPhone 8 Plus (16.6, erase).
const IOS16: &str = "655 604 68F 608 RootTicket 60B 28 60D 58 60E 60F 65C 610 613 67E NORData 609 693 29x6 665 614 696 \
    6A3 69F 654 697 615 FDRTrustData 616 617 618 44 619 44 61A 61B 661 29x6 61D 64E 61F 68A 11 621 660 622 65D 160D \
    12 658 659 65A SystemImageData 14 65B 680 675 68C 29x6 15x3 16x4 626 662 677 67A 627 69A 69B 652 BuildIdentityDict \
    FirmwareUpdaterData Cryptex1,SystemOS Cryptex1,SystemVolume Cryptex1,SystemTrustCache Cryptex1,AppOS \
    Cryptex1,AppVolume Cryptex1,AppTrustCache 6A6 6B0 634 67D 80 IsiBootEANFirmware IsiBootNonEssentialFirmware 18 1300 \
    80 IsEarlyAccessFirmware IsiBootEANFirmware IsiBootNonEssentialFirmware 1312 36 FUDData 130A 47 1301 47 1302 55 \
    1304 36 FUDData 130C 1306 1307 1308 130E 130F 130B 19 BasebandData BBUpdateStatusMsg BasebandData BBUpdateStatusMsg \
    1303 1310 131F 59 BuildIdentityDict SE,UpdatePayload FirmwareUpdaterData 1309 130D 66 1311 79 1316 82 1318 85 1320 \
    635 63C 1501 1500 1503 131A 1319 74 EANData 1504 1314 668 63D 66F 67 674 65F KernelCache 27 E00 DeviceTree 61 E01 \
    NORData E04 SystemImageRootHash E05 E03 628 17 50 F00 F01 F04 F09 64D 69E 63B 25 639 65E 688 67B 1600 63F 640 \
    SystemImageCanonicalMetadata SystemImageRootHash 29x6 77 68B 669 6AA 6AB 29x6 642 67C 1613 647";

/// An iPhone 6 (12.4, erase); its recording has no checkpoints.
const IOS12: &str = "RootTicket 28 NORData 15x2 FDRTrustData 29x4 11 12 SystemImageData 14 15x4 16x3 KernelCache 27 \
    DeviceTree 61 18 36 FUDData 47x2 55 36 FUDData 19 BasebandData BBUpdateStatusMsg BasebandData BBUpdateStatusMsg 59 \
    17 50 25 29x4";

/// An iPhone 4s (6.1.3, erase), which has no checkpoints; numbers above 35 are one lower than today's.
const IOS6: &str = "28 11 12x2 15 16 15 16 29x2 RootTicket SystemImageData 14 15 16 15 16 KernelCache 27 17 25 NORData \
    18 46x2 19 BasebandData 19x4 BBUpdateStatusMsg BasebandData BBUpdateStatusMsg BasebandData 19x2 BBUpdateStatusMsg \
    BasebandData BBUpdateStatusMsg 49 51 29x2";

/// An iPhone 5s or SE (10.3 beta, update) from the host's tables to the image, as its checkpoints began.
const IOS10: &str = "655 604 608 609 60B 60C 60D 60E 60F 610 611 612 613 614 654 615 616 617 618 619 61A 61B 61D 64E \
    653 61F 643 620 622 645 900 901 A00 A02 B00 B01 B02 624";

/// Pieces of recordings of the asynchronous model: checkpoints that completed one right after the other.
const PIECES_18: &[&str] = &[
    // iPhone SE 2, 18.0.
    "1326 1332 1327 1328 1329 1325",
    "132F 132D 132C 1324",
    "1318 1331 1330",
    // iPhone 13 Pro Max, 18.
    "609 693 665 614 696 65D 6C1",
    "675 68C 626",
];
const PIECES_26: &[&str] = &[
    // iPhone 13 Pro Max, 26.4.
    "619 61A 61B 661 61D 64E 61F",
    "130C 1306 1316 1307 1308",
    "130D 1326 1332 1327 1328 1329 1325",
    "132F 132D 132C 1324",
    "6B4 674 F10 65F 680 6A6",
    // Apple's virtual device, 26.
    "6B3 65B 65A",
    "1318 1331 1330",
    "E00 E01",
];

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        match word.split_once('x') {
            Some((number, times)) if number.parse::<u64>().is_ok() => {
                words.extend((0..times.parse().unwrap()).map(|_| number.to_owned()));
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// None for one image of a list: which there are depends on the device.
fn request(request: &DataRequest) -> Option<String> {
    let kind = request.arguments.get("ImageType").and_then(Value::as_string);
    match (request.data_type.as_str(), request.image_name()) {
        ("FUDData" | "PersonalizedData" | "EANData", Some(_)) => None,
        ("PersonalizedData", None) => kind.map(str::to_owned),
        (_, Some(image)) => Some(image.to_owned()),
        (data_type, None) => Some(data_type.to_owned()),
    }
}

/// All that was said but for the image's progress, which flows beside.
fn said(seen: &Seen) -> Vec<String> {
    let mut words = Vec::new();
    let mut running = None;
    for message in &seen.messages {
        let last = running.take();
        match message {
            FromDevice::Progress { operation, percent, context: None } => {
                running = Some(*operation);
                // Percentages above the first belong to the message before.
                if percent.is_none_or(|p| p == 0) || last != Some(*operation) {
                    words.push(operation.to_string());
                }
            }
            FromDevice::Checkpoint(c) if c.complete => words.push(format!("{:03X}", c.id.0)),
            FromDevice::DataRequest(r) => words.extend(request(r)),
            FromDevice::AsyncDataRequest(r) if r.data_type != "URLAsset" => words.extend(request(r)),
            FromDevice::BbUpdateStatus(_) => words.push("BBUpdateStatusMsg".into()),
            FromDevice::AsyncWait { .. } => words.push("AsyncWait".into()),
            _ => {}
        }
    }
    words
}

fn is_checkpoint(word: &str) -> bool {
    word.len() > 2 && u16::from_str_radix(word, 16).is_ok()
}

fn checkpoints(words: &[String]) -> Vec<String> {
    words.iter().filter(|w| is_checkpoint(w)).cloned().collect()
}

fn without_checkpoints(words: &[String]) -> Vec<String> {
    words.iter().filter(|w| !is_checkpoint(w)).cloned().collect()
}

/// A phone of this model walks this script to its end.
fn walked(model: &str, script: &str, erase: bool, change: impl FnOnce(&mut Host)) -> Seen {
    let phone = phone(model, Faults { script: Some(script.into()), ..Faults::default() });
    let mut host = Host::new(&phone, erase);
    change(&mut host);
    let seen = host.restore();
    assert_eq!(number(&seen), 0, "{model} {script}: {:?}", seen.status);
    seen
}

fn manifest(host: &mut Host) -> &mut Dictionary {
    host.identity.get_mut("Manifest").and_then(Value::as_dictionary_mut).unwrap()
}

/// The parts that an iPhone 8 Plus has.
fn as_an_iphone_8_plus(host: &mut Host) {
    manifest(host).remove("Rap,RTKitOS");
    for part in ["SystemVolume", "SystemTrustCache", "AppVolume", "AppTrustCache"] {
        let name = format!("Cryptex1,{part}");
        host.components.insert(name.clone(), name.repeat(700).into_bytes());
        manifest(host).insert(name, Dictionary::from_iter([("Digest", Value::Data(vec![7; 48]))]).into());
    }
}

#[test]
fn ios_6_in_its_order() {
    let seen = walked("iphone6", "ios6", true, |_| {});
    assert_eq!(said(&seen), words(IOS6));
    let asked = seen.messages.iter().filter_map(|m| match m {
        FromDevice::DataRequest(r) if r.data_type == "BasebandData" => Some(r.arguments.contains_key("Nonce")),
        _ => None,
    });
    assert_eq!(asked.collect::<Vec<bool>>(), [false, true, true, true]);
}

#[test]
fn ios_10_in_its_order() {
    for (model, script) in [("iphone6", "ios10-img4"), ("iphone7", "ios10-img4")] {
        let seen = walked(model, script, false, |_| {});
        let begun: Vec<String> = seen
            .messages
            .iter()
            .filter_map(|m| match m {
                FromDevice::Checkpoint(c) if !c.complete => Some(format!("{:03X}", c.id.0)),
                _ => None,
            })
            .collect();
        let recorded = words(IOS10);
        assert_eq!(begun[..recorded.len()], recorded, "{model}");
        assert_eq!(seen.requests()[..2], ["NORData", "RootTicket"]);
    }
    // Without a SEP there is no second NORData, and the ticket comes first.
    let seen = walked("iphone6", "ios10", true, |_| {});
    let requests = "RootTicket SystemImageData KernelCache NORData BasebandData BasebandData";
    assert_eq!(seen.requests(), words(requests));
}

#[test]
fn ios_12_in_its_order() {
    let seen = walked("iphone6", "ios12", true, |_| {});
    assert_eq!(without_checkpoints(&said(&seen)), words(IOS12));
}

#[test]
fn ios_16_in_its_order() {
    let seen = walked("iPhone10,2", "ios16", true, as_an_iphone_8_plus);
    assert_eq!(said(&seen), words(IOS16));
}

#[test]
fn an_update_leaves_out_what_an_erase_does() {
    let seen = walked("iPhone10,2", "ios16", false, as_an_iphone_8_plus);
    let mut kept = words(IOS16);
    kept.retain(|w| w != "11" && w != "12");
    assert_eq!(said(&seen), kept);
}

/// The pieces that were recorded, and around them what such a restore is about.
fn asynchronous(script: &str, pieces: &[&str]) {
    let seen = walked("iphone13", script, true, |host| host.image.resize(4 << 20, 0x11));
    let said = said(&seen);
    let points = checkpoints(&said);
    for piece in pieces {
        let piece = words(piece);
        assert!(points.windows(piece.len()).any(|w| w == piece), "{script}: {piece:?} is not in {points:?}");
    }
    let place = |word: &str| said.iter().position(|w| w == word).unwrap_or_else(|| panic!("{script}: no {word}"));
    // Every await waits, and is told so before it completes.
    let awaits = ["1325", "1326", "1327", "1328", "1329", "132A", "132C", "132D", "132F", "1330", "1331", "1332"];
    assert_eq!(said.iter().filter(|w| *w == "AsyncWait").count(), awaits.len());
    for id in awaits {
        let before = &said[..place(id)];
        let since = before.iter().rev().take_while(|w| !is_checkpoint(w));
        assert_eq!(since.filter(|w| *w == "AsyncWait").count(), 1, "{script}: {id}");
    }
    assert!(place("SystemImageData") < place("65B") && place("BasebandData") < place("6B4"));
    assert!(place("FirmwareUpdaterData") < place("6B4"));
    assert_eq!(said.last().map(String::as_str), Some("647"));
    assert!(place("BasebandUpdaterOutputData") > place("68B") && place("BasebandUpdaterOutputData") < place("642"));
    // The image: a message for each percent, all of one context, and done before 6B4 is.
    let image: Vec<(u8, &String)> = seen
        .messages
        .iter()
        .filter_map(|m| match m {
            FromDevice::Progress { operation: 13, percent: Some(percent), context: Some(context) } => {
                Some((*percent, context))
            }
            _ => None,
        })
        .collect();
    assert!(image.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 == w[1].1) && image.last().unwrap().0 == 100);
    let at = |what: &dyn Fn(&FromDevice) -> bool| seen.messages.iter().position(what).unwrap();
    let full = at(&|m| matches!(m, FromDevice::Progress { operation: 13, percent: Some(100), .. }));
    let started = at(&|m| matches!(m, FromDevice::Checkpoint(c) if c.complete && c.id.0 == 0x65B));
    let awaited = at(&|m| matches!(m, FromDevice::Checkpoint(c) if c.complete && c.id.0 == 0x6B4));
    assert!(started < full && full < awaited);
    let key = at(&|m| matches!(m, FromDevice::AsyncDataRequest(r) if r.data_type == "URLAsset" && r.port.is_some()));
    assert!(key < full);
    let name = seen.messages.iter().find_map(|m| match m {
        FromDevice::Checkpoint(c) if c.id.0 == 0x65B => c.name.clone(),
        _ => None,
    });
    assert_eq!(name.as_deref(), Some("restore_system_image"));
}

#[test]
fn ios_18_in_its_order() {
    asynchronous("ios18", PIECES_18);
}

#[test]
fn ios_26_in_its_order() {
    asynchronous("ios26", PIECES_26);
}

#[test]
fn a_failure_ends_as_in_its_generation() {
    let cases: &[(&str, &str, u16, &[u16])] = &[
        ("iphone6", "ios6", 0xE00, &[]),
        ("iphone6", "ios10", 0x624, &[0x624, 0x647, 0x648]),
        ("iphone6", "ios10-img4", 0x624, &[0x624, 0x647, 0x648]),
        ("iphone6", "ios12", 0x65B, &[0x65B, 0x647, 0x648]),
        ("iPhone10,2", "ios16", 0x6A6, &[0x6A6, 0x67B, 0x67C, 0x1613, 0x647, 0x648]),
        ("iphone13", "ios18", 0x6A6, &[0x6A6, 0x67B, 0x67C, 0x1613, 0x647, 0x6C2, 0x648]),
        ("iphone13", "ios26", 0x6A6, &[0x6A6, 0x67B, 0x67C, 0x1613, 0x647, 0x6C2, 0x648]),
    ];
    for (model, script, at, tail) in cases {
        let faults = Faults {
            script: Some((*script).into()),
            amr_error: Some(14),
            at_checkpoint: Some(*at),
            sticky_error: Some("[0]D(no modem)".into()),
            ..Faults::default()
        };
        let seen = Host::new(&phone(model, faults), true).restore();
        let status = seen.messages.iter().find_map(|m| match m {
            FromDevice::Status(status) => Some(status.clone()),
            _ => None,
        });
        let status = status.unwrap();
        assert_eq!((status.status, status.amr_error), (14, Some(14)), "{script}");
        assert!(status.log.unwrap().contains("restore failed with 14"), "{script}");
        assert_eq!(status.chain.is_empty(), *script == "ios6", "before iOS 10 there is no chain");
        let is_tail = |(id, result): &(u16, i64)| (*result == 14 || tail.contains(id)) && *id != 0x660;
        let ended: Vec<u16> = seen.completed().into_iter().filter(is_tail).map(|(id, _)| id).collect();
        assert_eq!(ended, *tail, "{script}");
        let Some(last) = seen.messages.iter().rev().find_map(|m| match m {
            FromDevice::Checkpoint(c) if c.complete => Some(c),
            _ => None,
        }) else {
            assert_eq!(*script, "ios6", "only iOS 6 tells no checkpoints");
            continue;
        };
        // The last one succeeds, and carries the whole chain all the same.
        assert_eq!((last.id.0, last.result), (0x648, 0), "{script}");
        assert!(last.error.as_deref().unwrap().starts_with("[0]D("), "{script}");
    }
}

/// As seen on iOS 26 when Apple's server refused a certificate: it goes on, and every later checkpoint says it.
#[test]
fn a_tolerated_error_sticks() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || server.incoming().for_each(drop));
    let faults = Faults { script: Some("ios10".into()), fdr_proxy_port: Some(port), ..Faults::default() };
    let seen = Host::new(&phone("iphone6", faults), true).restore();
    assert_eq!(number(&seen), 0);
    assert!(seen.completed().iter().all(|(_, result)| *result == 0));
    let ended = seen.messages.iter().filter_map(|m| match m {
        FromDevice::Checkpoint(c) if c.complete => Some((c.id.0, c.error.as_deref())),
        _ => None,
    });
    let (before, after): (Vec<_>, Vec<_>) = ended.partition(|(_, error)| error.is_none());
    assert_eq!((before.last().unwrap().0, after[0].0, after.last().unwrap().0), (0x615, 0x616, 0x647));
    assert!(after.iter().all(|(_, error)| error.unwrap().starts_with("[0]LD(")));
}

#[test]
fn every_script_parses_and_its_brackets_close() {
    for (name, text) in script::TEXTS {
        let script = script::parse(name, text).unwrap();
        let mut open = Vec::new();
        for (only, step) in &script.steps {
            match step {
                script::Step::Open(id) => open.push((*id, only)),
                script::Step::Close(id) => assert_eq!(open.pop(), Some((*id, only)), "{name}"),
                script::Step::Point(..) => {}
            }
        }
        assert!(open.is_empty(), "{name}");
        assert!(script.quiet || script.tail.ends_with(&[0x648]), "{name}");
    }
    assert!(script::parse("x", "655: dance").is_err() && script::parse("x", "[never] 655").is_err());
}

#[test]
fn the_system_that_is_offered_chooses() {
    let of = |model: &str| script::choose(None, crate::facts::models::by_nickname(model).unwrap()).unwrap();
    for (model, name, protocol) in [
        ("iphone5", "ios10", 14),
        ("iphone6", "ios12", 15),
        ("iphone7", "ios16", 15),
        ("iphone8", "ios16", 15),
        ("iphone xs", "ios18", 15),
        ("iphone13", "ios26", 15),
        ("AppleTV5,3", "ios26", 15),
    ] {
        assert_eq!((of(model).name, of(model).protocol), (name, protocol), "{model}");
    }
    assert!(script::choose(Some("ios99"), crate::facts::models::by_nickname("iphone8").unwrap()).is_none());
}

// -- the recordings themselves --

fn recording(name: &str) -> Option<String> {
    let folder = option_env!("HERSTEL_TEST_DATA")?;
    std::fs::read_to_string(std::path::Path::new(folder).join("recordings").join(name)).ok()
}

/// What a tool's line calls a request.
fn asked(line: &str) -> Vec<String> {
    if line.contains("FUD data (36)") {
        return vec!["36".into(), "FUDData".into()];
    }
    if line.contains("About to send FUD data") {
        return vec!["FUDData".into()];
    }
    if let Some(kind) = line.trim().strip_prefix("Sending ").and_then(|l| l.strip_suffix(" image list")) {
        return vec![kind.to_owned()];
    }
    if line.contains("Sending FirmwareResponse data now") {
        return vec!["FirmwareUpdaterData".into()];
    }
    if line.trim().starts_with("Updating Baseband ") {
        return vec!["BBUpdateStatusMsg".into()];
    }
    let Some((_, what)) = line.split_once("About to send ") else { return Vec::new() };
    let what = what.split("...").next().unwrap().split(" (").next().unwrap().trim();
    match what {
        "filesystem" => vec!["SystemImageData".into()],
        "FDR Trust data" => vec!["FDRTrustData".into()],
        "BuildIdentity Dict" => vec!["BuildIdentityDict".into()],
        list if list.contains(" / ") => {
            let (first, rest) = list.split_once(',').unwrap();
            rest.split(" / ").map(|part| format!("{first},{part}")).collect()
        }
        one => vec![one.to_owned()],
    }
}

/// `(29)  x6`: an operation, so many times.
fn operation(line: &str) -> Option<(u64, usize)> {
    let (_, rest) = line.split_once('(')?;
    let (number, rest) = rest.split_once(')')?;
    let number = Some(number).filter(|n| n.len() == 2)?.parse().ok()?;
    let times = rest.trim().strip_prefix('x').and_then(|t| t.split_whitespace().next()?.parse().ok());
    Some((number, times.unwrap_or(1)))
}

/// Checkpoints, operations and requests of a tool's log, in its order.
fn logged(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        if let (Some((ids, _)), true) = (line.split_once(" complete"), line.starts_with("0x")) {
            words
                .extend(ids.split_whitespace().map(|id| format!("{:03X}", u16::from_str_radix(&id[2..], 16).unwrap())));
            continue;
        }
        let asked = asked(line);
        let counted = !asked.iter().any(|w| w == "36");
        words.extend(asked);
        if let Some((number, times)) = operation(line).filter(|_| counted) {
            words.extend((0..times).map(|_| number.to_string()));
        }
        if line.contains("Requesting EAN Data") {
            words.push("EANData".into());
        }
    }
    words
}

#[test]
fn the_orders_here_are_those_of_the_recordings() {
    let cases = [
        ("restore-iPhone10,2-16.6-ok-1.txt", IOS16),
        ("restore-iPhone7,2-12.4-ok-1.txt", IOS12),
        ("restore-iPhone4,1-6.1.3-ok-1.txt", IOS6),
    ];
    for (name, order) in cases {
        let Some(log) = recording(name) else { return };
        let mut order = words(order);
        if name.contains("16.6") {
            // Its log counts the lists of images of FUDData only the first time, and by another line.
            order.retain(|w| w != "IsFUDFirmware");
        }
        let logged: Vec<String> = logged(&log).into_iter().filter(|w| w != "IsFUDFirmware").collect();
        assert_eq!(logged, order, "{name}");
    }
}

#[test]
fn the_order_of_ios_10_is_that_of_the_recording() {
    let Some(log) = recording("restore-iPhone5s_or_SE-10.3beta-fail-1.txt") else { return };
    let mut begun: Vec<String> = Vec::new();
    for line in log.lines().filter(|l| !l.contains("MAIN:")) {
        let Some((_, rest)) = line.split_once(":[0x").or_else(|| line.split_once("] RESTORED:[0x")) else { continue };
        let id = format!("{:03X}", u16::from_str_radix(&rest[..4], 16).unwrap());
        if !matches!(id.as_str(), "600" | "601") && begun.last() != Some(&id) && !begun.contains(&id) {
            begun.push(id);
        }
    }
    assert_eq!(begun, [words(IOS10), words("647 648")].concat());
}

/// Ids that a log names, each with the word for its completion; a gap in the excerpt breaks the row.
fn completed_pieces(log: &str) -> Vec<Vec<String>> {
    let mut pieces = vec![Vec::new()];
    // A later heading is another device's log.
    for line in log.lines().skip_while(|l| l.starts_with('#')).take_while(|l| !l.starts_with('#')) {
        if line.trim() == "[...]" {
            pieces.push(Vec::new());
        }
        let ended = line.contains("completed");
        let Some((_, rest)) = line.split_once("0x").filter(|_| ended) else { continue };
        let id: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
        pieces.last_mut().unwrap().push(format!("{:03X}", u16::from_str_radix(&id, 16).unwrap()));
    }
    pieces.retain(|piece| piece.len() > 1);
    pieces
}

#[test]
fn what_was_recorded_of_ios_18_and_26_comes_in_that_order() {
    let cases = [
        ("restore-iPhone14,3-26.4-fail-1.txt", "ios26"),
        ("restore-iPhone12,8-18.0-partial-1.txt", "ios18"),
        ("restore-iPhone14,3-18-partial-1.txt", "ios18"),
    ];
    for (name, script) in cases {
        let Some(log) = recording(name) else { return };
        let points = checkpoints(&said(&walked("iphone13", script, false, |_| {})));
        let pieces = completed_pieces(&log);
        assert!(!pieces.is_empty(), "{name}");
        for piece in pieces {
            // Lines that the excerpt leaves out may lie between.
            let mut rest = points.iter();
            assert!(piece.iter().all(|id| rest.any(|p| p == id)), "{name}: {piece:?} in {points:?}");
        }
    }
}
