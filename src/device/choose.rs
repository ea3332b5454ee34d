//! Which device does the person mean?
//!
//! By ECID, UDID, serial number or name, whole or by a beginning that fits only one. Never the first one.

use super::state::Device;
use crate::fault::{Code, Fault};

/// Picks the one device that `wanted` names; without a name there must be exactly one.
pub fn choose(devices: &[Device], wanted: Option<&str>) -> Result<Device, Fault> {
    let Some(wanted) = wanted else {
        return match devices {
            [] => Err(Fault::new(Code::NoDevice, "nothing on USB or usbmuxd")),
            [one] => Ok(one.clone()),
            many => Err(Fault::new(Code::AmbiguousDevice, listing(many))),
        };
    };
    let exact: Vec<_> = devices.iter().filter(|d| names(d).iter().any(|n| n.eq_ignore_ascii_case(wanted))).collect();
    if let [one] = exact[..] {
        return Ok(one.clone());
    }
    let wanted_lower = wanted.to_lowercase();
    let begins: Vec<_> =
        devices.iter().filter(|d| names(d).iter().any(|n| n.to_lowercase().starts_with(&wanted_lower))).collect();
    match begins[..] {
        [one] => Ok(one.clone()),
        [] => Err(Fault::new(Code::NoSuchDevice, format!("{wanted:?}; here: {}", listing(devices)))),
        _ => Err(Fault::new(Code::AmbiguousDevice, listing(&begins.into_iter().cloned().collect::<Vec<_>>()))),
    }
}

fn names(device: &Device) -> Vec<String> {
    let who = device.who();
    let mut names = Vec::new();
    if let Some(ecid) = who.ecid {
        names.extend([ecid.to_string(), format!("{:X}", ecid.0), ecid.0.to_string()]);
    }
    names.extend(who.udid.iter().map(ToString::to_string));
    names.extend(who.udid.iter().map(crate::ids::Udid::usb_serial));
    names.extend(who.serial.clone());
    names.extend(who.name.clone());
    names
}

fn listing(devices: &[Device]) -> String {
    if devices.is_empty() {
        return "nothing".to_owned();
    }
    let entry = |d: &Device| {
        let who = d.who();
        let key = who.ecid.map(|e| e.to_string()).or_else(|| who.udid.as_ref().map(ToString::to_string));
        format!("{} {} ({})", key.unwrap_or_else(|| "?".into()), who.title(), d.mode())
    };
    devices.iter().map(entry).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::state::{Access, Identity, State};
    use super::*;
    use crate::ids::{Ecid, Mode};

    fn device(ecid: u64, name: &str) -> Device {
        let who = Identity { ecid: Some(Ecid(ecid)), name: Some(name.into()), ..Identity::default() };
        Device { state: State::Other(Mode::Normal, who), access: Access::Ok, is_virtual: true }
    }

    #[test]
    fn never_the_first_one() {
        let two = [device(0x1A2B, "Anna"), device(0x1A2C, "Bram")];
        assert_eq!(choose(&[], None).unwrap_err().code, Code::NoDevice);
        let both = choose(&two, None).unwrap_err();
        assert_eq!(both.code, Code::AmbiguousDevice);
        assert!(both.detail.contains("0x1A2B Anna") && both.detail.contains("0x1A2C Bram"));
        assert_eq!(choose(&two, Some("0x1A2")).unwrap_err().code, Code::AmbiguousDevice);
        assert_eq!(choose(&two, Some("0x1a2c")).unwrap().who().name.as_deref(), Some("Bram"));
        assert_eq!(choose(&two, Some("ann")).unwrap().who().ecid, Some(Ecid(0x1A2B)));
        assert_eq!(choose(&two, Some("Cees")).unwrap_err().code, Code::NoSuchDevice);
    }
}
