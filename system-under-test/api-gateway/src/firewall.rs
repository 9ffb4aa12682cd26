//! What looks like an attack, whoever sends it. Pure.
//!
//! The rules are few and look for what no honest order has, so that a customer named O'Brien who selects a union jack is
//! served. An operator may forbid further words; those are as good as the operator.

use axum::http::HeaderMap;

/// A rule, by the name that is logged and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The query or the body climbs out of a folder.
    PathTraversal,
    /// The query or the body goes on in SQL.
    SqlInjection,
    /// The query or the body carries a script.
    Script,
    /// The headers are larger than any browser's.
    LargeHeaders,
    /// A word that the operator has forbidden.
    ForbiddenWord,
}

impl Rule {
    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::PathTraversal => "path-traversal",
            Self::SqlInjection => "sql-injection",
            Self::Script => "script",
            Self::LargeHeaders => "large-headers",
            Self::ForbiddenWord => "forbidden-word",
        }
    }
}

/// What each rule looks for in lower case, every run of blanks being one.
const PATTERNS: [(Rule, &[&str]); 3] = [
    (Rule::PathTraversal, &["../", "..\\"]),
    (
        Rule::SqlInjection,
        &[
            "' or 1=1",
            "' or '1'='1",
            "' union select ",
            "'; drop table ",
            "'; delete from ",
            "'; update ",
        ],
    ),
    (Rule::Script, &["<script", "javascript:", "onerror="]),
];

/// The rules with their bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firewall {
    /// Names and values of all headers together, in bytes.
    pub header_bytes: usize,
    /// Further words, in lower case, that nothing may have in it.
    pub forbidden_words: Vec<String>,
}

impl Firewall {
    /// The first rule that a request breaks.
    pub fn broken_rule(&self, query: &str, headers: &HeaderMap, body: &[u8]) -> Option<Rule> {
        let size: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if size > self.header_bytes {
            return Some(Rule::LargeHeaders);
        }
        let body = String::from_utf8_lossy(body);
        [plain(&unescaped_url(query)), plain(&unescaped_json(&body))]
            .iter()
            .find_map(|text| self.broken_by(text))
    }

    fn broken_by(&self, text: &str) -> Option<Rule> {
        let known = PATTERNS.iter().find(|(_, patterns)| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| text.contains(pattern))
        });
        if let Some((rule, _)) = known {
            return Some(*rule);
        }
        let mut words = self.forbidden_words.iter();
        words
            .any(|word| text.contains(word.as_str()))
            .then_some(Rule::ForbiddenWord)
    }
}

/// Lower case, every run of blanks being one.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        if !letter.is_whitespace() {
            plain.push(letter);
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    plain
}

/// A query with `+` and `%xx` resolved, twice: attackers write `%252e` for those who resolve later than they look.
fn unescaped_url(query: &str) -> String {
    let once = |text: &str| {
        let bytes = text.as_bytes();
        let mut unescaped = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let code = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
            let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
            let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            at += if code.is_some() { 3 } else { 1 };
            unescaped.push(code.unwrap_or(if byte == b'+' { b' ' } else { byte }));
        }
        String::from_utf8_lossy(&unescaped).into_owned()
    };
    once(&once(query))
}

/// A JSON text with its `\uxxxx` resolved; other escapes hide nothing that a rule looks for, but `\/` and `\t`.
fn unescaped_json(body: &str) -> String {
    let mut unescaped = String::with_capacity(body.len());
    let mut rest = body;
    while let Some((before, after)) = rest.split_once('\\') {
        unescaped.push_str(before);
        let code = after.strip_prefix('u').and_then(|digits| digits.get(..4));
        let letter = code
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32);
        let (letter, length) = match (letter, after.chars().next()) {
            (Some(letter), _) => (Some(letter), 5),
            (None, Some('/')) => (Some('/'), 1),
            (None, Some('t' | 'n' | 'r')) => (Some(' '), 1),
            (None, Some('\\')) => (Some('\\'), 1),
            (None, _) => (Some('\\'), 0),
        };
        unescaped.extend(letter);
        rest = after.get(length..).unwrap_or_default();
    }
    unescaped.push_str(rest);
    unescaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn firewall(words: &[&str]) -> Firewall {
        Firewall {
            header_bytes: 1_000,
            forbidden_words: words.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    fn broken(query: &str, body: &str) -> Option<Rule> {
        firewall(&[]).broken_rule(query, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn attacks_are_known_however_they_are_written() {
        for (query, body, rule) in [
            ("file=../../etc/passwd", "", Rule::PathTraversal),
            ("file=%2e%2e%2fetc", "", Rule::PathTraversal),
            ("file=%252e%252e%252fetc", "", Rule::PathTraversal),
            ("id=1%27+OR+1=1", "", Rule::SqlInjection),
            (
                "",
                r#"{"note":"x'  UNION\tSELECT * from orders"}"#,
                Rule::SqlInjection,
            ),
            (
                "",
                r#"{"note":"\u0027; drop table orders"}"#,
                Rule::SqlInjection,
            ),
            ("", r#"{"note":"<SCRIPT>alert(1)<\/script>"}"#, Rule::Script),
            ("", r#"{"note":"\u003cscript>"}"#, Rule::Script),
        ] {
            assert_eq!(broken(query, body), Some(rule), "{query} {body}");
        }
    }

    #[test]
    fn honest_customers_are_served() {
        for (query, body) in [
            ("fresh=1&after=01a2", ""),
            (
                "",
                r#"{"note":"For Mr. O'Brien; drop it at table 5, or 1 floor up..."}"#,
            ),
            (
                "",
                r#"{"note":"please select a union jack \\ update me -- thanks"}"#,
            ),
            ("name=100%", "\\"),
            ("", "{\"note\":\"\\u00"),
        ] {
            assert_eq!(broken(query, body), None, "{query} {body}");
        }
    }

    #[test]
    fn a_rule_that_is_too_strict_hits_whoever_uses_the_word() {
        let strict = firewall(&["please"]);
        let body = br#"{"note":"Please ring"}"#;
        assert_eq!(
            strict.broken_rule("", &HeaderMap::new(), body),
            Some(Rule::ForbiddenWord)
        );
    }

    #[test]
    fn headers_have_a_bound() {
        let mut headers = HeaderMap::new();
        headers.insert("a", "x".repeat(999).parse().expect("a value"));
        assert_eq!(firewall(&[]).broken_rule("", &headers, b""), None);
        headers.insert("b", "x".parse().expect("a value"));
        assert_eq!(
            firewall(&[]).broken_rule("", &headers, b""),
            Some(Rule::LargeHeaders)
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(query in ".*", body in proptest::collection::vec(any::<u8>(), 0..200)) {
            firewall(&["x"]).broken_rule(&query, &HeaderMap::new(), &body);
        }

        #[test]
        fn letters_and_figures_break_no_rule(text in "[a-zA-Z0-9 ]*") {
            prop_assert_eq!(broken(&text, &text), None);
        }
    }
}
