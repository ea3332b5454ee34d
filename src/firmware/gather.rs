//! Asking the catalogues about one product type.
//!
//! Apple's list and ipsw.me are asked at the same time; AppleDB has a page per build, so it is asked last,
//! about the newest builds that the others named. A source that is away, or whose copy is old, is no
//! failure as long as another one answers: what each said, and how old it is, is part of the result.

use super::catalogue::Catalogue;
use crate::event::{Event, Step, Teller};
use crate::fault::{Code, Fault};
use crate::ids::{BuildId, ProductType};
use crate::net::{Document, Endpoints, Http, Shape, Url, document};
use crate::wire::WireError;
use crate::wire::catalogue::{MAX_CATALOGUE, Offer, Offers, Source, apple_versions, appledb, ipswme};
use jiff::Timestamp;
use serde::Serialize;
use std::path::Path;

/// How one source answered.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    pub source: Source,
    pub url: String,
    /// When its server last gave or confirmed what was used; none when nothing was.
    pub fetched: Option<Timestamp>,
    /// Why there is nothing, or only an old copy.
    pub fault: Option<Fault>,
    /// Entries that could not be read.
    pub skipped: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct Gathered {
    /// Of the asked product only.
    pub catalogue: Catalogue,
    pub asked: Vec<Asked>,
}

/// AppleDB's pages are asked for so many of the newest builds.
const PAGES: usize = 2;

/// Everything that the catalogues offer for `product`. `copies` is the folder of last good copies.
///
/// Fails with [`Code::NoFirmware`] when sources answered and none offers anything, and with Apple's fault
/// when no source answered at all.
pub async fn gather(
    http: &Http,
    endpoints: &Endpoints,
    copies: &Path,
    product: &ProductType,
    tell: &Teller,
) -> Result<Gathered, Fault> {
    let word = product.as_str();
    let known = word.len() < 40 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b',') && !word.is_empty();
    if !known {
        return Err(Fault::new(Code::NoFirmware, format!("{word:?} is no product type")).during(Step::Catalogue));
    }
    tell.tell(Event::StepBegan { step: Step::Catalogue, what: word.to_owned() });
    let mut run = Run { http, copies, product, tell, offers: Vec::new(), asked: Vec::new() };
    let device = endpoints.ipswme.join(&format!("v4/device/{word}?type=ipsw"));
    let (apple, device_page) =
        tokio::join!(run.page(&endpoints.catalogue, Shape::Plist, "apple.plist".to_owned(), apple_versions), async {
            match &device {
                Ok(url) => Some((url, run.page(url, Shape::Json, format!("ipswme-{word}.json"), ipswme).await)),
                Err(_) => None,
            }
        },);
    run.took(Source::Apple, &endpoints.catalogue, apple);
    if let Some((url, page)) = device_page {
        run.took(Source::Ipswme, url, page);
    }
    for build in run.newest() {
        let page = format!("ios/{};{build}.json", os_name(word, &build));
        if let Ok(url) = endpoints.appledb.join(&page) {
            let page = run.page(&url, Shape::Json, format!("appledb-{build}.json"), appledb).await;
            run.took(Source::Appledb, &url, page);
        }
    }
    run.end()
}

struct Run<'a> {
    http: &'a Http,
    copies: &'a Path,
    product: &'a ProductType,
    tell: &'a Teller,
    offers: Vec<Offer>,
    asked: Vec<Asked>,
}

impl Run<'_> {
    async fn page(
        &self,
        url: &Url,
        shape: Shape,
        copy: String,
        parse: fn(&[u8]) -> Result<Offers, WireError>,
    ) -> Result<Document<Offers>, Fault> {
        let parse = |bytes: &[u8]| parse(bytes).map_err(|e| Fault::new(Code::CatalogueInvalid, e.to_string()));
        document(self.http, url, shape, MAX_CATALOGUE, &self.copies.join(copy), parse).await
    }

    fn took(&mut self, source: Source, url: &Url, page: Result<Document<Offers>, Fault>) {
        let mut asked = Asked { source, url: url.to_string(), fetched: None, fault: None, skipped: 0 };
        match page {
            Ok(document) => {
                if let Some(fault) = &document.stale {
                    let text = format!("using a copy of {}: {}", document.fetched, fault.detail);
                    self.tell.tell(Event::Warning { text });
                }
                asked.fetched = Some(document.fetched);
                asked.fault = document.stale;
                asked.skipped = document.value.skipped;
                self.offers.extend(document.value.offers.into_iter().filter(|o| o.product == *self.product));
            }
            Err(fault) => {
                if fault.code != Code::NoFirmware {
                    self.tell.tell(Event::Warning { text: fault.detail.clone() });
                }
                asked.fault = Some(fault);
            }
        }
        self.asked.push(asked);
    }

    /// Builds worth a page of AppleDB: the newest for customers, signed ones before others.
    fn newest(&self) -> Vec<BuildId> {
        let mut builds: Vec<(bool, BuildId)> = self
            .offers
            .iter()
            .filter(|o| !o.build.is_prerelease())
            .map(|o| (o.signed == Some(true), o.build.clone()))
            .collect();
        builds.sort_unstable_by(|a, b| b.cmp(a));
        let mut builds: Vec<BuildId> = builds.into_iter().map(|(_, build)| build).collect();
        builds.dedup();
        builds.truncate(PAGES);
        builds
    }

    fn end(self) -> Result<Gathered, Fault> {
        let catalogue = Catalogue::merge(self.offers);
        let fault = if !catalogue.firmwares.is_empty() {
            for disagreement in &catalogue.disagreements {
                let said: Vec<String> = disagreement.said.iter().map(|(s, t)| format!("{s:?} {t}")).collect();
                let text = format!("{}: {}: {}", disagreement.build, disagreement.about, said.join(", "));
                self.tell.tell(Event::Warning { text });
            }
            let newest = catalogue.newest(self.product);
            let what = newest.map(|f| format!("{} ({})", f.version.value, f.build)).unwrap_or_default();
            self.tell.tell(Event::StepDone { step: Step::Catalogue, what });
            return Ok(Gathered { catalogue, asked: self.asked });
        } else if self.asked.iter().any(|a| a.fetched.is_some()) {
            Fault::new(Code::NoFirmware, format!("no catalogue offers an IPSW for {}", self.product))
        } else {
            let first = self.asked.into_iter().find_map(|a| a.fault);
            first.unwrap_or_else(|| Fault::new(Code::CatalogueUnreachable, "no catalogue could be asked"))
        };
        let fault = fault.during(Step::Catalogue);
        self.tell.tell(Event::StepFailed { step: Step::Catalogue, fault: fault.clone() });
        Err(fault)
    }
}

/// What AppleDB calls the system of that product in that era.
fn os_name(product: &str, build: &BuildId) -> &'static str {
    match build.train {
        _ if product.starts_with("AudioAccessory") => "audioOS",
        13.. if product.starts_with("AppleTV") => "tvOS",
        _ if product.starts_with("AppleTV") => "Apple TV Software",
        17.. if product.starts_with("iPad") => "iPadOS",
        8.. => "iOS",
        5.. => "iPhone OS",
        _ => "iPhone Software",
    }
}
