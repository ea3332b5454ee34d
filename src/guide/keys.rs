//! The keys of a device, where they are and what people call them.
//!
//! The *class* of a model ([`Buttons`]) says what its keys do; it follows the chip. The *look* says where
//! they are; an iPhone SE of the third generation has a Home button to look at and needs none of it.

use crate::facts::models::{Buttons, Model};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Home,
    /// Side or Top: the key that switches the device on.
    Power,
    VolumeUp,
    VolumeDown,
    /// iPads without Home: the volume key next to the top button. Which one is "up" turns with the iPad.
    VolumeNear,
    VolumeFar,
    /// On the remote of an Apple TV.
    Menu,
    Play,
    /// The lower edge of the ring of older remotes.
    RemoteDown,
}

/// Shape and places of the keys, for drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Look {
    /// Home below the screen, power on the top edge.
    PhoneTop,
    /// Home below the screen, power on the right.
    PhoneSide,
    /// No Home; power on the right, volume on the left.
    PhoneFull,
    PadHome,
    /// No Home; power on the top edge, volume on the long side.
    PadFull,
    /// No Home; power and volume on the top edge (iPad mini 6 and A17 Pro).
    PadEdge,
    Remote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub buttons: Buttons,
    pub look: Look,
    /// The power key is called Top, not Side.
    pub top: bool,
    /// The remote has a Home (TV) key; older ones have Down in its place.
    pub remote_home: bool,
}

/// Product types of phones whose power key is on the top edge.
const TOP: &[&str] = &["iPhone1,", "iPhone2,", "iPhone3,", "iPhone4,", "iPhone5,", "iPhone6,", "iPhone8,4", "iPod"];
/// Phones that need three steps, or whose second key is Volume Down, and yet show a Home button.
const SHOWS_HOME: &[&str] = &[
    "iPhone7,",
    "iPhone8,",
    "iPhone9,",
    "iPhone10,1",
    "iPhone10,2",
    "iPhone10,4",
    "iPhone10,5",
    "iPhone12,8",
    "iPhone14,6",
];
/// iPads with the volume keys on the top edge.
const EDGE: &[&str] = &["iPad14,1", "iPad14,2", "iPad16,1", "iPad16,2"];

fn is(product: &str, list: &[&str]) -> bool {
    // `iPad16,1` must not take `iPad16,10` along; an entry that ends in a comma or a letter is a prefix.
    let whole = |entry: &str| entry.ends_with(|c: char| c.is_ascii_digit());
    list.iter().any(|entry| if whole(entry) { product == *entry } else { product.starts_with(entry) })
}

impl Layout {
    pub fn of(model: &Model) -> Layout {
        Layout::new(model.buttons, model.product.as_str())
    }

    /// `product` decides how it looks; an unknown one is taken for the newest of its family.
    pub fn new(buttons: Buttons, product: &str) -> Layout {
        let pad = product.starts_with("iPad");
        let look = match buttons {
            Buttons::Remote => Look::Remote,
            Buttons::Home if pad => Look::PadHome,
            _ if is(product, TOP) => Look::PhoneTop,
            Buttons::Home => Look::PhoneSide,
            _ if is(product, SHOWS_HOME) => Look::PhoneSide,
            Buttons::ThreeStepTop if is(product, EDGE) => Look::PadEdge,
            Buttons::ThreeStepTop => Look::PadFull,
            _ => Look::PhoneFull,
        };
        let top = pad || matches!(look, Look::PhoneTop) || buttons == Buttons::ThreeStepTop;
        Layout { buttons, look, top, remote_home: product.starts_with("AppleTV5,") }
    }

    /// The word of a key in events, in JSON and for `bench press`.
    pub fn word(self, key: Key) -> &'static str {
        match key {
            Key::Home => "home",
            Key::Power if self.top => "top",
            Key::Power => "side",
            Key::VolumeUp => "volume-up",
            Key::VolumeDown => "volume-down",
            Key::VolumeNear => "volume-near",
            Key::VolumeFar => "volume-far",
            Key::Menu => "menu",
            Key::Play => "play",
            Key::RemoteDown => "remote-down",
        }
    }

    /// The key that decides between DFU and recovery; none where there are no keys.
    pub fn second(self) -> Option<Key> {
        Some(match self.buttons {
            Buttons::Home => Key::Home,
            Buttons::VolumeDown | Buttons::ThreeStep => Key::VolumeDown,
            Buttons::ThreeStepTop => Key::VolumeFar,
            Buttons::Remote | Buttons::None | Buttons::Unknown => return None,
        })
    }

    /// The two taps before everything else, on devices that want them.
    pub fn taps(self) -> Option<[Key; 2]> {
        match self.buttons {
            Buttons::ThreeStep => Some([Key::VolumeUp, Key::VolumeDown]),
            Buttons::ThreeStepTop => Some([Key::VolumeNear, Key::VolumeFar]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::models;

    #[test]
    fn keys_are_where_they_are() {
        for (nickname, look, power) in [
            ("iphone5s", Look::PhoneTop, "top"),
            ("iPhone8,4", Look::PhoneTop, "top"),
            ("iPhone8,1", Look::PhoneSide, "side"),
            ("iPhone9,1", Look::PhoneSide, "side"),
            ("iPod9,1", Look::PhoneTop, "top"),
            ("iphone8", Look::PhoneSide, "side"),
            ("iPhone10,3", Look::PhoneFull, "side"),
            ("iPhone14,6", Look::PhoneSide, "side"),
            ("iphone13", Look::PhoneFull, "side"),
            ("iPad12,1", Look::PadHome, "top"),
            ("iPad8,1", Look::PadFull, "top"),
            ("iPad14,1", Look::PadEdge, "top"),
            ("iPad16,1", Look::PadEdge, "top"),
            ("iPad16,3", Look::PadFull, "top"),
            ("AppleTV5,3", Look::Remote, "side"),
        ] {
            let layout = Layout::of(models::by_nickname(nickname).unwrap());
            assert_eq!((layout.look, layout.word(Key::Power)), (look, power), "{nickname}");
        }
    }
}
