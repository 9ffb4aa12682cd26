//! The texts, by version of the event, kind and channel. Pure.
//!
//! A template is a file `templates/v<version>/<kind>.<channel>.txt`. An e-mail's first line is `Subject: ...`, followed by
//! an empty line. `{name}` stands for a field of the event.

use std::collections::BTreeMap;

use contracts::OrderEventKind;

use crate::domain::Channel;

/// The files: version, kind, channel, text.
const FILES: [(u32, OrderEventKind, Channel, &str); 5] = [
    (
        1,
        OrderEventKind::Paid,
        Channel::Email,
        include_str!("../templates/v1/paid.email.txt"),
    ),
    (
        1,
        OrderEventKind::Paid,
        Channel::Sms,
        include_str!("../templates/v1/paid.sms.txt"),
    ),
    (
        1,
        OrderEventKind::Declined,
        Channel::Email,
        include_str!("../templates/v1/declined.email.txt"),
    ),
    (
        1,
        OrderEventKind::Refunded,
        Channel::Email,
        include_str!("../templates/v1/refunded.email.txt"),
    ),
    (
        1,
        OrderEventKind::Cancelled,
        Channel::Email,
        include_str!("../templates/v1/cancelled.email.txt"),
    ),
];

/// The fields that a text may name, with their values; one without a value is not there.
pub type Fields = BTreeMap<&'static str, String>;

/// Whether a text must be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// The template is of the event's version, and every place in it is filled.
    Whole,
    /// The latest template will do, and places without a value stay empty.
    AsItComes,
}

/// Why there is no text for an event; it does not go away by trying again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nobody wrote a text for this.
    #[error("there is no template for version {version} of `{kind}` by {channel}")]
    Missing {
        /// Version of the event.
        version: u32,
        /// What is to be told.
        kind: &'static str,
        /// Over which channel.
        channel: &'static str,
    },
    /// The event does not have what the text needs.
    #[error("the template {template} needs the field `{field}`, which the event does not have")]
    Empty {
        /// Name of the template.
        template: String,
        /// The place that would stay empty.
        field: String,
    },
}

/// A text with its places filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Name of the template it was made from, `v1/paid`.
    pub template: String,
    /// Subject of an e-mail.
    pub subject: Option<String>,
    /// What is said.
    pub body: String,
}

/// All templates.
#[derive(Debug, Clone)]
pub struct Templates {
    by_place: BTreeMap<(&'static str, Channel, u32), Template>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    name: String,
    subject: Option<String>,
    body: String,
}

impl Templates {
    /// The templates that were built in.
    pub fn built_in() -> Self {
        Self::of(&FILES)
    }

    /// Templates of these files.
    pub fn of(files: &[(u32, OrderEventKind, Channel, &str)]) -> Self {
        let by_place = files.iter().map(|(version, kind, channel, text)| {
            let name = format!("v{version}/{}", kind.name());
            ((kind.name(), *channel, *version), Template::new(name, text))
        });
        Self {
            by_place: by_place.collect(),
        }
    }

    /// The text for an event's version.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn text(
        &self,
        version: u32,
        kind: OrderEventKind,
        channel: Channel,
        fields: &Fields,
        strictness: Strictness,
    ) -> Result<Text, TemplateError> {
        let exact = self.by_place.get(&(kind.name(), channel, version));
        let found = match strictness {
            Strictness::Whole => exact,
            Strictness::AsItComes => exact.or_else(|| self.latest(kind, channel)),
        };
        let template = found.ok_or(TemplateError::Missing {
            version,
            kind: kind.name(),
            channel: channel.name(),
        })?;
        let fill = |text: &str| fill(&template.name, text, fields, strictness);
        Ok(Text {
            template: template.name.clone(),
            subject: template.subject.as_deref().map(fill).transpose()?,
            body: fill(&template.body)?,
        })
    }

    fn latest(&self, kind: OrderEventKind, channel: Channel) -> Option<&Template> {
        let all = (kind.name(), channel, 0)..=(kind.name(), channel, u32::MAX);
        self.by_place.range(all).next_back().map(|(_, found)| found)
    }
}

impl Template {
    fn new(name: String, text: &str) -> Self {
        let (subject, body) = match text.strip_prefix("Subject: ") {
            Some(rest) => match rest.split_once('\n') {
                Some((subject, body)) => (Some(subject), body),
                None => (Some(rest), ""),
            },
            None => (None, text),
        };
        Self {
            name,
            subject: subject.map(|subject| subject.trim().to_owned()),
            body: body.trim().to_owned(),
        }
    }
}

/// Fills the places of a text. A brace that is not closed is an ordinary character.
fn fill(
    template: &str,
    text: &str,
    fields: &Fields,
    strictness: Strictness,
) -> Result<String, TemplateError> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((field, behind)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            continue;
        };
        match fields.get(field).filter(|value| !value.trim().is_empty()) {
            Some(value) => filled.push_str(value),
            None if strictness == Strictness::AsItComes => {}
            None => {
                return Err(TemplateError::Empty {
                    template: template.to_owned(),
                    field: field.to_owned(),
                });
            }
        }
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channels;

    fn fields() -> Fields {
        let pairs = [
            ("order_id", "o-1"),
            ("customer_id", "customer-001"),
            ("amount", "12.00 EUR"),
            ("units", "3"),
        ];
        pairs
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect()
    }

    #[test]
    fn everything_that_is_told_has_a_whole_text() {
        let templates = Templates::built_in();
        for kind in [
            OrderEventKind::Paid,
            OrderEventKind::Declined,
            OrderEventKind::Refunded,
            OrderEventKind::Cancelled,
        ] {
            for channel in channels(kind) {
                let text = templates
                    .text(1, kind, *channel, &fields(), Strictness::Whole)
                    .expect("a whole text");
                assert_eq!(text.template, format!("v1/{}", kind.name()));
                assert_eq!(text.subject.is_some(), *channel == Channel::Email);
                assert!(text.body.contains("o-1"), "{}", text.body);
                assert!(!text.body.contains(['{', '}']), "{}", text.body);
            }
        }
    }

    #[test]
    fn an_empty_place_is_an_error_or_stays_empty() {
        let templates = Templates::built_in();
        let mut fields = fields();
        fields.insert("customer_id", " ".to_owned());
        let (kind, channel) = (OrderEventKind::Paid, Channel::Email);
        let strict = templates.text(1, kind, channel, &fields, Strictness::Whole);
        assert_eq!(
            strict,
            Err(TemplateError::Empty {
                template: "v1/paid".to_owned(),
                field: "customer_id".to_owned()
            })
        );
        let text = templates
            .text(1, kind, channel, &fields, Strictness::AsItComes)
            .expect("as it comes");
        assert!(text.body.starts_with("Thank you, ."), "{}", text.body);
    }

    #[test]
    fn the_template_is_that_of_the_events_version() {
        let (kind, channel) = (OrderEventKind::Paid, Channel::Sms);
        let templates = Templates::of(&[
            (1, kind, channel, "one {order_id}"),
            (2, kind, channel, "two {order_id} {parcel}"),
        ]);
        let body = |version, strictness| {
            templates
                .text(version, kind, channel, &fields(), strictness)
                .map(|text| text.body)
        };
        assert_eq!(body(1, Strictness::Whole).as_deref(), Ok("one o-1"));
        assert!(
            body(2, Strictness::Whole).is_err_and(|error| error.to_string().contains("parcel"))
        );
        assert!(
            body(3, Strictness::Whole).is_err_and(|error| error.to_string().contains("version 3"))
        );
        assert_eq!(body(3, Strictness::AsItComes).as_deref(), Ok("two o-1 "));
    }

    #[test]
    fn a_brace_that_is_not_closed_is_a_brace() {
        let filled = fill("t", "a { b {order_id", &fields(), Strictness::Whole);
        assert_eq!(filled.as_deref(), Ok("a { b {order_id"));
    }
}
