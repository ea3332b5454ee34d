//! Sheets of any content keep their bounds: 80 columns, no orders for a terminal, a page whose tags close.

use super::*;
use crate::report::page::tests::assert_balanced;
use proptest::prelude::*;

fn strings(all: &[&str]) -> Vec<String> {
    owned(all.iter().copied())
}

fn sheet(word: &str) -> Paper {
    let table = Items::Table { head: strings(&["TRY", "WAIT"]), rows: vec![strings(&["6", word]), strings(&["7"])] };
    let known = Blank { label: "Serial".into(), value: Some(word.into()) };
    let blanks = Items::Blanks { rows: vec![vec![known, Blank::new("IMEI")], vec![Blank::new(word)]] };
    let items = [
        Items::paragraph(word),
        Items::numbered([word, "b"]),
        Items::bullets([word]),
        Items::boxes([word]),
        table,
        blanks,
    ];
    let mut paper = Paper::new(word, word).section(word, items).footer(word);
    paper.is_virtual = true;
    paper
}

#[test]
fn a_sheet_reads_well() {
    let paper = Paper::new("Title", "What it is about.")
        .section("Steps", [Items::numbered(["First this, which takes more than one line here", "Then that"])])
        .section("Waits", [Items::Table { head: strings(&["TRY", "WAIT"]), rows: vec![strings(&["6", "1 minute"])] }])
        .section(
            "",
            [Items::boxes(["done"]), Items::Blanks { rows: vec![vec![Blank::new("Name"), Blank::new("Date")]] }],
        )
        .footer("Foot.");
    let expected = "Title\nWhat it is about.\n\nSteps\n  1. First this, which takes more than\n     one line here\n  \
                    2. Then that\n\nWaits\n  TRY  WAIT\n  6    1 minute\n\n  [ ] done\n  Name _____________  Date \
                    _____________\n\nFoot.\n";
    assert_eq!(paper.text(Lang::En, 40), expected);
}

#[test]
fn what_is_known_stands_on_the_line() {
    let known = |value: &str| Blank { label: "Serial".into(), value: Some(value.into()) };
    let shown = |row: &[Blank]| blanks(row, 40);
    assert_eq!(shown(&[known("C8Q"), Blank::new("Date")]), ["  Serial C8Q ________  Date ____________"]);
    let long = "C8QH6T96DPNG-and-more-than-fits-on-the-line";
    let alone = shown(&[known(long), Blank::new("Date")]);
    assert_eq!(alone[0], "  Serial", "{alone:#?}");
    assert!(alone.concat().contains("more-than-fits") && alone.last().unwrap().starts_with("  Date ___"), "{alone:#?}");
}

#[test]
fn a_long_word_is_cut_and_a_wide_table_is_wrapped() {
    let long = "https://example.invalid/".repeat(12);
    let shown = sheet(&long).text(Lang::En, 80);
    assert!(shown.lines().all(|line| width(line) <= 80), "{shown}");
    let joined: String = shown.split_whitespace().collect();
    assert!(joined.contains(&long), "nothing of it is lost: {shown}");
    let cell = "many words in a cell ".repeat(9);
    let row = vec![cell.clone(), "x".to_owned(), cell.clone(), "0x126D0E81100001".to_owned()];
    let shown = table(&[], &[row], 80);
    assert!(shown.iter().all(|line| width(line) <= 80) && shown.len() > 4, "{shown:#?}");
    assert!(shown[0].ends_with("0x126D0E81100001"), "a narrow column stays whole: {shown:#?}");
    let many = table(&[], &[strings(&["a"; 60])], 80);
    assert!(many.iter().all(|line| width(line) <= 80) && many.concat().matches('a').count() == 60, "{many:#?}");
}

#[test]
fn a_name_gives_a_terminal_no_orders_and_a_page_no_tags() {
    let name = "Anna\u{1b}]0;x\u{7}\u{9b}2J\r\u{202e}<script>alert('x')</script> & Bram";
    let shown = sheet(name).text(Lang::Nl, 80);
    assert!(!shown.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{shown:?}");
    assert!(shown.contains("Anna?]0;x??2J") && shown.contains("Bram"));
    let page = sheet(name).html(Lang::Nl);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{page}");
    assert!(!page.contains('\u{1b}') && page.contains("&amp; Bram"));
    assert_balanced(&page);
}

#[test]
fn a_virtual_sheet_says_so_in_both_shapes() {
    for lang in [Lang::En, Lang::Nl] {
        let banner = text(lang, &Text::VirtualBanner);
        let said = |shown: &str| shown.contains(banner.split(' ').next().unwrap());
        assert!(said(&sheet("x").text(lang, 80)) && said(&sheet("x").html(lang)));
        let real = Paper { is_virtual: false, ..sheet("x") };
        assert!(!said(&real.text(lang, 80)) && !said(&real.html(lang)));
    }
}

#[test]
fn letters_of_two_columns_count_as_two() {
    assert_eq!((width("漢字"), width("é"), width("e\u{301}"), width("📱")), (4, 1, 1, 2));
    let shown = sheet(&"漢字".repeat(60)).text(Lang::En, 80);
    assert!(shown.lines().all(|line| width(line) <= 80), "{shown}");
}

proptest! {
    #[test]
    fn any_text_keeps_the_bounds(word in "\\PC{0,200}|.{0,200}", columns in 0usize..200) {
        let paper = sheet(&word);
        let columns_kept = columns.max(NARROWEST);
        let shown = paper.text(Lang::En, columns);
        prop_assert!(shown.lines().all(|line| width(line) <= columns_kept), "{}", shown);
        prop_assert!(!shown.chars().any(|c| c != '\n' && c.is_control()));
        assert_balanced(&paper.html(Lang::En));
    }
}
