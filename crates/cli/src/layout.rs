//! How answers look to people: aligned facts, small tables, and colour that only a terminal sees.

use std::fmt::Display;

use chancery_model::document::DateTime;
use chancery_model::time::Timestamp;
use clap::builder::styling::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};

const NAME: Style = Style::new().dimmed();
const HEADING: Style = Style::new().bold();

/// `text` without what a terminal would act on: other people's words must not move our cursor.
pub(crate) fn plain(text: &str) -> String {
    let hostile = |c: char| {
        (c.is_control() && c != '\n')
            // Marks that reorder what is read (CVE-2021-42574).
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if hostile(c) { '\u{fffd}' } else { c })
        .collect()
}

/// A moment as RFC 3339 has it; plain seconds when it lies outside any calendar.
pub(crate) fn moment(at: Timestamp) -> String {
    const END_OF_9998: i64 = 253_370_764_800;
    match at.as_secs() {
        0..END_OF_9998 => DateTime(at).to_string(),
        secs => secs.to_string(),
    }
}

/// A status word in its colour.
pub(crate) fn status(word: &str) -> String {
    let colour = match word {
        "active" | "in_force" | "permit" | "ok" => AnsiColor::Green,
        "draft" | "pending" | "verifying" | "suspended" => AnsiColor::Yellow,
        "retired" | "disabled" | "revoked" | "rejected" | "deny" => AnsiColor::Red,
        _ => return plain(word),
    };
    let style = Style::new().fg_color(Some(colour.into())).bold();
    format!("{style}{word}{style:#}")
}

/// Names and values, one a line, the values aligned; a value of several lines stays in its column.
#[derive(Default)]
pub(crate) struct Facts(Vec<(String, String)>);

impl Facts {
    /// No facts yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a fact whose value may be other people's words.
    pub(crate) fn add(self, name: &str, value: impl Display) -> Self {
        self.styled(name, plain(&value.to_string()))
    }

    /// Adds a fact when there is a value.
    pub(crate) fn maybe(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.add(name, value),
            None => self,
        }
    }

    /// Adds a fact with one line for each value; none when there are no values.
    pub(crate) fn each(self, name: &str, values: &[impl Display]) -> Self {
        if values.is_empty() {
            return self;
        }
        let lines: Vec<String> = values.iter().map(ToString::to_string).collect();
        self.add(name, lines.join("\n"))
    }

    /// Adds a fact whose value is ours and may be coloured.
    pub(crate) fn styled(mut self, name: &str, value: String) -> Self {
        self.0.push((name.to_owned(), value));
        self
    }

    /// The lines.
    pub(crate) fn render(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.len()).max();
        let width = width.unwrap_or_default();
        let lines = self.0.iter().flat_map(|(name, value)| {
            value.split('\n').enumerate().map(move |(at, line)| {
                let name = if at == 0 { name } else { "" };
                format!("{NAME}{name:width$}{NAME:#}  {line}")
            })
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A table with aligned columns; `nothing` when there are no rows.
pub(crate) fn table(headings: &[&str], rows: Vec<Vec<String>>, nothing: &str) -> String {
    if rows.is_empty() {
        return nothing.to_owned();
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings.iter().map(|heading| heading.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut lines = table.lines();
    let heading = lines.next().unwrap_or_default();
    let heading = format!("{HEADING}{}{HEADING:#}", heading.trim_end());
    let rows = lines.map(|line| line.trim_end().to_owned());
    std::iter::once(heading)
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn facts_and_columns_are_aligned() {
        let facts = Facts::new()
            .add("id", "agt_1")
            .maybe("team", None::<&str>)
            .each("tools", &["desk/look", "desk/pay"])
            .styled("status", status("active"));
        assert_eq!(
            bare(&facts.render()),
            "id      agt_1\ntools   desk/look\n        desk/pay\nstatus  active"
        );
        let rows = vec![
            vec!["bot".to_owned(), "active".to_owned()],
            vec!["longer-name".to_owned(), "draft".to_owned()],
        ];
        assert_eq!(
            bare(&table(&["name", "status"], rows, "none")),
            "NAME         STATUS\nbot          active\nlonger-name  draft"
        );
        assert_eq!(table(&["name"], Vec::new(), "no agents"), "no agents");
    }

    #[test]
    fn words_of_others_cannot_drive_the_terminal() {
        let hostile = "\u{1b}[2Jgone\u{202e}\r\u{7}";
        let shown = Facts::new().add("reason", hostile).render();
        assert!(bare(&shown).chars().all(|c| !c.is_control()));
        let rows = vec![vec![hostile.to_owned()]];
        assert!(!table(&["a"], rows, "").contains("\u{1b}[2J"));
    }
}
