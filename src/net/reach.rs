//! Is a server there? One short look, of no consequence: nothing is fetched and nothing is tried again.

use super::http::{For, Http, looks_html, no_answer};
use crate::fault::{Code, Fault};
use reqwest::Url;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};

/// A name looked up, and a connection without any proxy: what a device in a restore is given.
#[derive(Clone, Debug)]
pub struct Reached {
    pub addresses: Result<Vec<IpAddr>, String>,
    pub connected: Result<(), String>,
}

/// What a server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    pub status: u16,
    /// A web page, or the way to one: Apple's servers for machines have none.
    pub page: bool,
    /// Its clock, in seconds since 1970.
    pub date: Option<i64>,
}

/// Looks the name up and connects, each within `limit`.
pub async fn reach(host: &str, port: u16, limit: Duration) -> Reached {
    let slow = || "no answer in time".to_owned();
    let looked = tokio::time::timeout(limit, lookup_host((host, port))).await;
    let addresses: Result<Vec<SocketAddr>, String> = match looked {
        Err(_) => Err(slow()),
        Ok(Err(err)) => Err(err.to_string()),
        Ok(Ok(found)) => Ok(found.take(16).collect()),
    };
    let connected = match &addresses {
        Err(why) => Err(why.clone()),
        Ok(found) => match tokio::time::timeout(limit, TcpStream::connect(&found[..])).await {
            Err(_) => Err(slow()),
            Ok(tried) => tried.map(drop).map_err(|err| err.to_string()),
        },
    };
    Reached { addresses: addresses.map(|found| found.iter().map(SocketAddr::ip).collect()), connected }
}

impl Http {
    /// Asks for a page and reads its beginning, all within `limit`.
    ///
    /// # Errors
    /// `server-unreachable` where nobody answers.
    pub async fn probe(&self, url: &Url, limit: Duration) -> Result<Probe, Fault> {
        const BEGINNING: usize = 512;
        let work = async {
            let asked = self.client(url, For::Documents)?.get(url.clone()).send().await;
            let mut response = match asked.map_err(|err| no_answer(Code::CatalogueUnreachable, &err)) {
                Ok(response) => response,
                Err(fault) if fault.code == Code::HostNotAllowed => {
                    return Ok(Probe { status: 302, page: true, date: None });
                }
                Err(fault) => return Err(fault),
            };
            let date = response.headers().get(reqwest::header::DATE).and_then(|v| v.to_str().ok()).and_then(second_of);
            let status = response.status();
            let mut body = Vec::new();
            while body.len() < BEGINNING
                && let Ok(Some(chunk)) = response.chunk().await
            {
                body.extend_from_slice(&chunk);
            }
            Ok(Probe { status: status.as_u16(), page: status.is_success() && looks_html(&body), date })
        };
        match tokio::time::timeout(limit, work).await {
            Ok(done) => done,
            Err(_) => Err(Fault::new(Code::CatalogueUnreachable, format!("{url}: no answer in time"))),
        }
    }
}

/// `Sun, 22 Nov 2026 17:30:00 GMT`
fn second_of(date: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(date).ok().map(|zoned| zoned.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_servers_write_them() {
        assert_eq!(second_of("Thu, 01 Jan 2026 00:00:00 GMT"), Some(1_767_225_600));
        assert_eq!(second_of("yesterday"), None);
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_is_told_from_a_name_that_leads_nowhere() {
        let limit = Duration::from_secs(10);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let there = reach("127.0.0.1", port, limit).await;
        assert!(there.connected.is_ok() && there.addresses.unwrap()[0].is_loopback());
        drop(listener);
        let gone = reach("127.0.0.1", port, limit).await;
        assert!(gone.connected.is_err() && gone.addresses.is_ok());
        let nowhere = reach("no host of this name", port, limit).await;
        assert!(nowhere.connected.is_err() && nowhere.addresses.is_err());
    }
}
