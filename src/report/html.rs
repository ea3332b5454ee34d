//! The report as one printable page.

use super::{Report, text::facts};
use crate::say::{self, Lang, Text, text};
use std::fmt::Write;

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn render(report: &Report, lang: Lang) -> String {
    let title = text(lang, &Text::ReportTitle);
    let code = match lang {
        Lang::En => "en",
        Lang::Nl => "nl",
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"{code}\"><meta charset=\"utf-8\"><title>{title} {job}</title>\n\
         <style>body{{font:14px sans-serif;max-width:44em;margin:2em auto}}td{{padding:.2em .8em .2em 0;\
         vertical-align:top}}h1{{font-size:1.4em}}.v{{color:#a00}}</style>\n<h1>{title}</h1>\n",
        job = escaped(&report.job),
    );
    if report.is_virtual {
        let _ = writeln!(page, "<p class=\"v\">{}</p>", escaped(&text(lang, &Text::VirtualBanner)));
    }
    page.push_str("<table>\n");
    for (label, value) in facts(report, lang) {
        let _ = writeln!(page, "<tr><td>{}<td>{}", escaped(&label), escaped(&value));
    }
    page.push_str("</table>\n<table>\n");
    for step in &report.steps {
        let sign = if step.ok { "✓" } else { "✗" };
        let _ = writeln!(page, "<tr><td>{sign}<td>{:.1} s<td>{}", step.seconds, escaped(say::step(lang, step.step)));
    }
    page.push_str("</table>\n");
    if let Some(fault) = &report.fault {
        let _ = writeln!(page, "<pre>{}</pre>", escaped(&say::whole_fault(lang, fault).join("\n")));
    }
    page.push_str("</html>\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_devices_name_cannot_write_the_page() {
        assert_eq!(escaped("<b onload='x'>&\""), "&lt;b onload=&#39;x&#39;&gt;&amp;&quot;");
    }
}
