//! The plan: shown before anything happens, agreed to, then written into the journal's first line.

use crate::fault::Code;
use crate::ids::{Bdid, BuildId, Cpid, Ecid, ProductType, Udid, Version};
use crate::restore::RestorePlan;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Everything on the device goes.
    Erase,
    /// The data stays. Never turns into an erase by itself.
    Update,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "backup", rename_all = "kebab-case")]
pub enum BackupPlan {
    Make,
    /// None can be made now; this generation from before is put back.
    Existing {
        generation: String,
    },
    /// The person does not want one, or an update keeps the data.
    Skip {
        why: String,
    },
    /// Not possible in the device's present state.
    Impossible {
        code: Code,
    },
}

/// Which firmware, and how it will be known to be the right one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirmwarePlan {
    pub version: Version,
    pub build: BuildId,
    /// A file that the person brought; otherwise from the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the tool that made it.
    pub tool: String,
    pub ecid: Ecid,
    pub udid: Option<Udid>,
    /// What the person calls it.
    pub title: String,
    pub product: ProductType,
    pub board: String,
    pub cpid: Cpid,
    pub bdid: Bdid,
    /// What it ran when the plan was made.
    pub version: Option<Version>,
    pub way: Way,
    #[serde(flatten)]
    pub backup: BackupPlan,
    pub put_back: bool,
    pub firmware: FirmwarePlan,
    pub vault: PathBuf,
    /// A boot ticket that the person brought, instead of Apple's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<PathBuf>,
    #[serde(rename = "virtual", default)]
    pub is_virtual: bool,
}

impl BackupPlan {
    /// Is there, or will there be, something to put back?
    pub fn saves(&self) -> bool {
        matches!(self, BackupPlan::Make | BackupPlan::Existing { .. })
    }
}

impl Plan {
    pub fn restore(&self) -> RestorePlan {
        RestorePlan {
            ecid: self.ecid,
            cpid: self.cpid,
            bdid: self.bdid,
            build: self.firmware.build.clone(),
            erase: self.way == Way::Erase,
        }
    }
}

/// A plan for tests: an erase of an iPhone 13 on the bench, without a backup.
#[cfg(test)]
pub(crate) fn sample() -> Plan {
    Plan {
        tool: "0".into(),
        ecid: Ecid(1),
        udid: None,
        title: "x".into(),
        product: ProductType::new("iPhone14,5"),
        board: "d17ap".into(),
        cpid: Cpid(0x8110),
        bdid: Bdid(0xA),
        version: None,
        way: Way::Erase,
        backup: BackupPlan::Skip { why: "x".into() },
        put_back: false,
        firmware: FirmwarePlan {
            version: "27.0.1".parse().unwrap(),
            build: "24A446".parse().unwrap(),
            file: None,
            size: None,
        },
        vault: "/v".into(),
        ticket: None,
        is_virtual: true,
    }
}
