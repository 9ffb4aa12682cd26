//! Settings with placeholders.

use super::{PortReference, Template, TemplatePart, Word};

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemplateProblem {
    /// The text that is meant, for finding its place.
    pub(super) text: String,
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) remedy: Option<String>,
}

/// Why something cannot be used, and what to do.
pub(super) type Refusal = (String, Option<String>);

/// What turns the words after `link:` into a component's port.
type Resolve<'a> = dyn Fn(&str) -> Result<PortReference, Refusal> + 'a;

/// Placeholders without an argument, by name.
const WORDS: [(&str, Word); 15] = [
    ("instance", Word::Instance),
    ("name_server", Word::NameServer),
    ("database", Word::Database),
    ("database_user", Word::DatabaseUser),
    ("database_password", Word::DatabasePassword),
    ("database_password_file", Word::DatabasePasswordFile),
    ("ca_file", Word::CaFile),
    ("certificate_file", Word::CertificateFile),
    ("private_key_file", Word::PrivateKeyFile),
    ("bucket", Word::Bucket),
    ("bucket_access_key", Word::BucketAccessKey),
    ("bucket_secret_key", Word::BucketSecretKey),
    ("topic_prefix", Word::TopicPrefix),
    ("defences_off", Word::DefencesOff),
    ("seed", Word::Seed),
];

impl Word {
    /// How it is written between the braces.
    pub fn name(self) -> &'static str {
        WORDS
            .iter()
            .find(|(_, word)| *word == self)
            .map_or("", |(name, _)| name)
    }
}

impl Template {
    /// Text without placeholders.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            parts: vec![TemplatePart::Text(text.into())],
        }
    }

    /// The components and ports that the placeholders connect to.
    pub fn links(&self) -> impl Iterator<Item = &PortReference> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Link(server) | TemplatePart::Named(server) => Some(server),
            _ => None,
        })
    }

    /// The components and ports that are connected to by name.
    pub fn names(&self) -> impl Iterator<Item = &PortReference> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Named(server) => Some(server),
            _ => None,
        })
    }

    /// Whether it holds this word.
    pub fn has_word(&self, word: Word) -> bool {
        self.parts.contains(&TemplatePart::Word(word))
    }

    /// The components and ports that customers are told of.
    pub fn customer_links(&self) -> impl Iterator<Item = &PortReference> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Customers(server) => Some(server),
            _ => None,
        })
    }

    /// The own ports that the placeholders listen on.
    pub fn listens(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Listen(port) => Some(port.as_str()),
            _ => None,
        })
    }
}

/// Reads a template; all that is wrong with it is told.
///
/// `resolve` turns what stands after `link:` into a component's port, or says what is wrong with it.
pub(super) fn parse(text: &str, resolve: &Resolve<'_>) -> Result<Template, Vec<TemplateProblem>> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..at + 1];
        if rest[at + 1..].starts_with(brace) {
            literal.push_str(brace);
            rest = &rest[at + 2..];
            continue;
        }
        let Some(end) = rest[at..].find('}').filter(|end| *end > 0) else {
            problems.push(lone_brace(brace));
            literal.push_str(brace);
            rest = &rest[at + 1..];
            continue;
        };
        let inside = &rest[at + 1..at + end];
        match placeholder(inside, resolve) {
            Ok(part) => {
                if !literal.is_empty() {
                    parts.push(TemplatePart::Text(std::mem::take(&mut literal)));
                }
                parts.push(part);
            }
            Err((message, remedy)) => problems.push(TemplateProblem {
                text: rest[at..=at + end].to_owned(),
                message,
                remedy,
            }),
        }
        rest = &rest[at + end + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() || parts.is_empty() {
        parts.push(TemplatePart::Text(literal));
    }
    match problems.is_empty() {
        true => Ok(Template { parts }),
        false => Err(problems),
    }
}

fn lone_brace(brace: &str) -> TemplateProblem {
    TemplateProblem {
        text: brace.to_owned(),
        message: format!("a `{brace}` without its other half"),
        remedy: Some(format!("write `{brace}{brace}` for the character itself")),
    }
}

fn placeholder(inside: &str, resolve: &Resolve<'_>) -> Result<TemplatePart, Refusal> {
    if let Some(server) = inside.strip_prefix("link:") {
        return resolve(server).map(TemplatePart::Link);
    }
    if let Some(server) = inside.strip_prefix("named:") {
        return resolve(server).map(TemplatePart::Named);
    }
    if let Some(server) = inside.strip_prefix("customers:") {
        return resolve(server).map(TemplatePart::Customers);
    }
    if let Some(port) = inside.strip_prefix("listen:") {
        return Ok(TemplatePart::Listen(port.to_owned()));
    }
    let known = WORDS.iter().find(|(name, _)| *name == inside);
    known
        .map(|(_, word)| TemplatePart::Word(*word))
        .ok_or_else(|| {
            let names = WORDS.iter().map(|(name, _)| *name);
            let word = inside.split(':').next().unwrap_or(inside);
            let remedy =
                match crate::diagnostic::nearest(word, ["link", "named", "listen", "customers"]) {
                    Some(meant) if inside.contains(':') => {
                        let argument = &inside[word.len()..];
                        Some(format!("did you mean `{{{meant}{argument}}}`?"))
                    }
                    _ => crate::diagnostic::suggestion(
                        inside,
                        names.chain([
                            "link:COMPONENT/PORT",
                            "named:COMPONENT/PORT",
                            "listen:PORT",
                            "customers:COMPONENT/PORT",
                        ]),
                    ),
                };
            (format!("unknown placeholder `{{{inside}}}`"), remedy)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(server: &str) -> Result<PortReference, Refusal> {
        Ok(PortReference {
            component: server.to_owned(),
            port: "http".to_owned(),
        })
    }

    #[test]
    fn text_and_placeholders_keep_their_order() {
        let template = parse(
            "postgres://{database_user}@{link:db}/{{x}}{customers:db}{named:db}",
            &port,
        )
        .unwrap();
        assert_eq!(
            template.parts,
            [
                TemplatePart::Text("postgres://".to_owned()),
                TemplatePart::Word(Word::DatabaseUser),
                TemplatePart::Text("@".to_owned()),
                TemplatePart::Link(port("db").unwrap()),
                TemplatePart::Text("/{x}".to_owned()),
                TemplatePart::Customers(port("db").unwrap()),
                TemplatePart::Named(port("db").unwrap()),
            ]
        );
        assert_eq!(parse("", &port).unwrap(), Template::text(""));
    }

    #[test]
    fn every_mistake_of_a_template_is_told() {
        let problems = parse("{lnk:db} {databse} {open", &port).unwrap_err();
        let told: Vec<_> = problems
            .iter()
            .map(|problem| {
                (
                    problem.text.as_str(),
                    problem.remedy.as_deref().unwrap_or(""),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("{lnk:db}", "did you mean `{link:db}`?"),
                ("{databse}", "did you mean `database`?"),
                ("{", "write `{{` for the character itself"),
            ]
        );
    }
}
