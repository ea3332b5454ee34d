//! Why the question of trust comes back: two daemons, or pair records that cannot be used.
//!
//! A record is a secret: its owner, its mode, its size and its date are looked at, never what is in it.

use super::Diagnosis;
use super::host::Host;
use crate::disk::root::{Root, Seen, Stat};
use crate::event::{Cause, Exam, Verdict};
use jiff::Timestamp;

const FOLDER: &str = "var/lib/lockdown";
/// All that speak usbmuxd's protocol to phones.
const DAEMONS: [&str; 4] = ["usbmuxd", "usbmuxd2", "netmuxd", "usbmuxd-real"];

#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub folder: Option<Stat>,
    pub refused: Option<String>,
    /// File name and what is known of it.
    pub files: Vec<(String, Seen<Stat>)>,
}

impl Records {
    pub fn read(root: &Root) -> Records {
        let mut out = Records { folder: root.stat(FOLDER).is(), ..Records::default() };
        match root.names(FOLDER) {
            Seen::Is(names) => {
                for name in names.into_iter().filter(|n| n.ends_with(".plist")) {
                    let stat = root.stat(&format!("{FOLDER}/{name}"));
                    out.files.push((name, stat));
                }
            }
            Seen::Absent => {}
            Seen::Refused(why) => out.refused = Some(why),
        }
        out
    }
}

pub(super) fn one_daemon(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::OneUsbmuxd);
    if let Some(why) = &host.processes.refused {
        return out.seen("/proc", why).with(Verdict::Unknown, Cause::Unreadable);
    }
    let running = host.processes.named(&DAEMONS);
    for daemon in &running {
        out.see(format!("/proc/{}", daemon.pid), &daemon.name);
    }
    if running.len() > 1 {
        out.found(Verdict::Warning, Cause::TwoDaemons);
        out.run("ps -C usbmuxd,usbmuxd2,netmuxd -o pid,user,lstart,args");
        out.run("sudo systemctl restart usbmuxd");
    } else if running.is_empty() {
        out.see("/proc", "none runs now");
    }
    out
}

pub(super) fn records(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::PairRecords);
    let records = &host.records;
    if let Some(why) = &records.refused {
        // usbmuxd hands the records out: that we may not look is no harm.
        return out.seen(format!("/{FOLDER}"), why).with(Verdict::Unknown, Cause::RecordsUnseen);
    }
    let Some(folder) = records.folder else { return out.seen(format!("/{FOLDER}"), "not there yet").absent() };
    out.see(format!("/{FOLDER}"), format!("mode {:o}, uid {}, {} files", folder.mode, folder.uid, records.files.len()));
    for (name, stat) in &records.files {
        let place = format!("/{FOLDER}/{name}");
        let stat = match stat {
            Seen::Is(stat) => stat,
            Seen::Absent => continue,
            Seen::Refused(why) => {
                out.see(place, why);
                out.found(Verdict::Unknown, Cause::RecordsUnseen);
                continue;
            }
        };
        let day = Timestamp::from_second(stat.changed).map(|t| t.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
        // The daemon runs as the owner of the folder.
        let foreign = stat.uid != folder.uid && stat.mode & 0o004 == 0 && folder.uid != 0;
        out.see(&place, format!("mode {:o}, uid {}, {} bytes, of {day}", stat.mode, stat.uid, stat.size));
        if stat.size == 0 {
            out.found(Verdict::Warning, Cause::RecordsEmpty);
            out.run(format!("sudo rm {}", super::rights::quoted(place.as_ref())));
        } else if foreign {
            out.found(Verdict::Warning, Cause::RecordsForeign);
            out.run(format!("sudo chown --reference=/{FOLDER} /{FOLDER}/*.plist"));
        }
    }
    out
}
