//! The lines of an intake sheet, as words that every floor shares: `device` fills them, `say` names them, `report` shows them.

use crate::fault::words::words;

words! {
    /// The lines, in the order of the sheet.
    Field {
        Name = "name",
        Model = "model",
        ProductType = "product_type",
        ModelNumber = "model_number",
        /// `new`, `refurbished`, `replacement`, `engraved`.
        SoldAs = "sold_as",
        Region = "region",
        Color = "color_code",
        /// Bytes.
        Capacity = "capacity",
        /// Bytes.
        Free = "free",
        Serial = "serial",
        Imei = "imei",
        Imei2 = "imei2",
        Meid = "meid",
        Udid = "udid",
        Ecid = "ecid",
        Board = "board_serial",
        Mode = "mode",
        Version = "version",
        Build = "build",
        /// The device trusts this computer.
        Paired = "paired",
        Activation = "activation",
        FindMy = "find_my",
        Supervised = "supervised",
        /// Who manages it.
        Organisation = "organisation",
        SetupDone = "setup_done",
        Sim = "sim",
        BasebandAlive = "baseband_alive",
        BasebandVersion = "baseband_version",
        BatteryPercent = "battery_percent",
        BatteryHealth = "battery_health",
        BatteryCycles = "battery_cycles",
        BatterySerial = "battery_serial",
        Panics = "panics",
        NewestPanic = "newest_panic",
    }
}

/// What belongs together on a sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Device,
    Numbers,
    System,
    Locks,
    Radio,
    Battery,
    Crashes,
}

impl Group {
    pub const ALL: [Group; 7] =
        [Group::Device, Group::Numbers, Group::System, Group::Locks, Group::Radio, Group::Battery, Group::Crashes];
}

impl Field {
    pub fn group(self) -> Group {
        match self {
            Field::Name
            | Field::Model
            | Field::ProductType
            | Field::ModelNumber
            | Field::SoldAs
            | Field::Region
            | Field::Color
            | Field::Capacity
            | Field::Free => Group::Device,
            Field::Serial | Field::Imei | Field::Imei2 | Field::Meid | Field::Udid | Field::Ecid | Field::Board => {
                Group::Numbers
            }
            Field::Mode | Field::Version | Field::Build => Group::System,
            Field::Paired
            | Field::Activation
            | Field::FindMy
            | Field::Supervised
            | Field::Organisation
            | Field::SetupDone => Group::Locks,
            Field::Sim | Field::BasebandAlive | Field::BasebandVersion => Group::Radio,
            Field::BatteryPercent | Field::BatteryHealth | Field::BatteryCycles | Field::BatterySerial => {
                Group::Battery
            }
            Field::Panics | Field::NewestPanic => Group::Crashes,
        }
    }
}

words! {
    /// What a person wants to know first when a sheet is laid beside an older one.
    Subject {
        /// Another battery, another board: something was taken out.
        Parts = "parts",
        System = "system",
        /// Activation, Find My, supervision, trust.
        Locks = "locks",
        /// What changes by itself from day to day.
        Rest = "rest",
    }
}

impl Field {
    pub fn subject(self) -> Subject {
        match self {
            Field::Name | Field::Free | Field::Sim | Field::BatteryPercent | Field::BatteryHealth | Field::Mode => {
                Subject::Rest
            }
            Field::BatteryCycles | Field::Panics | Field::NewestPanic => Subject::Rest,
            Field::Model
            | Field::ProductType
            | Field::ModelNumber
            | Field::SoldAs
            | Field::Region
            | Field::Color
            | Field::Capacity
            | Field::Serial
            | Field::Imei
            | Field::Imei2
            | Field::Meid
            | Field::Udid
            | Field::Ecid
            | Field::Board
            | Field::BasebandAlive
            | Field::BatterySerial => Subject::Parts,
            Field::Version | Field::Build | Field::BasebandVersion => Subject::System,
            Field::Paired
            | Field::Activation
            | Field::FindMy
            | Field::Supervised
            | Field::Organisation
            | Field::SetupDone => Subject::Locks,
        }
    }
}
