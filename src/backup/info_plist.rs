//! `Info.plist`: what the host adds to a backup.
//!
//! The phone does not ask for it, people and other tools do, and one part is needed: without `Applications` a restore
//! brings no apps back. The facts come from lockdown and installation_proxy; this file only knows the keys and which
//! of them may be absent. An iPad without a telephone has no IMEI, and then there is no such key, not an empty one.

use plist::{Date, Dictionary, Value};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What Info.plist says.
#[derive(Clone, Debug, Default)]
pub struct InfoFacts {
    pub udid: String,
    pub device_name: String,
    pub product_type: String,
    pub product_version: String,
    pub build_version: String,
    pub serial_number: String,
    pub imei: Option<String>,
    pub meid: Option<String>,
    pub iccid: Option<String>,
    pub phone_number: Option<String>,
    /// Of the lockdown domain `com.apple.mobile.iTunes`; 10.0.1 where there is none.
    pub min_itunes_version: Option<String>,
    /// Bundle identifier to `ApplicationSINF`, `iTunesMetadata` and `PlaceholderIcon`.
    pub applications: Dictionary,
    pub installed_applications: Vec<String>,
    /// Name to content of the files in `/iTunes_Control/iTunes` that the phone has.
    pub itunes_files: Vec<(String, Vec<u8>)>,
    /// The lockdown domain `com.apple.iTunes`.
    pub itunes_settings: Dictionary,
    /// `/Books/iBooksData2.plist`.
    pub ibooks_data: Option<Vec<u8>>,
    /// Now, if none.
    pub date: Option<SystemTime>,
}

/// The same 32 digits for the same device on every run, where other tools draw new ones.
pub fn guid_of(udid: &str) -> String {
    use sha1::Digest;
    sha1::Sha1::digest(udid).iter().take(16).map(|b| format!("{b:02X}")).collect()
}

impl InfoFacts {
    /// The file, as XML.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = vec![];
        // A list of plain values into memory has nothing to fail on.
        let _ = Value::Dictionary(self.to_dictionary()).to_writer_xml(&mut xml);
        xml
    }

    pub fn to_dictionary(&self) -> Dictionary {
        let mut info = Dictionary::new();
        let mut put = |key: &str, value: Value| drop(info.insert(key.into(), value));
        put("Applications", Value::Dictionary(self.applications.clone()));
        put("Build Version", self.build_version.as_str().into());
        put("Device Name", self.device_name.as_str().into());
        put("Display Name", self.device_name.as_str().into());
        put("GUID", guid_of(&self.udid).into());
        let maybe =
            [("ICCID", &self.iccid), ("IMEI", &self.imei), ("MEID", &self.meid), ("Phone Number", &self.phone_number)];
        for (key, text) in maybe {
            if let Some(text) = text.as_deref().filter(|t| !t.is_empty()) {
                put(key, text.into());
            }
        }
        let installed = self.installed_applications.iter().map(|id| id.as_str().into()).collect();
        put("Installed Applications", Value::Array(installed));
        // Whole seconds: Apple's dates have no fractions, and readers refuse the whole file for one.
        let at = self.date.unwrap_or_else(SystemTime::now);
        let second = Duration::from_secs(at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
        put("Last Backup Date", Value::Date(Date::from(UNIX_EPOCH + second)));
        put("Product Type", self.product_type.as_str().into());
        put("Product Version", self.product_version.as_str().into());
        put("Serial Number", self.serial_number.as_str().into());
        put("Target Identifier", self.udid.as_str().into());
        put("Target Type", "Device".into());
        put("Unique Identifier", self.udid.to_ascii_uppercase().into());
        if let Some(books) = &self.ibooks_data {
            put("iBooks Data 2", Value::Data(books.clone()));
        }
        let files = self.itunes_files.iter().map(|(name, bytes)| (name.clone(), Value::Data(bytes.clone())));
        put("iTunes Files", Value::Dictionary(files.collect()));
        put("iTunes Settings", Value::Dictionary(self.itunes_settings.clone()));
        put("iTunes Version", self.min_itunes_version.as_deref().unwrap_or("10.0.1").into());
        info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_back_and_has_no_empty_telephone() {
        let facts = InfoFacts {
            udid: "00008110-001a2b3c4d5e6f01".into(),
            device_name: "Anna's <iPad>".into(),
            imei: Some(String::new()),
            ..InfoFacts::default()
        };
        let text = String::from_utf8(facts.to_xml()).unwrap();
        let (_, date) = text.split_once("<date>").unwrap();
        assert_eq!(date.find("</date>"), Some("2026-11-22T11:27:32Z".len()), "{date:.40}");
        let back = Value::from_reader_xml(std::io::Cursor::new(text)).unwrap();
        let back = back.as_dictionary().unwrap();
        assert_eq!(back["Device Name"].as_string(), Some("Anna's <iPad>"));
        assert_eq!(back["Unique Identifier"].as_string(), Some("00008110-001A2B3C4D5E6F01"));
        assert_eq!(back["iTunes Version"].as_string(), Some("10.0.1"));
        assert!(!back.contains_key("IMEI") && back.contains_key("Applications"));
        assert_eq!(guid_of(&facts.udid).len(), 32);
    }
}
