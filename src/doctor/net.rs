//! Apple's servers, and all that can stand between: names, proxies, portals, a wrong clock.

use super::Diagnosis;
use super::host::{Host, Probed};
use crate::disk::root::{Root, Seen, clean};
use crate::event::{Cause, Exam, Verdict};
use std::net::IpAddr;

/// A ticket is refused, and a certificate not believed, long before a day is over.
const DRIFT: i64 = 300;
const WRONG: i64 = 86_400;
/// 2026-01-01: this program did not exist before.
const BORN: i64 = 1_767_225_600;
const PROXIES: [&str; 6] = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
/// The one without which nothing is signed.
const SIGNING: &str = "gs.apple.com";

#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Lines that give a name of Apple's an address.
    pub hosts: Seen<Vec<String>>,
    pub servers: Seen<Vec<String>>,
    pub synchronized: bool,
}

impl Names {
    pub fn read(root: &Root) -> Names {
        let is_apple = |name: &str| {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "apple.com" || name.ends_with(".apple.com") || name.ends_with(".cdn-apple.com")
        };
        let lines = |text: String, keep: &dyn Fn(&str) -> bool| -> Vec<String> {
            let stripped = text.lines().map(|l| l.split(['#', ';']).next().unwrap_or_default().trim());
            stripped.filter(|l| keep(l)).map(clean).take(64).collect()
        };
        let read = |file: &str, keep: &dyn Fn(&str) -> bool| match root.text_of(file, 4 << 20) {
            Seen::Is(text) => Seen::Is(lines(text, keep)),
            Seen::Absent => Seen::Absent,
            Seen::Refused(why) => Seen::Refused(why),
        };
        Names {
            hosts: read("etc/hosts", &|l| l.split_whitespace().skip(1).any(is_apple)),
            servers: read("etc/resolv.conf", &|l| l.starts_with("nameserver")),
            synchronized: root.exists("run/systemd/timesync/synchronized"),
        }
    }
}

fn probed(host: &Host) -> &[Probed] {
    host.given.probed.as_deref().unwrap_or_default()
}

fn needed(host: &Host) -> impl Iterator<Item = &Probed> {
    probed(host).iter().filter(|p| p.needed)
}

pub(super) fn clock(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Clock);
    let now = host.given.now;
    let today = jiff::Timestamp::from_second(now).map(|t| t.strftime("%Y-%m-%d %H:%M UTC").to_string());
    out.see("this computer", today.unwrap_or_else(|_| format!("{now} s")));
    if host.names.synchronized {
        out.see("/run/systemd/timesync/synchronized", "there");
    }
    let ahead = needed(host).find_map(|p| Some((&p.host, p.answer.as_ref()?.as_ref().ok()?.ahead?)));
    if let Some((server, ahead)) = ahead {
        out.see(server, format!("its clock is {ahead} s ahead of ours"));
        match ahead.saturating_abs() {
            off if off >= WRONG => out.found(Verdict::Blocking, Cause::ClockWrong),
            off if off >= DRIFT => out.found(Verdict::Warning, Cause::ClockDrifts),
            _ => {}
        }
    } else if now < BORN {
        out.found(Verdict::Blocking, Cause::ClockWrong);
    } else if !host.names.synchronized {
        out.found(Verdict::Unknown, Cause::ClockUnproven);
    }
    if out.cause.is_some() {
        out.run("timedatectl");
    }
    if matches!(out.cause, Some(Cause::ClockWrong | Cause::ClockDrifts)) {
        out.run("sudo timedatectl set-ntp true");
    }
    out
}

pub(super) fn hosts(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::AppleHosts);
    if host.given.probed.is_none() {
        return out.seen("--offline", "not asked").with(Verdict::Unknown, Cause::Offline);
    }
    for one in probed(host) {
        let direct = one.direct.as_ref().map_or_else(|why| format!("no connection: {why}"), |()| "reached".to_owned());
        match &one.answer {
            Some(Ok(answer)) => {
                let page = if answer.page { ", a web page" } else { "" };
                out.see(&one.host, format!("{direct}; answers {}{page}", answer.status));
                if answer.page {
                    out.found(Verdict::Blocking, Cause::PortalAnswers);
                } else if one.direct.is_err() {
                    out.found(Verdict::Warning, Cause::HostsOnlyByProxy);
                }
            }
            Some(Err(why)) => {
                // Past a proxy the two may fail for reasons of their own.
                let proxied = PROXIES.iter().any(|name| host.given.variable(name).is_some());
                let same = one.direct.is_err() && !proxied;
                out.see(&one.host, if same { direct } else { format!("{direct}; {why}") });
                out.found(Verdict::Blocking, Cause::HostsAway);
            }
            None => {
                out.see(&one.host, &direct);
                if one.direct.is_err() {
                    out.found(Verdict::Warning, Cause::CalibrationAway);
                }
            }
        }
    }
    if matches!(out.cause, Some(Cause::HostsAway | Cause::PortalAnswers)) {
        out.run(format!("curl -v --noproxy '*' https://{SIGNING}/"));
    }
    out
}

/// Where a password may stand in it, it is not repeated.
fn without_password(value: &str) -> String {
    match value.rsplit_once('@') {
        Some((head, rest)) => {
            let scheme = head.split_once("://").map_or("", |(s, _)| s);
            format!("{scheme}{}…@{rest}", if scheme.is_empty() { "" } else { "://" })
        }
        None => value.to_owned(),
    }
}

pub(super) fn proxy(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Proxy);
    for name in PROXIES {
        if let Some(value) = host.given.variable(name) {
            out.see(format!("${name}"), without_password(value));
            out.found(Verdict::Warning, Cause::ProxySet);
        }
    }
    if out.cause.is_none() {
        return out.seen("$https_proxy, $all_proxy", "not set");
    }
    out.runs(format!("env -u {} herstel doctor", PROXIES.join(" -u ")))
}

pub(super) fn hosts_file(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::HostsFile);
    let place = "/etc/hosts";
    match &host.names.hosts {
        Seen::Absent => out.seen(place, "not there"),
        Seen::Refused(why) => out.seen(place, why).with(Verdict::Unknown, Cause::Unreadable),
        Seen::Is(lines) if lines.is_empty() => out.seen(place, "nothing of Apple's"),
        Seen::Is(lines) => {
            for line in lines {
                out.see(place, line);
                // The leftover of old tools: tickets are asked of a server that no longer is there.
                let signing = line.split_whitespace().skip(1).any(|n| n.eq_ignore_ascii_case(SIGNING));
                let (verdict, cause) = if signing {
                    (Verdict::Blocking, Cause::HostsMoved)
                } else {
                    (Verdict::Warning, Cause::HostsNamed)
                };
                out.found(verdict, cause);
            }
            out.runs("sudoedit /etc/hosts")
        }
    }
}

/// An address that none of Apple's servers has.
fn is_inside(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_unspecified() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

pub(super) fn resolver(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Resolver);
    let place = "/etc/resolv.conf";
    let mut told = false;
    match &host.names.servers {
        Seen::Absent => out.see(place, "not there"),
        Seen::Refused(why) => out.see(place, why),
        Seen::Is(lines) if lines.is_empty() => out.see(place, "no nameserver"),
        Seen::Is(lines) => {
            told = true;
            lines.iter().for_each(|line| out.see(place, line));
        }
    }
    for one in probed(host) {
        match &one.resolved {
            Ok(addresses) => {
                let shown: Vec<String> = addresses.iter().take(3).map(IpAddr::to_string).collect();
                out.see(&one.host, shown.join(" "));
                if !host.given.is_virtual && addresses.iter().any(is_inside) {
                    out.found(Verdict::Warning, Cause::ResolverLies);
                }
            }
            Err(why) => {
                out.see(&one.host, why);
                out.found(Verdict::Warning, Cause::NoResolver);
            }
        }
    }
    if !told && probed(host).iter().all(|p| p.resolved.is_err()) {
        out.found(if host.given.probed.is_some() { Verdict::Warning } else { Verdict::Unknown }, Cause::NoResolver);
    }
    if out.cause.is_some() {
        out.run(format!("getent ahosts {SIGNING}"));
        out.run("resolvectl status");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_proxy_is_not_repeated() {
        assert_eq!(without_password("http://me:s3cret@proxy:3128"), "http://…@proxy:3128");
        assert_eq!(without_password("me:s3@cret@proxy"), "…@proxy");
        assert_eq!(without_password("http://proxy:3128"), "http://proxy:3128");
    }
}
