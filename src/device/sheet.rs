//! The intake sheet, concluded: which value stands on which line, and where it was read.
//!
//! [`Intake`](super::Intake) holds what the device said, as it said it; here each line of the sheet is worked out from that,
//! purely, so that a sheet that was saved months ago is read by the same rules as one of today. A line that nothing is
//! known of is unknown, never a guess and never "no". Whatever has not the type or the length that it should have is
//! not known either: the device is outside.

use crate::event::Field;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Longest text that is a value; names of people's devices are the longest real ones.
const TEXT_CAP: usize = 128;
/// More than any battery is worn or any phone has crashed.
const COUNT_CAP: u64 = 1_000_000;

/// A value of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datum {
    Text(String),
    Number(u64),
    Yes(bool),
    /// One of a few words of ours or of the device's.
    Word(String),
}

impl Datum {
    pub fn json(&self) -> Value {
        match self {
            Datum::Text(text) | Datum::Word(text) => Value::from(text.as_str()),
            Datum::Number(number) => Value::from(*number),
            Datum::Yes(yes) => Value::from(*yes),
        }
    }
}

/// A value, and where it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub value: Datum,
    pub from: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet(BTreeMap<Field, Known>);

/// Every line is there; what is unknown is null.
impl Serialize for Sheet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Field::ALL.len()))?;
        for field in Field::ALL {
            let value =
                self.get(*field).map(|known| serde_json::json!({ "value": known.value.json(), "from": known.from }));
            map.serialize_entry(field.as_str(), &value)?;
        }
        map.end()
    }
}

impl Sheet {
    pub fn get(&self, field: Field) -> Option<&Known> {
        self.0.get(&field)
    }

    pub fn value(&self, field: Field) -> Option<&Datum> {
        self.get(field).map(|known| &known.value)
    }

    pub fn text(&self, field: Field) -> Option<&str> {
        match self.value(field)? {
            Datum::Text(text) | Datum::Word(text) => Some(text),
            _ => None,
        }
    }

    /// From the facts of an intake, or of one that was saved.
    pub fn of(facts: &Map<String, Value>) -> Sheet {
        let mut sheet = Sheet::default();
        let facts = Facts(facts);
        let normal = facts.text("mode").is_some_and(|mode| mode == "normal");
        let identity = if normal { "lockdown" } else { "usb" };
        sheet.device(&facts, identity);
        sheet.numbers(&facts, identity);
        sheet.system(&facts, identity);
        sheet.locks(&facts, normal);
        sheet.radio(&facts);
        sheet.battery(&facts);
        sheet.crashes(&facts);
        sheet
    }

    fn put(&mut self, field: Field, value: Option<Datum>, from: &str) {
        if let Some(value) = value {
            self.0.insert(field, Known { value, from: from.to_owned() });
        }
    }

    fn device(&mut self, facts: &Facts, identity: &str) {
        self.put(Field::Name, facts.text("name").map(Datum::Text), identity);
        self.put(Field::Model, facts.text("model").map(Datum::Text), "device table");
        self.put(Field::ProductType, facts.text("product_type").map(Datum::Text), identity);
        let number = facts.text("ModelNumber");
        let sold = number.as_deref().and_then(sold_as).map(|word| Datum::Word(word.to_owned()));
        self.put(Field::SoldAs, sold, "first letter of ModelNumber");
        self.put(Field::ModelNumber, number.map(Datum::Text), "lockdown ModelNumber");
        self.put(Field::Region, facts.text("RegionInfo").map(Datum::Text), "lockdown RegionInfo");
        self.put(Field::Color, facts.text("DeviceColor").map(Datum::Text), "lockdown DeviceColor");
        let usage = |key: &str| format!("lockdown com.apple.disk_usage {key}");
        let capacity = facts.number("TotalDiskCapacity").map(Datum::Number);
        self.put(Field::Capacity, capacity, &usage("TotalDiskCapacity"));
        // TotalDataAvailable counts what the system could clear away; the smaller one is what is free now.
        let free = ["AmountDataAvailable", "TotalDataAvailable"];
        let free = free.into_iter().filter_map(|key| facts.number(key).map(|bytes| (bytes, key))).min();
        if let Some((bytes, key)) = free {
            self.put(Field::Free, Some(Datum::Number(bytes)), &usage(key));
        }
    }

    fn numbers(&mut self, facts: &Facts, identity: &str) {
        self.put(Field::Serial, facts.text("serial").map(Datum::Text), identity);
        for (field, key) in [
            (Field::Imei, "InternationalMobileEquipmentIdentity"),
            (Field::Imei2, "InternationalMobileEquipmentIdentity2"),
            (Field::Meid, "MobileEquipmentIdentifier"),
            (Field::Board, "MLBSerialNumber"),
        ] {
            self.put(field, facts.text(key).map(Datum::Text), &format!("lockdown {key}"));
        }
        self.put(Field::Udid, facts.text("udid").map(Datum::Text), identity);
        self.put(Field::Ecid, facts.text("ecid").map(Datum::Text), identity);
    }

    fn system(&mut self, facts: &Facts, identity: &str) {
        self.put(Field::Mode, facts.text("mode").map(Datum::Word), "usb");
        self.put(Field::Version, facts.text("version").map(Datum::Text), identity);
        self.put(Field::Build, facts.text("build").map(Datum::Text), identity);
    }

    fn locks(&mut self, facts: &Facts, normal: bool) {
        let trust = facts.text("trust").filter(|_| normal);
        self.put(Field::Paired, trust.map(|trust| Datum::Yes(trust == "trusted")), "lockdown session");
        let state = facts.text("ActivationState").map(Datum::Word);
        self.put(Field::Activation, state, "lockdown ActivationState");
        let lock = facts.yes("fm-activation-locked");
        let variable =
            if normal { "lockdown NonVolatileRAM fm-activation-locked" } else { "iBoot fm-activation-locked" };
        let fmip = "lockdown com.apple.fmip IsAssociated";
        match (facts.yes("IsAssociated"), lock) {
            (Some(true), _) => self.put(Field::FindMy, Some(Datum::Yes(true)), fmip),
            (_, Some(true)) => self.put(Field::FindMy, Some(Datum::Yes(true)), variable),
            // A device in its setup has not joined yet, whatever it is locked to: that says nothing.
            (Some(false), _) if facts.yes("SetupDone") == Some(true) => {
                self.put(Field::FindMy, Some(Datum::Yes(false)), fmip);
            }
            _ => {}
        }
        let chaperoned = facts.yes("DeviceIsChaperoned");
        let chaperone = "lockdown com.apple.mobile.chaperone DeviceIsChaperoned";
        self.put(Field::Supervised, chaperoned.map(Datum::Yes), chaperone);
        // One that says yes is enough.
        if chaperoned != Some(true) && (facts.yes("IsSupervised") == Some(true) || chaperoned.is_none()) {
            self.put(Field::Supervised, facts.yes("IsSupervised").map(Datum::Yes), "MCInstall IsSupervised");
        }
        self.put(Field::Organisation, facts.text("OrganizationName").map(Datum::Text), "MCInstall OrganizationName");
        let setup = facts.yes("SetupDone").map(Datum::Yes);
        self.put(Field::SetupDone, setup, "lockdown com.apple.PurpleBuddy SetupDone");
    }

    fn radio(&mut self, facts: &Facts) {
        let sim = facts.text("SIMStatus").map(Datum::Word);
        self.put(Field::Sim, sim, "lockdown SIMStatus");
        let version = facts.text("BasebandVersion");
        // Apple's own spelling. A device without a modem has no dead one.
        if let Some(status) = facts.text("BasebandStatus").filter(|status| !status.starts_with("NoTelephony")) {
            let alive = status == "BBInfoAvailable" && version.is_some();
            self.put(Field::BasebandAlive, Some(Datum::Yes(alive)), "lockdown BasebandStatus, BasebandVersion");
        }
        self.put(Field::BasebandVersion, version.map(Datum::Text), "lockdown BasebandVersion");
    }

    fn battery(&mut self, facts: &Facts) {
        let percent = facts.number("BatteryCurrentCapacity").filter(|percent| *percent <= 100).map(Datum::Number);
        self.put(Field::BatteryPercent, percent, "lockdown com.apple.mobile.battery BatteryCurrentCapacity");
        let Some(registry) = facts.0.get(REGISTRY).and_then(Value::as_object).map(Facts) else { return };
        let class = registry.text("class").unwrap_or_default();
        let from = |what: &str| format!("diagnostics {class} {what}");
        // Since iOS 26 the capacities are in a dictionary of their own.
        let inner = registry.0.get("BatteryData").and_then(Value::as_object).map(Facts);
        let capacity = |key: &str| {
            let own = inner.as_ref().and_then(|data| data.count(key));
            registry.count(key).or(own).filter(|capacity| *capacity > 0)
        };
        // FullChargeCapacity and MaxCapacity are a constant 100 on newer systems and say nothing.
        if let (Some(design), Some(nominal)) = (capacity("DesignCapacity"), capacity("NominalChargeCapacity")) {
            let health = (nominal * 100 + design / 2) / design;
            // Twice as much as new is a battery that lies.
            if health <= 200 {
                self.put(
                    Field::BatteryHealth,
                    Some(Datum::Number(health)),
                    &from("NominalChargeCapacity/DesignCapacity"),
                );
            }
        }
        self.put(Field::BatteryCycles, registry.count("CycleCount").map(Datum::Number), &from("CycleCount"));
        let serial = registry.text("Serial").or_else(|| inner.as_ref().and_then(|data| data.text("Serial")));
        self.put(Field::BatterySerial, serial.map(Datum::Text), &from("Serial"));
    }

    fn crashes(&mut self, facts: &Facts) {
        let Some(panics) = facts.0.get(PANICS).and_then(Value::as_object).map(Facts) else { return };
        self.put(Field::Panics, panics.count("count").map(Datum::Number), "crash reports panic-full-*");
        self.put(Field::NewestPanic, panics.text("newest").map(Datum::Text), "crash reports panic-full-*");
    }
}

/// Facts that are not single values: what the battery tells, and which panics there were.
pub(super) const REGISTRY: &str = "battery_registry";
pub(super) const PANICS: &str = "panic_reports";

/// What the first letter of a model number says of how the device was sold.
fn sold_as(number: &str) -> Option<&'static str> {
    match number.chars().next()? {
        'M' => Some("new"),
        'F' => Some("refurbished"),
        'N' => Some("replacement"),
        'P' => Some("engraved"),
        _ => None,
    }
}

struct Facts<'a>(&'a Map<String, Value>);

impl Facts<'_> {
    /// A text of a sane length; an empty one is none.
    fn text(&self, key: &str) -> Option<String> {
        let text = self.0.get(key)?.as_str()?.trim();
        (!text.is_empty() && text.len() <= TEXT_CAP).then(|| text.to_owned())
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.0.get(key)?.as_u64()
    }

    fn count(&self, key: &str) -> Option<u64> {
        self.number(key).filter(|number| *number <= COUNT_CAP)
    }

    /// `true`, or the word that boot code has for it.
    fn yes(&self, key: &str) -> Option<bool> {
        match self.0.get(key)? {
            Value::Bool(yes) => Some(*yes),
            Value::String(word) if word == "YES" => Some(true),
            Value::String(word) if word == "NO" => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
