//! The skeleton of every printable page: one A4 sheet, no script, nothing from elsewhere.
//!
//! The page forbids itself to load anything, so that a sheet opened in a browser is as closed as one on paper.
//! Whatever stands in it goes through [`escaped`] first: texts may hold the name of somebody's device.

use crate::say::{Lang, plain_char};

/// For a screen first; on paper the margins are the page's own.
const STYLE: &str = "@page{size:A4;margin:14mm 17mm}\
    body{font:10.5pt/1.35 sans-serif;max-width:44em;margin:2em auto;padding:0 1em}\
    h1{font-size:1.5em;margin:0 0 .3em}h2{font-size:1.1em;margin:.9em 0 .2em}\
    p,ul,ol,table{margin:.25em 0}ul,ol{padding-left:1.6em}ul.boxes{list-style:'\\2610  '}\
    td,th{padding:.15em .8em .15em 0;vertical-align:top;text-align:left}\
    table.lines{border-collapse:collapse}table.lines td,table.lines th{border-bottom:.5pt solid #999}\
    p.blank{display:flex;gap:.6em;margin:.85em 0}p.blank i{flex:1;font-style:normal;border-bottom:.5pt solid #000}\
    footer{margin-top:1em;border-top:.5pt solid #000;padding-top:.4em;font-weight:bold}\
    code{white-space:nowrap}pre{white-space:pre-wrap}.v{color:#a00}h2,tr,li,p{break-inside:avoid}h2{break-after:avoid}\
    div.code{display:flex;align-items:center;gap:1em;break-inside:avoid}svg.qr{width:32mm;height:32mm}\
    @media print{body{margin:0;padding:0;max-width:none}}";

/// Text as a page may hold it: no markup, and none of what only terminals understand.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push('\n'),
            c => out.push(plain_char(c)),
        }
    }
    out
}

/// The same; what stands between two backticks is typed, and looks like it.
pub(super) fn marked(text: &str) -> String {
    let text = escaped(text);
    if !text.matches('`').count().is_multiple_of(2) {
        return text;
    }
    let piece = |(at, piece): (usize, &str)| match at % 2 {
        0 => piece.to_owned(),
        _ => format!("<code>{piece}</code>"),
    };
    text.split('`').enumerate().map(piece).collect()
}

/// A whole page. `title` is text, `body` is markup.
pub(super) fn page(lang: Lang, title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"{code}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        code = lang.code(),
        title = escaped(title),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every tag that is opened is closed, in order; `<meta>` and the doctype have no end.
    pub fn assert_balanced(page: &str) {
        let mut open: Vec<String> = Vec::new();
        let mut tags = 0;
        for piece in page.split('<').skip(1) {
            let (tag, rest) = piece.split_once('>').unwrap_or_else(|| panic!("no end of <{piece}"));
            assert!(!rest.contains('>') || open.last().is_some_and(|t| t == "style"), "a bare > after <{tag}>");
            let name = tag.trim_start_matches('/').split_whitespace().next().unwrap_or_default();
            tags += 1;
            match tag.strip_prefix('/') {
                Some(end) => assert_eq!(open.pop().as_deref(), Some(end), "in {page}"),
                None if name == "meta" || name == "!doctype" => {}
                None => open.push(name.to_owned()),
            }
        }
        assert!(open.is_empty(), "never closed: {open:?}");
        assert!(tags > 8, "hardly a page: {page}");
    }

    #[test]
    fn a_devices_name_cannot_write_the_page() {
        assert_eq!(escaped("<b onload='x'>&\""), "&lt;b onload=&#39;x&#39;&gt;&amp;&quot;");
        assert_eq!(escaped("a\u{1b}[2Jb\u{202e}c\nd"), "a?[2Jb?c\nd");
        let page = page(Lang::Nl, "</title><script>alert(1)</script>", "<p>x</p>\n");
        assert!(page.contains("<html lang=\"nl\">") && !page.contains("<script"), "{page}");
        assert_balanced(&page);
    }

    #[test]
    fn what_is_typed_looks_like_it() {
        assert_eq!(marked("run `herstel list` & look"), "run <code>herstel list</code> &amp; look");
        assert_eq!(marked("a ` alone"), "a ` alone");
        assert_eq!(marked("`<b>`"), "<code>&lt;b&gt;</code>");
    }

    #[test]
    #[should_panic(expected = "in <")]
    fn the_balance_can_fail() {
        assert_balanced("<html><body><p>x</body></p></html>");
    }
}
