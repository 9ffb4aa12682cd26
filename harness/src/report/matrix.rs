//! The matrix of a proof: which defence protects from which failure.

use comfy_table::{ContentArrangement, Table, presets};

use crate::prove::{Proof, Row, Shown};

/// Columns where the terminal does not say how wide it is.
const WIDTH: u16 = 140;

/// The matrix, then what was refuted, then what is still open.
pub fn draw(proof: &Proof) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table.set_header([
        "failure",
        "scenario",
        "defence off",
        "finding that must appear",
        "shown",
        "drills",
    ]);
    for row in &proof.rows {
        table.add_row([
            row.failures.join(", "),
            row.scenario.clone(),
            row.without
                .clone()
                .unwrap_or_else(|| "none: as written".into()),
            row.must_find
                .clone()
                .unwrap_or_else(|| "none: it passes".into()),
            shown(row).to_owned(),
            row.drills.to_string(),
        ]);
    }
    let mut text = table.to_string();
    for row in &proof.rows {
        if let Shown::Refuted(why) | Shown::Broken(why) = &row.shown {
            let without = row
                .without
                .as_ref()
                .map(|defence| format!(" without {defence}"))
                .unwrap_or_default();
            text.push_str(&format!(
                "\n{}: {}{without}: {why}",
                shown(row),
                row.scenario
            ));
        }
    }
    list(
        &mut text,
        "Defences that wait for a scenario that needs them",
        &proof.waiting_defences,
    );
    list(
        &mut text,
        "Scenarios that no defence breaks",
        &proof.unbroken_scenarios,
    );
    text
}

fn list(text: &mut String, title: &str, names: &[String]) {
    if !names.is_empty() {
        text.push_str(&format!("\n{title}: {}", names.join(", ")));
    }
}

fn shown(row: &Row) -> &'static str {
    match row.shown {
        Shown::Proven => "proven",
        Shown::Refuted(_) => "REFUTED",
        Shown::Broken(_) => "HARNESS ERROR",
    }
}
