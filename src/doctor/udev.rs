//! What the udev rules of this computer do for a device of Apple's.
//!
//! Asking udev would need the device; the question is what will happen when it comes. So the rules that speak of
//! Apple are read and played through for a device that is imagined: matches, jumps and the few assignments that
//! matter. What cannot be known beforehand (attributes of parents, programs) counts as not matching, so this may miss
//! a right that a rule gives, and never invents one.

use crate::disk::root::{Root, Seen};
use std::collections::BTreeMap;

/// In the order in which a file hides its namesakes.
const FOLDERS: [&str; 5] =
    ["etc/udev/rules.d", "run/udev/rules.d", "usr/local/lib/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d"];
/// systemd acts on the tag in its file of this number; a tag that is set later comes too late.
const SEAT: u32 = 73;
const FILES: usize = 2000;

/// What the rules give one product in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Whoever sits at the machine.
    pub seat: bool,
    /// The tag is set, but after systemd looked.
    pub late: bool,
    pub mode: Option<u32>,
    pub group: Option<String>,
    pub modem_manager_keeps_off: bool,
    pub starts_usbmuxd: bool,
    /// The files that did any of it.
    pub by: Vec<String>,
}

impl Granted {
    /// Anybody besides root.
    pub fn opens(&self) -> bool {
        self.seat || self.mode.is_some_and(|m| m & 0o006 == 0o006) || self.group_writes()
    }

    pub fn group_writes(&self) -> bool {
        self.group.is_some() && self.mode.is_none_or(|m| m & 0o060 == 0o060)
    }
}

/// The rules that speak of Apple, in udev's order.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    files: Vec<(String, String)>,
    pub unread: Vec<String>,
    /// Some folder of rules is there.
    pub any_folder: bool,
}

impl Rules {
    pub fn read(root: &Root) -> Rules {
        let mut rules = Rules::default();
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for folder in FOLDERS {
            let names = match root.names(folder) {
                Seen::Is(names) => names,
                Seen::Absent => continue,
                Seen::Refused(why) => {
                    rules.unread.push(format!("/{folder}: {why}"));
                    continue;
                }
            };
            rules.any_folder = true;
            for name in names.into_iter().filter(|n| n.ends_with(".rules")).take(FILES) {
                found.entry(name).or_insert_with(|| folder.to_owned());
            }
        }
        for (name, folder) in found {
            let path = format!("{folder}/{name}");
            // A link to /dev/null hides a file of the distribution's.
            if root.link(&path).is().is_some_and(|to| to == "/dev/null") {
                continue;
            }
            match root.text(&path) {
                Seen::Is(text) if text.to_ascii_lowercase().contains("5ac") => {
                    rules.files.push((format!("/{path}"), text))
                }
                Seen::Is(_) | Seen::Absent => {}
                Seen::Refused(why) => rules.unread.push(format!("/{path}: {why}")),
            }
        }
        rules
    }

    /// Plays `add` and then `bind`, as the kernel sends them.
    pub fn granted(&self, product: u16) -> Granted {
        let mut device = Imagined::new(product);
        let mut out = Granted::default();
        for action in ["add", "bind"] {
            device.action = action;
            for (path, text) in &self.files {
                let name = path.rsplit('/').next().unwrap_or_default();
                let number: u32 =
                    name.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(100);
                let before = out.clone();
                device.play(text, number < SEAT, &mut out);
                if out != before && !out.by.contains(path) {
                    out.by.push(path.clone());
                }
            }
        }
        out
    }
}

struct Imagined {
    action: &'static str,
    product: String,
    env: BTreeMap<String, String>,
}

impl Imagined {
    fn new(product: u16) -> Imagined {
        let env = [("DEVTYPE", "usb_device".to_owned()), ("PRODUCT", format!("5ac/{product:x}/100"))];
        let env = env.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        Imagined { action: "add", product: format!("{product:04x}"), env }
    }

    fn play(&mut self, text: &str, in_time: bool, out: &mut Granted) {
        let mut jump: Option<String> = None;
        for line in joined(text) {
            let terms = terms(&line);
            if let Some(label) = &jump {
                if terms.iter().any(|t| t.key == "LABEL" && t.value == *label) {
                    jump = None;
                }
                continue;
            }
            if !terms.iter().filter(|t| t.matches()).all(|t| self.fits(t)) {
                continue;
            }
            for term in terms.iter().filter(|t| !t.matches()) {
                match (term.key.as_str(), term.attribute.as_deref()) {
                    ("GOTO", _) => jump = Some(term.value.clone()),
                    ("TAG", _) if term.value == "uaccess" => {
                        let is_set = term.operator != "-=";
                        out.seat = is_set && (in_time || out.seat);
                        out.late = is_set && !out.seat;
                    }
                    ("MODE", _) => out.mode = u32::from_str_radix(&term.value, 8).ok().or(out.mode),
                    ("GROUP", _) => out.group = Some(crate::disk::root::clean(&term.value)),
                    ("ENV", Some(name)) => {
                        self.env.insert(name.to_owned(), term.value.clone());
                        out.modem_manager_keeps_off |= name == "ID_MM_DEVICE_IGNORE" && term.value == "1";
                        out.starts_usbmuxd |= name == "SYSTEMD_WANTS" && term.value.contains("usbmuxd");
                    }
                    ("RUN", _) if term.value.contains("usbmuxd") && !term.value.contains(" -x") => {
                        out.starts_usbmuxd = true;
                    }
                    _ => {}
                }
            }
        }
    }

    fn fits(&self, term: &Term) -> bool {
        let value = match (term.key.as_str(), term.attribute.as_deref()) {
            ("ACTION", _) => self.action,
            ("SUBSYSTEM" | "SUBSYSTEMS", _) => "usb",
            ("ATTR" | "ATTRS", Some("idVendor")) => "05ac",
            ("ATTR" | "ATTRS", Some("idProduct")) => &self.product,
            ("ENV", Some(name)) => self.env.get(name).map_or("", String::as_str),
            _ => return term.operator == "!=",
        };
        term.value.split('|').any(|p| glob(p.as_bytes(), value.as_bytes())) == (term.operator == "==")
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Term {
    key: String,
    attribute: Option<String>,
    operator: &'static str,
    value: String,
}

impl Term {
    fn matches(&self) -> bool {
        matches!(self.operator, "==" | "!=")
    }
}

/// Lines without comments, those that end in a backslash joined with the next.
fn joined(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut open = String::new();
    for line in text.lines().map(str::trim).filter(|l| !l.starts_with('#')) {
        match line.strip_suffix('\\') {
            Some(part) => open.push_str(part),
            None => out.push(std::mem::take(&mut open) + line),
        }
    }
    out.push(open);
    out
}

/// `KEY{attribute}OPERATOR"value"`, parted by commas; what is no such thing is passed over.
fn terms(line: &str) -> Vec<Term> {
    const OPERATORS: [&str; 6] = ["==", "!=", "+=", "-=", ":=", "="];
    let mut out = Vec::new();
    let mut rest = line;
    while let Some((head, after)) = rest.split_once('"') {
        let Some((value, next)) = after.split_once('"') else { break };
        rest = next;
        let head = head.trim_start_matches([',', ' ', '\t']).trim_end();
        let Some(operator) = OPERATORS.iter().copied().find(|o| head.ends_with(o)) else { continue };
        let name = head.strip_suffix(operator).unwrap_or_default().trim();
        let (key, attribute) = match name.split_once('{') {
            Some((key, attribute)) => (key, Some(attribute.trim_end_matches('}').to_owned())),
            None => (name, None),
        };
        out.push(Term { key: key.to_owned(), attribute, operator, value: value.to_owned() });
    }
    out
}

/// `*`, `?` and `[a-f]`. Bounded: a pattern with more stars than a rule has any use for matches nothing.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    if pattern.iter().filter(|b| **b == b'*').count() > 4 || pattern.len() > 256 || text.len() > 256 {
        return false;
    }
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|n| text.get(n..).is_some_and(|t| glob(rest, t))),
        ([b'?', rest @ ..], [_, more @ ..]) => glob(rest, more),
        ([b'[', rest @ ..], [byte, more @ ..]) => {
            let Some(end) = rest.iter().position(|b| *b == b']') else { return false };
            let (set, after) = rest.split_at(end);
            in_set(set, *byte) && glob(after.get(1..).unwrap_or_default(), more)
        }
        ([one, rest @ ..], [byte, more @ ..]) => one == byte && glob(rest, more),
        _ => false,
    }
}

fn in_set(set: &[u8], byte: u8) -> bool {
    let (negated, mut set) = match set {
        [b'!' | b'^', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut found = false;
    while let [first, rest @ ..] = set {
        if let [b'-', last, after @ ..] = rest {
            found |= (*first..=*last).contains(&byte);
            set = after;
        } else {
            found |= *first == byte;
            set = rest;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = include_str!("../../udev/70-herstel.rules");

    fn rules(files: &[(&str, &str)]) -> (tempfile::TempDir, Rules) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let rules = Rules::read(&Root::new(folder.path()));
        (folder, rules)
    }

    #[test]
    fn our_own_rule_opens_every_mode_but_the_normal_one() {
        let (_folder, rules) = rules(&[("etc/udev/rules.d/70-herstel.rules", OURS)]);
        for product in [0x1222, 0x1227, 0x1280, 0x1281, 0x1283, 0x1338, 0x1881, 0xF014] {
            let granted = rules.granted(product);
            assert!(granted.seat && granted.opens() && granted.modem_manager_keeps_off, "{product:x} {granted:?}");
            assert_eq!((granted.mode, granted.group.as_deref()), (Some(0o660), Some("plugdev")));
            assert_eq!(granted.by, ["/etc/udev/rules.d/70-herstel.rules"]);
        }
        assert_eq!(rules.granted(0x12A8), Granted::default());
    }

    #[test]
    fn rules_as_distributions_write_them() {
        let recovery = "ACTION==\"add\", SUBSYSTEM==\"usb\", ATTR{idVendor}==\"05ac\", \\\n  \
                        ATTR{idProduct}==\"122[27]|128[0-3]\", TAG+=\"uaccess\"\n";
        let muxd = "SUBSYSTEM==\"usb\", ENV{PRODUCT}==\"5ac/12[9a][0-9a-f]/*\", ENV{MINE}=\"1\"\n\
                    ENV{MINE}==\"1\", ACTION==\"add\", ENV{SYSTEMD_WANTS}=\"usbmuxd.service\"\n\
                    ENV{MINE}==\"1\", ACTION==\"remove\", RUN+=\"/usr/sbin/usbmuxd -x\"\n";
        let (_folder, rules) =
            rules(&[("usr/lib/udev/rules.d/39-a.rules", recovery), ("lib/udev/rules.d/39-b.rules", muxd)]);
        assert!(rules.granted(0x1281).seat && rules.granted(0x1227).seat);
        assert!(!rules.granted(0xF014).opens() && !rules.granted(0x1281).modem_manager_keeps_off);
        assert!(rules.granted(0x12A8).starts_usbmuxd && !rules.granted(0x1281).starts_usbmuxd);
    }

    #[test]
    fn a_rule_that_only_ends_usbmuxd_does_not_start_it() {
        let text = "ATTR{idVendor}==\"05ac\", RUN+=\"/usr/sbin/usbmuxd -x\"";
        let (_folder, rules) = rules(&[("etc/udev/rules.d/1.rules", text)]);
        assert!(!rules.granted(0x12A8).starts_usbmuxd);
    }

    #[test]
    fn a_file_hides_its_namesakes_and_a_tag_can_come_too_late() {
        let tag = "ATTR{idVendor}==\"05ac\", TAG+=\"uaccess\"";
        let (_folder, hidden) =
            rules(&[("etc/udev/rules.d/50-a.rules", "# 05ac: not wanted"), ("usr/lib/udev/rules.d/50-a.rules", tag)]);
        assert!(!hidden.granted(0x1281).seat);
        let (_folder, late) = rules(&[("etc/udev/rules.d/99-a.rules", tag)]);
        let granted = late.granted(0x1281);
        assert!(!granted.seat && granted.late && !granted.opens());
    }

    #[test]
    fn garbage_gives_nothing() {
        let stars = format!("ATTR{{idVendor}}==\"{}x\", MODE=\"0666\" 05ac", "*".repeat(200));
        for text in ["05ac \"\"\"\"\"", "==\"05ac\"=\"", "GOTO=\"05ac\"", "ATTR{idVendor==\"05ac", &stars, "05ac \\"] {
            let (_folder, rules) = rules(&[("etc/udev/rules.d/1.rules", text)]);
            assert!(!rules.granted(0x1281).opens(), "{text}");
        }
        assert!(glob(b"122[!27]", b"1223") && !glob(b"122[27", b"1222") && glob(b"a*b?c*", b"axxbycz"));
    }
}
