use crate::chart::escape;

/// A table of text, written in several ways.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// What it shows, above it.
    pub(super) title: String,
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(title: &str, header: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            title: title.to_owned(),
            header: header.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells = cells.iter().map(|cell| cell.replace('|', "\\|"));
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let mut text = format!("{}\n\n{}", self.title, line(&self.header));
        text.push_str(&format!("|{}\n", " --- |".repeat(self.header.len())));
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }

    pub(super) fn html(&self) -> String {
        let line = |cells: &[String], tag: &str| {
            let cells = cells.iter();
            let cells = cells.map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let mut text = match self.title.is_empty() {
            true => String::new(),
            false => format!("<p>{}</p>\n", escape(&self.title)),
        };
        text.push_str("<table>\n");
        text.push_str(&line(&self.header, "th"));
        self.rows
            .iter()
            .for_each(|row| text.push_str(&line(row, "td")));
        text.push_str("</table>\n");
        text
    }

    /// As comma-separated values, without the title.
    pub(super) fn csv(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
            format!("{}\n", cells.join(","))
        };
        let mut text = line(&self.header);
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }
}

/// A cell of comma-separated values (RFC 4180).
fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

/// Four digits for a reader; a dash for what is undefined.
pub(super) fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.4}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_as_each_format_needs() {
        let mut table = Table::new("a < b", ["x|y", "z"]);
        table.rows = vec![vec!["1, \"2\"".to_owned(), "<&>".to_owned()]];
        assert_eq!(table.csv(), "x|y,z\n\"1, \"\"2\"\"\",<&>\n");
        assert_eq!(
            table.markdown(),
            "a < b\n\n| x\\|y | z |\n| --- | --- |\n| 1, \"2\" | <&> |\n"
        );
        assert!(table.html().contains("<td>&lt;&amp;&gt;</td>"));
    }
}
