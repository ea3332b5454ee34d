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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Outcome, Step};
    use crate::fault::{Code, Fault};
    use crate::ids::{Ecid, ProductType};
    use crate::report::StepLine;
    use crate::report::page::tests::assert_balanced;
    use jiff::Timestamp;

    #[test]
    fn a_report_is_a_closed_page_whatever_the_device_is_called() {
        let report = Report {
            schema: 1,
            job: "0199<x>".into(),
            tool: "herstel".into(),
            is_virtual: true,
            title: "Anna\u{1b}[2J <script>x</script>".into(),
            product: ProductType::new("iPhone14,5"),
            model: None,
            ecid: Ecid(1),
            udid: None,
            began: Timestamp::UNIX_EPOCH,
            ended: Timestamp::UNIX_EPOCH,
            outcome: Some(Outcome::Failed),
            backup: None,
            firmware: None,
            restored: None,
            erased: None,
            put_back: None,
            steps: vec![StepLine { step: Step::Backup, seconds: 1.0, ok: false }],
            fault: Some(Fault::new(Code::DiskError, "<i>full</i>")),
        };
        for lang in [Lang::En, Lang::Nl] {
            let page = render(&report, lang);
            assert_balanced(&page);
            assert!(!page.contains("<script") && !page.contains('\u{1b}') && page.contains("&lt;i&gt;full"), "{page}");
        }
    }
}
