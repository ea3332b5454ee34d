//! Plain tables: columns as wide as their widest cell, two blanks between. On a terminal they are made to fit.

use crate::say::{cut, padded, width};
use std::io::IsTerminal;

/// No column is made narrower than this.
const NARROWEST: usize = 8;
const GAP: usize = 2;

/// Lines of a table. `cuttable` are the columns that may lose their ends: names, never what is typed again.
pub fn table(header: &[&str], cuttable: &[usize], rows: Vec<Vec<String>>) -> String {
    fitted(header, cuttable, rows, columns())
}

/// The same; the column `spare` is shown where there is room for it.
pub fn table_sparing(header: &[&str], cuttable: &[usize], spare: usize, rows: Vec<Vec<String>>) -> String {
    spared(header, cuttable, spare, rows, columns())
}

/// Of the terminal; none where the output is none.
fn columns() -> Option<usize> {
    let out = std::io::stdout();
    let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

fn spared(
    header: &[&str],
    cuttable: &[usize],
    spare: usize,
    mut rows: Vec<Vec<String>>,
    columns: Option<usize>,
) -> String {
    let whole = fitted(header, cuttable, rows.clone(), columns);
    if columns.is_none_or(|columns| whole.lines().all(|line| width(line) <= columns)) {
        return whole;
    }
    let mut header = header.to_vec();
    header.remove(spare);
    rows.iter_mut().filter(|row| row.len() > spare).for_each(|row| drop(row.remove(spare)));
    let cuttable: Vec<usize> = cuttable.iter().map(|at| at - usize::from(*at > spare)).collect();
    fitted(&header, &cuttable, rows, columns)
}

/// The same for a terminal of so many columns: the widest are cut until a row fits.
fn fitted(header: &[&str], cuttable: &[usize], rows: Vec<Vec<String>>, columns: Option<usize>) -> String {
    let mut all: Vec<Vec<String>> = vec![header.iter().map(|h| (*h).to_owned()).collect()];
    all.extend(rows);
    let count = all.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| all.iter().filter_map(|r| r.get(column)).map(|c| width(c)).max();
    let mut widths: Vec<usize> = (0..count).map(|column| widest(column).unwrap_or(0)).collect();
    let room = columns.map(|c| c.saturating_sub(GAP * count.saturating_sub(1)));
    while room.is_some_and(|room| widths.iter().sum::<usize>() > room) {
        let may = widths.iter_mut().enumerate().filter(|(column, _)| cuttable.contains(column)).map(|(_, width)| width);
        match may.max_by_key(|width| **width).filter(|width| **width > NARROWEST) {
            Some(width) => *width -= 1,
            None => break,
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(i, cell)| {
            let wide = widths.get(i).copied().unwrap_or(0);
            if i + 1 == row.len() { cut(cell, wide) } else { format!("{}{:GAP$}", padded(cell, wide), "") }
        });
        cells.collect::<String>().trim_end().to_owned()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["a".into(), "é".into(), "x".into()], vec!["bbb".into(), "c".into(), String::new()]];
        assert_eq!(fitted(&["1", "2", "3"], &[], rows, None), "1    2  3\na    é  x\nbbb  c");
    }

    #[test]
    fn a_column_that_can_be_spared_goes_where_there_is_no_room() {
        let rows = || vec![vec!["20261122T111834Z".into(), "2026-11-22".into(), "Anna's old iPhone".into()]];
        let shown = |columns| spared(&["BACKUP", "CHECKED", "DEVICE"], &[2], 1, rows(), Some(columns));
        assert!(shown(80).contains("CHECKED") && shown(80).contains("Anna's old iPhone"));
        assert_eq!(shown(40), "BACKUP            CHECKED     DEVICE\n20261122T111834Z  2026-11-22  Anna's ol…");
        assert_eq!(shown(30), "BACKUP            DEVICE\n20261122T111834Z  Anna's old …");
    }

    #[test]
    fn a_row_fits_and_the_names_of_devices_stay_whole() {
        let row = [
            "normal",
            "iPad van Bram",
            "iPad Pro 11-inch (M4, Wi-Fi)",
            "26.7.1",
            "not trusted",
            "0x126D0E81320001",
            "1-1",
        ];
        let header = ["MODE", "NAME", "MODEL", "VERSION", "TRUST", "ECID", "PORT"];
        let rows = || vec![row.map(str::to_owned).to_vec()];
        let whole = fitted(&header, &[1, 2], rows(), None);
        assert!(whole.contains("iPad Pro 11-inch (M4, Wi-Fi)"), "{whole}");
        let cut = fitted(&header, &[1, 2], rows(), Some(80));
        assert!(cut.lines().all(|line| line.chars().count() <= 80), "{cut}");
        assert!(cut.contains("iPad Pro 1") && cut.contains('…') && cut.contains("0x126D0E81320001  1-1"), "{cut}");
        assert_eq!(fitted(&header, &[1, 2], rows(), Some(20)).lines().count(), 2, "too narrow is shown all the same");
    }
}
