//! installation_proxy and springboardservices: which apps are there, and their icons.
//!
//! A backup's Info.plist wants three things of each app: iTunesMetadata and ApplicationSINF from here,
//! the icon from SpringBoard. Answers of installation_proxy are binary property lists and long lists
//! come in pieces, as recorded; both are what hosts trip over.

use super::link::{receive, send};
use crate::virt::backup::APPS;
use crate::virt::phone::Phone;
use crate::virt::stream::BoxStream;
use crate::wire::lockdown::{Frames, Shape, encode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plist::{Dictionary, Value};
use std::io;
use std::sync::Arc;

/// A PNG of one grey pixel.
const ICON: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg==";

fn dict<const N: usize>(pairs: [(&str, Value); N]) -> Dictionary {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn name_of(id: &str) -> String {
    let last = id.rsplit('.').next().unwrap_or(id);
    let mut letters = last.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn app(at: usize, id: &str) -> Dictionary {
    let name = name_of(id);
    let metadata = dict([
        ("softwareVersionBundleId", id.into()),
        ("itemName", name.as_str().into()),
        ("itemId", Value::from(1_000_001 + at as u64)),
        ("bundleShortVersionString", "1.2".into()),
        ("kind", "software".into()),
    ]);
    let place = format!("/private/var/containers/Bundle/Application/00000000-0000-4000-8000-{at:012}");
    dict([
        ("ApplicationType", "User".into()),
        ("CFBundleIdentifier", id.into()),
        ("CFBundleName", name.as_str().into()),
        ("CFBundleDisplayName", name.as_str().into()),
        ("CFBundleExecutable", name.as_str().into()),
        ("CFBundlePackageType", "APPL".into()),
        ("CFBundleVersion", "12".into()),
        ("CFBundleShortVersionString", "1.2".into()),
        ("MinimumOSVersion", "10.0".into()),
        ("UIDeviceFamily", Value::Array(vec![Value::from(1_u64), Value::from(2_u64)])),
        ("SignerIdentity", "Apple iPhone OS Application Signing".into()),
        ("SequenceNumber", Value::from(11 + at as u64)),
        ("Path", format!("{place}/{name}.app").into()),
        ("Container", format!("/private/var/mobile/Containers/Data/Application/{at:032}").into()),
        ("StaticDiskUsage", Value::from(4_194_304_u64)),
        ("DynamicDiskUsage", Value::from(65_536_u64)),
        ("iTunesMetadata", Value::Data(encode(&metadata.into(), Shape::Binary).unwrap_or_default())),
        ("ApplicationSINF", Value::Data([b"sinf".as_slice(), id.as_bytes()].concat())),
    ])
}

/// The apps that the options ask for, reduced to the attributes that they name.
fn chosen(options: Option<&Dictionary>) -> Vec<(String, Dictionary)> {
    let option = |key: &str| options.and_then(|o| o.get(key));
    let texts = |key: &str| {
        option(key)
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(Value::as_string).map(str::to_owned).collect::<Vec<_>>())
    };
    if !matches!(option("ApplicationType").and_then(Value::as_string), None | Some("User" | "Any")) {
        return Vec::new();
    }
    let (ids, attributes) = (texts("BundleIDs"), texts("ReturnAttributes"));
    let mut list = Vec::new();
    for (at, id) in APPS.iter().enumerate() {
        if ids.as_ref().is_some_and(|ids| !ids.iter().any(|i| i == id)) {
            continue;
        }
        let mut one = app(at, id);
        match &attributes {
            Some(wanted) => one.retain(|key, _| wanted.iter().any(|w| w == key)),
            // Heavy ones come only when they are named.
            None => one.retain(|key, _| !matches!(key.as_str(), "iTunesMetadata" | "ApplicationSINF")),
        }
        list.push(((*id).to_owned(), one));
    }
    list
}

/// `com.apple.mobile.installation_proxy`
pub(super) fn serve_installation(_phone: Arc<Phone>, mut stream: BoxStream) {
    let _ = installation(&mut stream);
}

fn installation(stream: &mut BoxStream) -> io::Result<()> {
    let mut frames = Frames::default();
    while let Some(message) = receive(stream.as_mut(), &mut frames)? {
        let Some(request) = message.as_dictionary() else { return Ok(()) };
        let options = request.get("ClientOptions").and_then(Value::as_dictionary);
        let mut say = |answer: Dictionary| send(stream.as_mut(), &answer.into(), Shape::Binary);
        match request.get("Command").and_then(Value::as_string).unwrap_or_default() {
            "Browse" => {
                let list = chosen(options);
                let total = Value::from(list.len() as u64);
                for (at, piece) in list.chunks(2).enumerate() {
                    let current = piece.iter().map(|(_, app)| Value::Dictionary(app.clone())).collect();
                    say(dict([
                        ("CurrentIndex", Value::from(at as u64 * 2)),
                        ("CurrentAmount", Value::from(piece.len() as u64)),
                        ("Total", total.clone()),
                        ("Status", "BrowsingApplications".into()),
                        ("CurrentList", Value::Array(current)),
                    ]))?;
                }
                say(dict([("Status", "Complete".into())]))?;
            }
            "Lookup" => {
                let found: Dictionary =
                    chosen(options).into_iter().map(|(id, app)| (id, Value::Dictionary(app))).collect();
                say(dict([("LookupResult", found.into()), ("Status", "Complete".into())]))?;
            }
            command => say(dict([
                ("Error", "APIInternalError".into()),
                ("ErrorDescription", format!("the bench has no {command:?}").into()),
            ]))?,
        }
    }
    Ok(())
}

/// `com.apple.springboardservices`
pub(super) fn serve_springboard(_phone: Arc<Phone>, mut stream: BoxStream) {
    let _ = springboard(&mut stream);
}

fn springboard(stream: &mut BoxStream) -> io::Result<()> {
    let mut frames = Frames::default();
    let png = || Value::Data(STANDARD.decode(ICON).unwrap_or_default());
    while let Some(message) = receive(stream.as_mut(), &mut frames)? {
        let field = |key: &str| message.as_dictionary().and_then(|d| d.get(key)).and_then(Value::as_string);
        let answer = match field("command").unwrap_or_default() {
            "getIconPNGData" | "getHomeScreenWallpaperPNGData" | "getWallpaperPreviewImage" => {
                Value::Dictionary(dict([("pngData", png())]))
            }
            "getInterfaceOrientation" => Value::Dictionary(dict([("interfaceOrientation", Value::from(1_u64))])),
            "getHomeScreenIconMetrics" => Value::Dictionary(dict([
                ("homeScreenIconRows", Value::Real(6.0)),
                ("homeScreenIconColumns", Value::Real(4.0)),
                ("homeScreenIconDockMaxCount", Value::Real(4.0)),
            ])),
            "getIconState" => {
                let icon = |id: &&str| {
                    Value::Dictionary(dict([
                        ("bundleIdentifier", (*id).into()),
                        ("displayIdentifier", (*id).into()),
                        ("displayName", name_of(id).into()),
                    ]))
                };
                // The dock, then one page.
                Value::Array(vec![Value::Array(Vec::new()), Value::Array(APPS.iter().map(icon).collect())])
            }
            "setIconState" => continue,
            other => Value::Dictionary(dict([("error", format!("the bench has no {other:?}").into())])),
        };
        send(stream.as_mut(), &answer, Shape::Binary)?;
    }
    Ok(())
}
