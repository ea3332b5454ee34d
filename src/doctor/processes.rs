//! Who else runs here, and who holds a device of Apple's open.
//!
//! `/proc/<pid>/fd` of other people's programs cannot be read: how many were hidden is part of the answer.

use crate::disk::root::{Root, Seen, clean};

const PROGRAMS: usize = 8192;
const FILES: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub name: String,
    /// Nodes of the USB bus that it has open.
    pub nodes: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Processes {
    pub all: Vec<Process>,
    /// Whose open files could not be seen.
    pub hidden: usize,
    pub refused: Option<String>,
}

impl Processes {
    /// All but ourselves.
    pub fn read(root: &Root, own: u32) -> Processes {
        let mut out = Processes::default();
        let names = match root.names("proc") {
            Seen::Is(names) => names,
            Seen::Absent => {
                out.refused = Some("/proc: not there".into());
                return out;
            }
            Seen::Refused(why) => {
                out.refused = Some(format!("/proc: {why}"));
                return out;
            }
        };
        let pids = names.iter().filter_map(|n| n.parse::<u32>().ok()).filter(|pid| *pid != own);
        for pid in pids.take(PROGRAMS) {
            // A kernel's name is cut at 15 characters; the program's own path is whole.
            let Some(mut name) = root.word(&format!("proc/{pid}/comm")) else { continue };
            let line = root.text_of(&format!("proc/{pid}/cmdline"), 4096).is().unwrap_or_default();
            let program = line.split('\0').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
            if program.starts_with(name.as_str()) {
                name = clean(program);
            }
            let mut nodes = Vec::new();
            match root.names(&format!("proc/{pid}/fd")) {
                Seen::Is(open) => {
                    let links = open.iter().take(FILES).filter_map(|fd| root.link(&format!("proc/{pid}/fd/{fd}")).is());
                    nodes.extend(links.filter(|to| to.starts_with("/dev/bus/usb/")).map(|to| clean(&to)));
                    nodes.sort();
                    nodes.dedup();
                }
                Seen::Absent => {}
                Seen::Refused(_) => out.hidden += 1,
            }
            out.all.push(Process { pid, name, nodes });
        }
        out
    }

    pub fn named(&self, wanted: &[&str]) -> Vec<&Process> {
        self.all.iter().filter(|p| wanted.contains(&p.name.as_str())).collect()
    }

    pub fn runs(&self, name: &str) -> bool {
        !self.named(&[name]).is_empty()
    }

    /// Who has this node open.
    pub fn holding<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Process> {
        self.all.iter().filter(move |p| p.nodes.iter().any(|n| n == node))
    }
}
