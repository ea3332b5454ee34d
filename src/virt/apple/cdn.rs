//! The CDN: whole files and ranges, with an ETag, and all the ways in which real ones disappoint.

use super::http::{Connection, Request, Response};
use super::{Knobs, Shared};
use crate::virt::ipsw::BuiltIpsw;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

const PIECE: usize = 256 << 10;

/// Serves `/ipsw/<name>`; false closes the connection.
pub fn serve(shared: &Shared, file: &BuiltIpsw, request: &Request, to: &mut Connection) -> io::Result<bool> {
    let knobs = shared.knobs();
    if let Some(target) = &knobs.cdn_redirect_to {
        let mut response = Response::new("302 Found", "text/plain", "");
        response.headers.push(("Location".into(), target.clone()));
        to.send(request, response)?;
        return Ok(true);
    }
    if knobs.cdn_html {
        let page = "<!DOCTYPE html><html><body>Please sign in to the hotel's network.</body></html>";
        to.send(request, Response::new("200 OK", "text/html", page))?;
        return Ok(true);
    }
    let served = shared.served.fetch_add(1, Ordering::Relaxed);
    let etag = if knobs.cdn_etag_changes {
        format!("\"{}-{served}\"", file.sha1.get(..16).unwrap_or_default())
    } else {
        format!("\"{}\"", file.sha1.get(..16).unwrap_or_default())
    };
    let fresh = request.header("if-range").is_none_or(|v| v == etag);
    let range = request.header("range").filter(|_| !knobs.cdn_ignore_range && fresh).and_then(|v| parse(v, file.size));
    let mut headers: Vec<(String, String)> = vec![
        ("Accept-Ranges".into(), "bytes".into()),
        ("Content-Type".into(), "application/octet-stream".into()),
        ("ETag".into(), etag),
        ("Last-Modified".into(), "Mon, 28 Sep 2026 17:00:00 GMT".into()),
    ];
    let (status, start, end) = match range {
        None => ("200 OK", 0, file.size),
        Some(None) => {
            let mut response = Response::new("416 Range Not Satisfiable", "text/plain", "");
            response.headers.push(("Content-Range".into(), format!("bytes */{}", file.size)));
            to.send(request, response)?;
            return Ok(true);
        }
        Some(Some((start, end))) => {
            headers.push(("Content-Range".into(), format!("bytes {start}-{}/{}", end - 1, file.size)));
            ("206 Partial Content", start, end)
        }
    };
    let claimed = if knobs.cdn_wrong_length { (end - start) / 2 } else { end - start };
    headers.push(("Content-Length".into(), claimed.to_string()));
    to.head(status, &headers)?;
    if request.method == "HEAD" {
        return Ok(true);
    }
    shared.remember("cdn", serde_json::json!({ "file": file.name, "from": start, "to": end }));
    let whole = stream(shared, file, start, end.min(start + claimed), to)?;
    Ok(whole)
}

/// First byte and the one after the last; `Some(None)` cannot be satisfied.
fn parse(header: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (from, to) = header.strip_prefix("bytes=")?.split_once('-')?;
    if from.is_empty() {
        let last: u64 = to.parse().ok()?;
        return Some((last > 0 && size > 0).then(|| (size.saturating_sub(last), size)));
    }
    let from: u64 = from.parse().ok()?;
    let to: u64 = if to.is_empty() { size } else { to.parse::<u64>().ok()?.saturating_add(1).min(size) };
    Some((from < size && from < to).then_some((from, to)))
}

fn stream(shared: &Shared, file: &BuiltIpsw, start: u64, end: u64, to: &mut Connection) -> io::Result<bool> {
    let Knobs { cdn_cut_at, cdn_cut_times, cdn_flip_bit_at, cdn_stall_at, bytes_per_second, .. } = shared.knobs();
    let source = File::open(&file.path)?;
    let mut buffer = vec![0; PIECE];
    let mut at = start;
    while at < end {
        let mut length = PIECE.min((end - at) as usize);
        if let Some(cut) = cdn_cut_at.filter(|cut| *cut >= at && *cut < at + length as u64) {
            let limit = cdn_cut_times.unwrap_or(1);
            if shared.cuts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < limit).then_some(n + 1)).is_ok()
            {
                length = (cut - at) as usize;
                send(&source, &mut buffer, at, length, None, to)?;
                to.cut();
                return Ok(false);
            }
        }
        if cdn_stall_at.is_some_and(|stall| stall >= at && stall < at + length as u64) {
            std::thread::sleep(Duration::from_secs(3600).min(shared.stall));
            to.cut();
            return Ok(false);
        }
        send(&source, &mut buffer, at, length, *cdn_flip_bit_at, to)?;
        at += length as u64;
        if let Some(rate) = bytes_per_second.filter(|rate| *rate > 0) {
            std::thread::sleep(Duration::from_secs_f64(length as f64 / rate as f64));
        }
    }
    Ok(true)
}

fn send(
    source: &File,
    buffer: &mut [u8],
    at: u64,
    length: usize,
    flip: Option<u64>,
    to: &mut Connection,
) -> io::Result<()> {
    let piece = buffer.get_mut(..length).unwrap_or_default();
    source.read_exact_at(piece, at)?;
    if let Some(byte) = flip.and_then(|f| f.checked_sub(at)).and_then(|f| piece.get_mut(f as usize)) {
        *byte ^= 1;
    }
    to.write(piece)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn ranges_as_clients_write_them() {
        assert_eq!(parse("bytes=0-9", 100), Some(Some((0, 10))));
        assert_eq!(parse("bytes=90-", 100), Some(Some((90, 100))));
        assert_eq!(parse("bytes=-10", 100), Some(Some((90, 100))));
        assert_eq!(parse("bytes=90-500", 100), Some(Some((90, 100))));
        assert_eq!(parse("bytes=100-", 100), Some(None));
        assert_eq!(parse("lines=1-2", 100), None);
    }
}
