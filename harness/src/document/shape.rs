//! Holding a file against a JSON Schema, with a place and a remedy for every mistake.
//!
//! Understands what `schemars` writes for the types of this crate: objects, maps, lists, texts with known values, numbers
//! with bounds, `anyOf` for optional and mixed values, `oneOf` told apart by a tag.

use serde_json::{Map, Value as Json};

use super::value::{Entry, Placed, Value};
use crate::diagnostic::{Diagnostic, Source, suggestion};

/// Every way in which `root` has not the shape of `schema`.
pub(super) fn problems(source: &Source, root: &Placed, schema: &Json) -> Vec<Diagnostic> {
    let mut shape = Shape {
        source,
        definitions: schema.get("$defs"),
        found: Vec::new(),
    };
    shape.check(root, schema, "");
    shape.found
}

struct Shape<'a> {
    source: &'a Source,
    definitions: Option<&'a Json>,
    found: Vec<Diagnostic>,
}

impl<'a> Shape<'a> {
    fn check(&mut self, placed: &Placed, schema: &'a Json, path: &str) {
        let schema = self.resolve(schema);
        if let Some(branches) = branches(schema, "anyOf") {
            return self.check_any(placed, &branches, path);
        }
        if let Some(names) = known_values(schema) {
            return self.check_name(placed, &names, path);
        }
        if !self.type_fits(placed, schema, path) {
            return;
        }
        match &placed.value {
            Value::Table(entries) => self.check_table(placed, entries, schema, path),
            Value::Array(items) => {
                if let Some(of_item) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.check(item, of_item, &format!("{path}[{index}]"));
                    }
                }
            }
            Value::Integer(number) => self.check_bounds(placed, *number, schema, path),
            _ => {}
        }
    }

    /// Follows a reference into the schema's definitions.
    fn resolve(&self, schema: &'a Json) -> &'a Json {
        let mut schema = schema;
        while let Some(name) = schema.get("$ref").and_then(Json::as_str) {
            let definition = name
                .strip_prefix("#/$defs/")
                .and_then(|name| self.definitions?.get(name));
            match definition {
                Some(definition) => schema = definition,
                None => break,
            }
        }
        schema
    }

    /// One of several shapes: the first that fits, else the complaints of the one of the same type.
    fn check_any(&mut self, placed: &Placed, branches: &[&'a Json], path: &str) {
        if let [only] = branches {
            return self.check(placed, only, path);
        }
        let mut fewest: Option<Vec<Diagnostic>> = None;
        let mut expected = Vec::new();
        for branch in branches {
            let resolved = self.resolve(branch);
            expected.extend(type_words(resolved));
            let mut trial = Shape {
                source: self.source,
                definitions: self.definitions,
                found: Vec::new(),
            };
            trial.check(placed, branch, path);
            if trial.found.is_empty() {
                return;
            }
            let same_type = schema_types(resolved).contains(&placed.type_names().0);
            if same_type
                && fewest
                    .as_ref()
                    .is_none_or(|few| trial.found.len() < few.len())
            {
                fewest = Some(trial.found);
            }
        }
        match fewest {
            Some(few) => self.found.extend(few),
            None => self.wrong_type(placed, &expected, path),
        }
    }

    fn check_name(&mut self, placed: &Placed, names: &[&str], path: &str) {
        match &placed.value {
            Value::Text(text) if names.contains(&text.as_str()) => {}
            Value::Text(text) => {
                let message = format!("`{path}` cannot be `{text}`");
                let remedy = suggestion(text, names.iter().copied());
                self.complain(placed, message, remedy);
            }
            _ => self.wrong_type(placed, &["a text"], path),
        }
    }

    fn type_fits(&mut self, placed: &Placed, schema: &Json, path: &str) -> bool {
        let types = schema_types(schema);
        let own = placed.type_names().0;
        let fits = types.is_empty()
            || types.contains(&own)
            || (own == "integer" && types.contains(&"number"));
        if !fits {
            let expected = type_words(schema);
            self.wrong_type(placed, &expected, path);
        }
        fits
    }

    fn wrong_type(&mut self, placed: &Placed, expected: &[&'static str], path: &str) {
        let mut expected = expected.to_vec();
        expected.dedup();
        let message = format!(
            "`{path}` must be {}, but is {}",
            expected.join(" or "),
            placed.type_names().1
        );
        self.complain(placed, message, None);
    }

    fn check_bounds(&mut self, placed: &Placed, number: Option<i64>, schema: &Json, path: &str) {
        let minimum = schema.get("minimum").and_then(Json::as_f64);
        let maximum = schema.get("maximum").and_then(Json::as_f64);
        let Some(number) = number else {
            let message = format!("`{path}` is beyond the largest number");
            return self.complain(placed, message, None);
        };
        let value = number as f64;
        if let Some(minimum) = minimum.filter(|minimum| value < *minimum) {
            let message = format!("`{path}` must be at least {minimum}, but is {number}");
            self.complain(placed, message, None);
        } else if let Some(maximum) = maximum.filter(|maximum| value > *maximum) {
            let message = format!("`{path}` must be at most {maximum}, but is {number}");
            self.complain(placed, message, None);
        }
    }

    fn check_table(
        &mut self,
        placed: &Placed,
        entries: &std::collections::BTreeMap<String, Entry>,
        schema: &'a Json,
        path: &str,
    ) {
        let mut layers = vec![schema];
        if let Some(branches) = branches(schema, "oneOf") {
            let branches: Vec<&Json> = branches.iter().map(|one| self.resolve(one)).collect();
            match self.choose(placed, entries, &branches, path) {
                Some(branch) => layers.push(branch),
                None => return,
            }
        }
        let lookup = |name: &str| {
            layers
                .iter()
                .find_map(|layer| layer.get("properties")?.get(name))
        };
        let free = schema
            .get("additionalProperties")
            .filter(|rest| rest.is_object());
        let open = layers.iter().all(|layer| {
            layer.get("additionalProperties") != Some(&Json::Bool(false))
                && layer.get("unevaluatedProperties") != Some(&Json::Bool(false))
        });
        for (name, entry) in entries {
            let inner = join(path, name);
            match (lookup(name), free) {
                (Some(property), _) => self.check(&entry.placed, property, &inner),
                (None, Some(rest)) => self.check(&entry.placed, rest, &inner),
                (None, None) if open => {}
                (None, None) => self.unknown_key(name, entry, &layers, path),
            }
        }
        for layer in &layers {
            self.check_required(placed, entries, layer, path);
        }
    }

    fn unknown_key(&mut self, name: &str, entry: &Entry, layers: &[&'a Json], path: &str) {
        let known: Vec<&str> = layers
            .iter()
            .filter_map(|layer| layer.get("properties")?.as_object())
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect();
        let message = match path {
            "" => format!("unknown key `{name}`"),
            path => format!("unknown key `{name}` in `{path}`"),
        };
        let remedy = suggestion(name, known.iter().copied());
        let diagnostic = self.source.complain(entry.key.clone(), message, remedy);
        self.found.push(diagnostic);
    }

    fn check_required(
        &mut self,
        placed: &Placed,
        entries: &std::collections::BTreeMap<String, Entry>,
        schema: &Json,
        path: &str,
    ) {
        let required = schema.get("required").and_then(Json::as_array);
        for name in required.into_iter().flatten().filter_map(Json::as_str) {
            if entries.contains_key(name) {
                continue;
            }
            let message = match path {
                "" => format!("`{name}` is missing"),
                path => format!("`{path}` lacks `{name}`"),
            };
            let meaning = schema
                .get("properties")
                .and_then(|properties| properties.get(name)?.get("description")?.as_str())
                .map(|meaning| format!("add `{name}`: {}", first_sentence(meaning)));
            self.complain(placed, message, meaning);
        }
    }

    /// The shape that a tag (`kind = "..."`) asks for.
    fn choose(
        &mut self,
        placed: &Placed,
        entries: &std::collections::BTreeMap<String, Entry>,
        branches: &[&'a Json],
        path: &str,
    ) -> Option<&'a Json> {
        let tag = tag_of(branches.first()?)?;
        let Some(entry) = entries.get(tag) else {
            self.complain(placed, format!("`{path}` lacks `{tag}`"), None);
            return None;
        };
        let Value::Text(text) = &entry.placed.value else {
            self.wrong_type(&entry.placed, &["a text"], &join(path, tag));
            return None;
        };
        let value_of = |branch: &&'a Json| -> Option<&'a str> {
            branch.get("properties")?.get(tag)?.get("const")?.as_str()
        };
        let chosen = branches
            .iter()
            .find(|branch| value_of(branch) == Some(text.as_str()));
        if chosen.is_none() {
            let known: Vec<&str> = branches.iter().filter_map(value_of).collect();
            let message = format!("`{}` cannot be `{text}`", join(path, tag));
            self.complain(&entry.placed, message, suggestion(text, known));
        }
        chosen.copied()
    }

    fn complain(&mut self, placed: &Placed, message: String, remedy: Option<String>) {
        let diagnostic = self.source.complain(placed.span.clone(), message, remedy);
        self.found.push(diagnostic);
    }
}

/// The alternatives of a schema, without "nothing", which TOML cannot say.
fn branches<'a>(schema: &'a Json, keyword: &str) -> Option<Vec<&'a Json>> {
    let all = schema.get(keyword)?.as_array()?;
    let is_null = |one: &&Json| one.get("type").and_then(Json::as_str) != Some("null");
    Some(all.iter().filter(is_null).collect())
}

/// The texts that a schema allows, if it allows only certain ones.
fn known_values(schema: &Json) -> Option<Vec<&str>> {
    if let Some(list) = schema.get("enum").and_then(Json::as_array) {
        return Some(list.iter().filter_map(Json::as_str).collect());
    }
    if let Some(only) = schema.get("const").and_then(Json::as_str) {
        return Some(vec![only]);
    }
    let one_of = schema.get("oneOf")?.as_array()?;
    let mut names = Vec::new();
    for one in one_of {
        names.extend(known_values(one)?);
    }
    Some(names)
}

fn tag_of(branch: &Json) -> Option<&str> {
    let properties = branch.get("properties")?.as_object()?;
    properties
        .iter()
        .find(|(_, property)| property.get("const").is_some())
        .map(|(name, _)| name.as_str())
}

fn schema_types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one.as_str()],
        Some(Json::Array(several)) => several
            .iter()
            .filter_map(Json::as_str)
            .filter(|name| *name != "null")
            .collect(),
        _ => Vec::new(),
    }
}

fn type_words(schema: &Json) -> Vec<&'static str> {
    let words = |name: &&str| match *name {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        _ => "a table",
    };
    if known_values(schema).is_some() {
        return vec!["a text"];
    }
    schema_types(schema).iter().map(words).collect()
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

fn first_sentence(text: &str) -> &str {
    let text = text.lines().next().unwrap_or_default();
    text.trim_end_matches('.')
}
