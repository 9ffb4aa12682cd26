//! What a program can be told, as it says so itself: `--help` prints it, and the READMEs repeat it.

use std::fmt::{self, Display};

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// What it belongs to, `Kafka`; empty for what only this program has.
    pub group: &'static str,
    /// The environment variable.
    pub name: String,
    /// What it may be.
    pub accepts: String,
    /// What holds when it is not given.
    pub otherwise: Otherwise,
    /// What it is for.
    pub meaning: String,
}

/// What holds when a setting is not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Otherwise {
    /// The program does not start.
    Refused,
    /// This.
    Default(String),
    /// There is none; the meaning says what that does.
    None,
}

impl Display for Otherwise {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => out.write_str("must be given"),
            Self::Default(value) => write!(out, "`{value}`"),
            Self::None => out.write_str("none"),
        }
    }
}

/// Settings as a table in Markdown, whose columns also stand below each other in a terminal.
pub struct Table<'a>(pub &'a [&'a Setting]);

impl Display for Table<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["setting", "default", "accepts", "means"].map(str::to_owned);
        let rows: Vec<[String; 4]> = std::iter::once(head)
            .chain(self.0.iter().map(|setting| row(setting)))
            .collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let (first, second, third) = (width(0), width(1), width(2));
        for (number, [setting, otherwise, accepts, meaning]) in rows.iter().enumerate() {
            writeln!(
                out,
                "| {setting:first$} | {otherwise:second$} | {accepts:third$} | {meaning} |"
            )?;
            if number == 0 {
                writeln!(
                    out,
                    "|-{:-<first$}-|-{:-<second$}-|-{:-<third$}-|---|",
                    "", "", ""
                )?;
            }
        }
        Ok(())
    }
}

fn row(setting: &Setting) -> [String; 4] {
    [
        format!("`{}`", setting.name),
        setting.otherwise.to_string(),
        setting.accepts.clone(),
        setting.meaning.clone(),
    ]
}

/// Everything that a program can be told: a table of its own settings, and one for each group under its name.
pub struct Groups<'a>(pub &'a [Setting]);

impl Groups<'_> {
    /// The settings of a group, in the order in which they are read.
    fn of(&self, group: &str) -> Vec<&Setting> {
        let settings = self.0.iter();
        settings.filter(|setting| setting.group == group).collect()
    }
}

impl Display for Groups<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.of("");
        if !own.is_empty() {
            writeln!(out, "{}", Table(&own))?;
        }
        let mut seen = vec![""];
        for group in self.0.iter().map(|setting| setting.group) {
            if !seen.contains(&group) {
                seen.push(group);
                writeln!(out, "{group}:\n\n{}", Table(&self.of(group)))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_groups_under_their_names() {
        let setting = |group, name: &str, otherwise| Setting {
            group,
            name: name.to_owned(),
            accepts: "text".to_owned(),
            otherwise,
            meaning: "something".to_owned(),
        };
        let settings = [
            setting("Kafka", "BROKERS", Otherwise::Refused),
            setting("", "N", Otherwise::Default("5".to_owned())),
            setting("Kafka", "PREFIX", Otherwise::None),
        ];
        let expected = "\
| setting | default | accepts | means |
|---------|---------|---------|---|
| `N`     | `5`     | text    | something |

Kafka:

| setting   | default       | accepts | means |
|-----------|---------------|---------|---|
| `BROKERS` | must be given | text    | something |
| `PREFIX`  | none          | text    | something |

";
        assert_eq!(Groups(&settings).to_string(), expected);
    }
}
