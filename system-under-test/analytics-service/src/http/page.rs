//! The dashboards as a page to read.

use std::fmt::Write;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Dashboards;
use crate::store::{DashboardRow, Freshness};

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Orders</title><style>\
body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}\
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid #ccc}\
th:first-child,td:first-child{text-align:left}.incomplete{background:#fff3cd;padding:.6rem}\
</style></head><body><h1>Orders</h1>";

/// Renders the page.
pub fn render(dashboards: &Dashboards) -> String {
    let mut page = HEAD.to_owned();
    page.push_str(&freshness(dashboards.freshness.as_ref()));
    page.push_str(
        "<table><thead><tr><th scope=\"col\">Window (event time)</th><th scope=\"col\">Placed</th>\
         <th scope=\"col\">Paid</th><th scope=\"col\">Refunded</th><th scope=\"col\">Revenue</th></tr></thead><tbody>",
    );
    for row in &dashboards.windows {
        page.push_str(&table_row(row));
    }
    page.push_str("</tbody></table></body></html>");
    page
}

fn freshness(freshness: Option<&Freshness>) -> String {
    let Some(known) = freshness else {
        return "<p class=\"incomplete\">Nothing has been built yet.</p>".to_owned();
    };
    let mut text = format!("<p>Built at {}", when(known.built_at));
    // Writing to a text cannot fail.
    let _ = match known.newest_event_at {
        Some(at) => write!(text, "; the newest event in it is of {}.</p>", when(at)),
        None => write!(text, "; there is no event in it yet.</p>"),
    };
    if !known.complete {
        let reason = known.reason.as_deref().unwrap_or("nobody knows why");
        let behind = known
            .behind
            .map_or("an unknown number of".to_owned(), |behind| {
                behind.to_string()
            });
        let _ = write!(
            text,
            "<p class=\"incomplete\"><strong>Incomplete</strong>: {behind} messages are not counted yet ({}).</p>",
            escape(reason)
        );
    }
    text
}

fn table_row(row: &DashboardRow) -> String {
    let start =
        OffsetDateTime::from_unix_timestamp(row.window_start_s).map_or("?".to_owned(), when);
    format!(
        "<tr><td>{start}, {} s</td><td>{}</td><td>{}</td><td>{}</td><td>{}.{:02} {}</td></tr>",
        row.window_s,
        row.placed,
        row.paid,
        row.refunded,
        row.revenue_minor / 100,
        (row.revenue_minor % 100).abs(),
        escape(&row.currency)
    )
}

fn when(at: OffsetDateTime) -> String {
    let whole = at.replace_nanosecond(0).unwrap_or(at);
    whole.format(&Rfc3339).unwrap_or_else(|_| "?".to_owned())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn dashboards(complete: bool) -> Dashboards {
        Dashboards {
            freshness: Some(Freshness {
                built_at: datetime!(2026-11-25 10:00:05 UTC),
                newest_event_at: Some(datetime!(2026-11-25 10:00:04 UTC)),
                complete,
                reason: (!complete).then(|| "partition 1 lacks 3 of its <messages>".to_owned()),
                behind: Some(3),
            }),
            windows: vec![DashboardRow {
                window_start_s: 0,
                window_s: 60,
                currency: "EUR".to_owned(),
                placed: 3,
                paid: 2,
                refunded: 1,
                revenue_minor: 12_305,
            }],
        }
    }

    #[test]
    fn the_page_says_what_it_knows() {
        let page = render(&dashboards(true));
        assert!(page.contains("123.05 EUR"), "{page}");
        assert!(page.contains("2026-11-25T10:00:04Z"), "{page}");
        assert!(!page.contains("Incomplete"), "{page}");
    }

    #[test]
    fn the_page_says_that_it_is_incomplete_and_escapes_the_reason() {
        let page = render(&dashboards(false));
        assert!(
            page.contains("<strong>Incomplete</strong>: 3 messages"),
            "{page}"
        );
        assert!(page.contains("its &lt;messages&gt;"), "{page}");
    }
}
