//! A device's state, typed: functions take the state they need.

use crate::facts::guess::{self, Guess};
use crate::facts::models::{self, Buttons, ImageFormat, Model};
use crate::ids::{Bdid, BuildId, Cpid, Ecid, Mode, PortPath, ProductType, Udid, Version};
use crate::mux::MuxDevice;
use crate::say;
use crate::usb::Address;
use serde::Serialize;

/// Who a device is; whatever of it can be read in its present mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub ecid: Option<Ecid>,
    pub udid: Option<Udid>,
    pub product: Option<ProductType>,
    /// `d17ap`.
    pub board: Option<String>,
    pub cpid: Option<Cpid>,
    pub bdid: Option<Bdid>,
    pub serial: Option<String>,
    pub name: Option<String>,
    pub port: Option<PortPath>,
}

impl Identity {
    pub fn model(&self) -> Option<&'static Model> {
        self.board
            .as_deref()
            .and_then(models::by_board)
            .or_else(|| models::by_chip(self.cpid?, self.bdid?))
            .or_else(|| self.product.as_ref().and_then(models::by_product))
    }

    /// Which model it is, or which one it is probably like.
    pub fn likeness(&self) -> Likeness {
        match self.model() {
            Some(model) => Likeness::Known(model),
            None => guess::guess(self.product.as_ref(), self.cpid).map_or(Likeness::Unknown, Likeness::Guessed),
        }
    }

    /// What a person calls it: its name, else its model, else its ECID.
    pub fn title(&self) -> String {
        self.name
            .clone()
            .or_else(|| self.model().map(|m| m.name.to_owned()))
            .or_else(|| self.product.as_ref().map(ToString::to_string))
            .or_else(|| self.ecid.map(|e| e.to_string()))
            .map_or_else(|| "?".to_owned(), |title| title.chars().map(say::plain_char).collect())
    }

    /// Fills what is still unknown from another reading of the same device.
    pub fn learn(&mut self, other: &Identity) {
        fn fill<T: Clone>(mine: &mut Option<T>, theirs: &Option<T>) {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        }
        fill(&mut self.ecid, &other.ecid);
        fill(&mut self.udid, &other.udid);
        fill(&mut self.product, &other.product);
        fill(&mut self.board, &other.board);
        fill(&mut self.cpid, &other.cpid);
        fill(&mut self.bdid, &other.bdid);
        fill(&mut self.serial, &other.serial);
        fill(&mut self.name, &other.name);
        fill(&mut self.port, &other.port);
    }
}

/// How well a device's model is known. Whoever shows a guess says that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    Known(&'static Model),
    Guessed(Guess),
    Unknown,
}

impl Likeness {
    pub fn is_guessed(&self) -> bool {
        matches!(self, Likeness::Guessed(_))
    }

    pub fn buttons(&self) -> Buttons {
        match self {
            Likeness::Known(model) => model.buttons,
            Likeness::Guessed(guess) => guess.buttons,
            Likeness::Unknown => Buttons::Unknown,
        }
    }

    /// None: nothing is known of it.
    pub fn image(&self) -> Option<ImageFormat> {
        match self {
            Likeness::Known(model) => Some(model.image),
            Likeness::Guessed(guess) => Some(guess.image),
            Likeness::Unknown => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    Trusted,
    Untrusted,
    /// Locked since boot: even a trusted host gets no session.
    Locked,
    Pending,
    Denied,
    /// This host has a record that the device no longer knows.
    Stale,
}

impl Trust {
    pub fn as_str(self) -> &'static str {
        match self {
            Trust::Trusted => "trusted",
            Trust::Untrusted => "untrusted",
            Trust::Locked => "locked",
            Trust::Pending => "pending",
            Trust::Denied => "denied",
            Trust::Stale => "stale",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    Ok,
    /// Found on USB, but this user may not open the node.
    NoPermission,
}

/// iOS runs; lockdown answers.
#[derive(Clone, Debug)]
pub struct Normal {
    pub who: Identity,
    pub mux: MuxDevice,
    pub trust: Trust,
    /// Locked now; says nothing about whether a passcode is set.
    pub locked: Option<bool>,
    pub version: Option<Version>,
    pub build: Option<BuildId>,
}

/// Recovery or DFU: iBoot or SecureROM answers over USB.
#[derive(Clone, Debug)]
pub struct Iboot {
    pub who: Identity,
    pub address: Address,
    /// In DFU: `SRTG` is there only while SecureROM runs.
    pub rom: bool,
}

/// The restore ramdisk: restored answers.
#[derive(Clone, Debug)]
pub struct Restoring {
    pub who: Identity,
    pub mux: MuxDevice,
}

#[derive(Clone, Debug)]
pub enum State {
    Normal(Normal),
    Recovery(Iboot),
    Dfu(Iboot),
    Restore(Restoring),
    /// Wtf, Port DFU, KIS, pwned: seen and named, nothing more.
    Other(Mode, Identity),
}

/// One device as it is seen now.
#[derive(Clone, Debug)]
pub struct Device {
    pub state: State,
    pub access: Access,
    pub is_virtual: bool,
}

impl Device {
    pub fn mode(&self) -> Mode {
        match &self.state {
            State::Normal(_) => Mode::Normal,
            State::Recovery(_) => Mode::Recovery,
            State::Dfu(_) => Mode::Dfu,
            State::Restore(_) => Mode::Restore,
            State::Other(mode, _) => *mode,
        }
    }

    pub fn who(&self) -> &Identity {
        match &self.state {
            State::Normal(n) => &n.who,
            State::Recovery(i) | State::Dfu(i) => &i.who,
            State::Restore(r) => &r.who,
            State::Other(_, who) => who,
        }
    }

    pub fn who_mut(&mut self) -> &mut Identity {
        match &mut self.state {
            State::Normal(n) => &mut n.who,
            State::Recovery(i) | State::Dfu(i) => &mut i.who,
            State::Restore(r) => &mut r.who,
            State::Other(_, who) => who,
        }
    }

    pub fn normal(&self) -> Option<&Normal> {
        match &self.state {
            State::Normal(normal) => Some(normal),
            _ => None,
        }
    }

    /// The row of `list --json`: what is unknown is null.
    pub fn row(&self) -> Row {
        let who = self.who();
        let normal = self.normal();
        Row {
            ecid: who.ecid,
            udid: who.udid.clone(),
            mode: self.mode(),
            product_type: who.product.clone().or_else(|| who.model().map(|m| m.product.clone())),
            name: who.name.clone(),
            version: normal.and_then(|n| n.version.clone()),
            build: normal.and_then(|n| n.build.clone()),
            serial: who.serial.clone(),
            trust: normal.map(|n| n.trust),
            usb_port: who.port.clone(),
            station: None,
            access: self.access,
            is_virtual: self.is_virtual,
        }
    }
}

/// One device in JSON; the shape is frozen in `tests/schema/v1/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    pub ecid: Option<Ecid>,
    pub udid: Option<Udid>,
    pub mode: Mode,
    pub product_type: Option<ProductType>,
    pub name: Option<String>,
    pub version: Option<Version>,
    pub build: Option<BuildId>,
    pub serial: Option<String>,
    pub trust: Option<Trust>,
    pub usb_port: Option<PortPath>,
    /// Filled in by whoever knows the stations.
    pub station: Option<u32>,
    pub access: Access,
    #[serde(rename = "virtual")]
    pub is_virtual: bool,
}
