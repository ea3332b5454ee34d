//! Restore.plist: the older index of an IPSW. Good for a fast "does it fit", and for names of images.

use super::{words, xml};
use crate::ids::{Bdid, BuildId, Cpid, ProductType, Version};
use crate::wire::WireError;
use plist::{Dictionary, Value};

const WHAT: &str = "Restore.plist";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardRow {
    /// `d17ap`.
    pub board: String,
    pub cpid: Cpid,
    pub bdid: Bdid,
    /// `t8110`.
    pub platform: String,
}

#[derive(Clone, Debug)]
pub struct RestorePlist {
    pub build: Option<BuildId>,
    pub version: Option<Version>,
    pub product: Option<ProductType>,
    pub supported_products: Vec<ProductType>,
    pub boards: Vec<BoardRow>,
    /// Path of the root image.
    pub system_image: Option<String>,
    pub raw: Dictionary,
}

impl RestorePlist {
    /// # Errors
    /// When the bytes are no XML property list. Missing keys are none or empty: the file differs by era.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let raw = xml::dictionary(WHAT, bytes, 4 << 20)?;
        let text = |key: &str| raw.get(key).and_then(Value::as_string);
        let boards = raw.get("DeviceMap").and_then(Value::as_array).into_iter().flatten().filter_map(row).collect();
        Ok(RestorePlist {
            build: text("ProductBuildVersion").and_then(|t| t.parse().ok()),
            version: text("ProductVersion").and_then(|t| t.parse().ok()),
            product: text("ProductType").map(ProductType::new),
            supported_products: words(raw.get("SupportedProductTypes")).map(ProductType::new).collect(),
            boards,
            system_image: raw
                .get("SystemRestoreImages")
                .and_then(Value::as_dictionary)
                .and_then(|d| d.get("User"))
                .and_then(Value::as_string)
                .map(str::to_owned),
            raw,
        })
    }

    /// Does it name that chip and board?
    pub fn fits(&self, cpid: Cpid, bdid: Bdid) -> bool {
        self.boards.iter().any(|row| row.cpid == cpid && row.bdid == bdid)
    }
}

fn row(value: &Value) -> Option<BoardRow> {
    let row = value.as_dictionary()?;
    let id = |key: &str| row.get(key).and_then(xml::number).and_then(|n| u32::try_from(n).ok());
    let text = |key: &str| row.get(key).and_then(Value::as_string).unwrap_or_default().to_ascii_lowercase();
    Some(BoardRow {
        board: text("BoardConfig"),
        cpid: Cpid(id("CPID")?),
        bdid: Bdid(id("BDID")?),
        platform: text("Platform"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_decide_whether_it_fits() {
        let bytes = b"<plist><dict><key>DeviceMap</key><array><dict><key>BDID</key><integer>24</integer>\
            <key>BoardConfig</key><string>D17AP</string><key>CPID</key><integer>33040</integer></dict><dict/></array>\
            <key>SystemRestoreImages</key><dict><key>User</key><string>1-2-3.dmg</string></dict></dict></plist>";
        let restore = RestorePlist::parse(bytes).unwrap();
        assert!(restore.fits(Cpid(0x8110), Bdid(0x18)) && !restore.fits(Cpid(0x8110), Bdid(0)));
        assert_eq!(restore.boards.len(), 1);
        assert_eq!(restore.system_image.as_deref(), Some("1-2-3.dmg"));
    }
}
