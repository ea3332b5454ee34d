//! The report as one printable page.

use super::page::{escaped, page};
use super::{Report, text::facts};
use crate::say::{self, Lang, Text, text};
use std::fmt::Write;

pub(super) fn render(report: &Report, lang: Lang) -> String {
    let title = text(lang, &Text::ReportTitle);
    let mut body = format!("<h1>{}</h1>\n", escaped(&title));
    if report.is_virtual {
        let _ = writeln!(body, "<p class=\"v\">{}</p>", escaped(&text(lang, &Text::VirtualBanner)));
    }
    body.push_str("<table>\n");
    for (label, value) in facts(report, lang) {
        let _ = writeln!(body, "<tr><td>{}</td><td>{}</td></tr>", escaped(&label), escaped(&value));
    }
    body.push_str("</table>\n<table>\n");
    for step in &report.steps {
        let sign = if step.ok { "✓" } else { "✗" };
        let _ = writeln!(
            body,
            "<tr><td>{sign}</td><td>{:.1} s</td><td>{}</td></tr>",
            step.seconds,
            escaped(say::step(lang, step.step))
        );
    }
    body.push_str("</table>\n");
    if let Some(fault) = &report.fault {
        let _ = writeln!(body, "<pre>{}</pre>", escaped(&say::whole_fault(lang, fault).join("\n")));
    }
    page(lang, &format!("{title} {}", report.job), &body)
}
