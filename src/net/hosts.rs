//! Where Herstel may go.
//!
//! The endpoints are configuration: a person chose them, so they are asked as they are. URLs *inside*
//! their answers are not: firmware comes from Apple's CDN over https, whatever a catalogue says, because
//! two of the three catalogues are kept by volunteers. The same holds for every redirect.
//!
//! The one exception is the bench, whose Apple is on loopback in plain http. Loopback is allowed only when
//! a catalogue endpoint is itself on loopback, so no document from outside can point at this machine.
//!
//! Apple's older entries are http; the same paths are served over https, for two hosts under another name.

use crate::fault::{Code, Fault};
use reqwest::Url;
use std::net::IpAddr;

/// The services that are asked by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Apple's version plist, a whole URL.
    pub catalogue: Url,
    /// AppleDB's root; documents are at `ios/<osStr>;<build>.json` and so on.
    pub appledb: Url,
    /// ipsw.me's root; documents are at `v4/device/<product type>` and so on.
    pub ipswme: Url,
    /// TSS, a whole URL with `action=2`.
    pub tss: Url,
    /// Where the keys of encrypted images are asked instead of Apple's own hosts; a root, for the bench.
    pub keys: Option<Url>,
}

pub const CATALOGUE: &str =
    "https://itunes.apple.com/WebObjects/MZStore.woa/wa/com.apple.jingle.appserver.client.MZITunesClientCheck/version";
pub const APPLEDB: &str = "https://api.appledb.dev/";
pub const IPSWME: &str = "https://api.ipsw.me/";
pub const TSS: &str = "https://gs.apple.com/TSS/controller?action=2";

impl Endpoints {
    /// What is none stays Apple's (or the volunteers') own. Fails with [`Code::Usage`] on what is no URL of
    /// http or https.
    pub fn new(
        catalogue: Option<&str>,
        appledb: Option<&str>,
        ipswme: Option<&str>,
        tss: Option<&str>,
    ) -> Result<Endpoints, Fault> {
        let url = |given: Option<&str>, own: &str| -> Result<Url, Fault> {
            let text = given.unwrap_or(own);
            let url = Url::parse(text).map_err(|e| Fault::new(Code::Usage, format!("{text:?} is not a URL: {e}")))?;
            match url.scheme() {
                "http" | "https" if url.has_host() => Ok(url),
                _ => Err(Fault::new(Code::Usage, format!("{text:?} is not a URL of http or https"))),
            }
        };
        let root = |given: Option<&str>, own: &str| -> Result<Url, Fault> {
            let mut url = url(given, own)?;
            if !url.path().ends_with('/') {
                let path = format!("{}/", url.path());
                url.set_path(&path);
            }
            Ok(url)
        };
        Ok(Endpoints {
            catalogue: url(catalogue, CATALOGUE)?,
            appledb: root(appledb, APPLEDB)?,
            ipswme: root(ipswme, IPSWME)?,
            tss: url(tss, TSS)?,
            keys: None,
        })
    }

    /// The same with image keys from `root`; none leaves Apple's own hosts.
    pub fn with_keys(mut self, root: Option<&str>) -> Result<Endpoints, Fault> {
        if let Some(text) = root {
            let url = Url::parse(text).map_err(|e| Fault::new(Code::Usage, format!("{text:?} is not a URL: {e}")))?;
            self.keys = Some(url);
        }
        Ok(self)
    }

    /// Is some catalogue on this machine? Then its files may be too.
    fn bench(&self) -> bool {
        [&self.catalogue, &self.appledb, &self.ipswme].into_iter().any(is_loopback)
    }
}

/// Firmware: one row per era of Apple's CDN.
const FIRMWARE: [&str; 4] =
    ["updates.cdn-apple.com", "updates-http.cdn-apple.com", "secure-appldnld.apple.com", "appldnld.apple.com"];

/// What a ramdisk may ask the host to fetch (keys of AEA images, attestation).
const RELAYED: [&str; 5] = [
    "wkms-public.apple.com",
    "wkms.sd.apple.com",
    "fcs-keys-pub-prod.cdn-apple.com",
    "gs.apple.com",
    "updates.cdn-apple.com",
];

/// Calibration data and certificates are fetched from there by the device itself, through this computer and not
/// through its proxy. From memory; only a warning hangs on it.
pub const DEVICE_HOSTS: [&str; 2] = ["gg.apple.com", "skl.apple.com"];

/// The rule of hosts, as the endpoints make it.
#[derive(Clone, Debug)]
pub struct Hosts {
    loopback: bool,
    keys: Option<Url>,
}

impl Hosts {
    pub fn new(endpoints: &Endpoints) -> Hosts {
        Hosts { loopback: endpoints.bench(), keys: endpoints.keys.clone() }
    }

    /// The URL of a firmware file, brought to https; [`Code::HostNotAllowed`] when it is not Apple's.
    pub fn firmware(&self, url: &Url) -> Result<Url, Fault> {
        self.check(url, &FIRMWARE)
    }

    /// A URL that a device asked for; as [`Hosts::firmware`].
    pub fn relayed(&self, url: &Url) -> Result<Url, Fault> {
        let checked = self.check(url, &RELAYED)?;
        match &self.keys {
            Some(keys) if !is_loopback(&checked) => {
                let mut moved = keys.clone();
                moved.set_path(checked.path());
                moved.set_query(checked.query());
                Ok(moved)
            }
            _ => Ok(checked),
        }
    }

    /// May an answer from `from` send us to `to`?
    pub(super) fn redirect(&self, from: &Url, to: &Url) -> bool {
        if is_loopback(to) {
            return self.loopback && is_loopback(from);
        }
        let known = |host: &str| FIRMWARE.contains(&host) || RELAYED.contains(&host);
        let port = to.port_or_known_default() == Some(443);
        to.scheme() == "https" && port && to.host_str().is_some_and(|host| known(host) || from.host_str() == Some(host))
    }

    fn check(&self, url: &Url, allowed: &[&str]) -> Result<Url, Fault> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Fault::new(Code::HostNotAllowed, format!("{url}: neither http nor https")));
        }
        let refuse = |why: &str| Err(Fault::new(Code::HostNotAllowed, format!("{url}: {why}")));
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("a URL with a user name");
        }
        if is_loopback(url) {
            return if self.loopback {
                Ok(url.clone())
            } else {
                refuse("this machine, but the catalogue is not on it")
            };
        }
        let host = url.host_str().unwrap_or_default();
        if !allowed.contains(&host) {
            return refuse("not one of Apple's hosts for this");
        }
        let mut https = url.clone();
        let named = match host {
            "appldnld.apple.com" => "secure-appldnld.apple.com",
            "updates-http.cdn-apple.com" => "updates.cdn-apple.com",
            same => same,
        };
        let moved = https.set_scheme("https").is_ok() && https.set_host(Some(named)).is_ok();
        if !moved || https.port_or_known_default() != Some(443) {
            return refuse("not reachable over https");
        }
        Ok(https)
    }
}

/// 127.0.0.0/8, `::1` or `localhost`.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn firmware_comes_from_apple_over_https_and_from_nowhere_else() {
        let hosts = Hosts::new(&Endpoints::new(None, None, None, None).unwrap());
        for (given, used) in [
            ("http://updates-http.cdn-apple.com/2022/a.ipsw", "https://updates.cdn-apple.com/2022/a.ipsw"),
            ("http://appldnld.apple.com/iOS7.1/b.ipsw", "https://secure-appldnld.apple.com/iOS7.1/b.ipsw"),
            ("https://updates.cdn-apple.com/c,d.ipsw", "https://updates.cdn-apple.com/c,d.ipsw"),
        ] {
            assert_eq!(hosts.firmware(&url(given)).unwrap().as_str(), used);
        }
        for bad in [
            "https://updates.cdn-apple.com.evil.example/x.ipsw",
            "https://evil.example/updates.cdn-apple.com/x.ipsw",
            "https://apple.com@evil.example/x.ipsw",
            "https://me:pw@updates.cdn-apple.com/x.ipsw",
            "https://updates.cdn-apple.com:8443/x.ipsw",
            "ftp://updates.cdn-apple.com/x.ipsw",
            "file:///etc/passwd",
            "http://127.0.0.1:8000/x.ipsw",
            "http://0x7f.1/x.ipsw",
            "http://[::1]/x.ipsw",
            "http://localhost/x.ipsw",
        ] {
            assert_eq!(hosts.firmware(&url(bad)).unwrap_err().code, Code::HostNotAllowed, "{bad}");
        }
    }

    #[test]
    fn loopback_serves_files_only_for_a_catalogue_on_loopback() {
        let bench = Endpoints::new(Some("http://127.0.0.1:1/version"), None, None, None).unwrap();
        let hosts = Hosts::new(&bench);
        assert!(hosts.firmware(&url("http://127.0.0.1:2/x.ipsw")).is_ok());
        assert!(hosts.firmware(&url("http://10.0.0.1/x.ipsw")).is_err());
        let tss_only = Endpoints::new(None, None, None, Some("http://localhost:3/TSS")).unwrap();
        assert!(Hosts::new(&tss_only).firmware(&url("http://127.0.0.1:2/x.ipsw")).is_err());
        assert!(hosts.redirect(&url("http://127.0.0.1:2/x"), &url("http://127.0.0.1:9/x")));
        assert!(!hosts.redirect(&url("https://updates.cdn-apple.com/x"), &url("http://127.0.0.1:9/x")));
        assert!(!hosts.redirect(&url("https://updates.cdn-apple.com/x"), &url("http://updates.cdn-apple.com/x")));
        assert!(!hosts.redirect(&url("http://127.0.0.1:2/x"), &url("https://evil.example/x")));
    }

    #[test]
    fn endpoints_are_urls() {
        for bad in ["", "gs.apple.com", "file:///x", "http://"] {
            assert_eq!(Endpoints::new(Some(bad), None, None, None).unwrap_err().code, Code::Usage, "{bad}");
        }
        let own = Endpoints::new(None, Some("http://127.0.0.1:5/db"), None, None).unwrap();
        assert_eq!(own.appledb.join("ios/x.json").unwrap().as_str(), "http://127.0.0.1:5/db/ios/x.json");
    }
}
