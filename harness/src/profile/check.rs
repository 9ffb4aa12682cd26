//! Holding a profile against the topology and against common sense.

use std::collections::BTreeSet;

use crate::{
    diagnostic::{Diagnostic, suggestion},
    document::Document,
    fault::{Fault, LinkName, Named, component_of},
    topology::{Component, Topology},
};

/// Names of profiles stand in feature files, so they are plain.
pub(super) fn name(document: &Document, name: &str) -> Vec<Diagnostic> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.is_empty() && name.bytes().all(plain) {
        return Vec::new();
    }
    vec![Diagnostic::whole(
        &document.source.path,
        format!("`{name}` is no name for a profile"),
        Some("use small letters, digits and hyphens in the file's name".to_owned()),
    )]
}

/// What a profile says about why it exists.
pub(super) fn reason(document: &Document, rows: &[String], summary: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| !is_row(row)) {
        found.push(document.complain(
            document.part(&["catalogue"], row),
            format!("`{row}` is no row of the failure catalogue"),
            Some("write layer and row, like `6.5`".to_owned()),
        ));
    }
    if rows.is_empty() {
        found.push(document.complain(
            document.value(&["catalogue"]),
            "no row of the failure catalogue is named",
            Some("write layer and row, like `6.5`".to_owned()),
        ));
    }
    if summary.trim().is_empty() {
        found.push(document.complain(
            document.value(&["summary"]),
            "`summary` says nothing",
            Some("say in one sentence what happens".to_owned()),
        ));
    }
    found
}

fn is_row(row: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    row.split_once('.')
        .is_some_and(|(layer, row)| number(layer) && number(row))
}

/// Everything in a fault that means nothing, or that the topology does not know.
pub(super) fn fault(document: &Document, fault: &Fault, topology: &Topology) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = fault
        .kind
        .mistakes()
        .into_iter()
        .map(|mistake| {
            document.complain(
                document.value(&[mistake.key]),
                mistake.message,
                Some(mistake.remedy),
            )
        })
        .collect();
    for (key, named) in fault.kind.named() {
        found.extend(unknown_name(document, key, &named, topology));
    }
    let witnesses = fault.kind.witnesses();
    if !witnesses.contains(&fault.felt.by) {
        let known: Vec<String> = witnesses
            .iter()
            .map(|witness| format!("`{witness}`"))
            .collect();
        found.push(document.complain(
            document.value(&["felt", "by"]),
            format!(
                "`{}` cannot witness a fault of the kind `{}`",
                fault.felt.by,
                fault.kind.name()
            ),
            Some(format!("its witnesses are {}", known.join(", "))),
        ));
    }
    found
}

fn unknown_name(
    document: &Document,
    key: &str,
    named: &Named<'_>,
    topology: &Topology,
) -> Option<Diagnostic> {
    let complain = |part: &str, message: String, known: Vec<String>| {
        let remedy = suggestion(part, known.iter().map(String::as_str));
        Some(document.complain(document.part(&[key], part), message, remedy))
    };
    match named {
        Named::Link(link) => unknown_link(document, key, link, topology),
        Named::Component(name) => match topology.components.contains_key(*name) {
            true => None,
            false => complain(
                name,
                format!("there is no component `{name}`"),
                topology.components.keys().cloned().collect(),
            ),
        },
        Named::Instance(name) => match is_instance(name, topology) {
            true => None,
            false => complain(
                name,
                format!("there is no instance `{name}`"),
                topology.components.values().flat_map(instances).collect(),
            ),
        },
        Named::FailPoint { of, point } => {
            // An unknown component is complained about by itself.
            let component = topology
                .components
                .get(*of)
                .or_else(|| topology.components.get(component_of(of)?))?;
            match component.fail_points.iter().any(|known| known == point) {
                true => None,
                false => complain(
                    point,
                    format!("`{}` has no fail-point `{point}`", component.name),
                    component.fail_points.clone(),
                ),
            }
        }
        Named::Topic(name) => {
            let known: Vec<String> = topology
                .components
                .values()
                .flat_map(|component| component.topics.keys().cloned())
                .collect();
            match known.iter().any(|topic| topic == name) {
                true => None,
                false => complain(name, format!("there is no topic `{name}`"), known),
            }
        }
    }
}

/// Both sides of a link are known, and there is a link between them.
fn unknown_link(
    document: &Document,
    key: &str,
    link: &LinkName,
    topology: &Topology,
) -> Option<Diagnostic> {
    let client = component_side(&link.0.client, topology);
    let server = component_side(&link.0.server, topology);
    let links: BTreeSet<String> = topology
        .links()
        .iter()
        .map(|link| format!("{} -> {}", link.client, link.server.component))
        .collect();
    let written = format!("{client} -> {server}");
    if links.contains(&written) {
        return None;
    }
    Some(document.complain(
        document.value(&[key]),
        format!("there is no link `{link}`"),
        suggestion(&written, links.iter().map(String::as_str)),
    ))
}

/// The component that one side of a link means; the side itself where it is unknown.
fn component_side<'a>(side: &'a str, topology: &Topology) -> &'a str {
    match component_of(side) {
        Some(component) if is_instance(side, topology) => component,
        _ => side,
    }
}

fn is_instance(name: &str, topology: &Topology) -> bool {
    component_of(name)
        .and_then(|component| topology.components.get(component))
        .is_some_and(|component| instances(component).any(|instance| instance == name))
}

fn instances(component: &Component) -> impl Iterator<Item = String> + '_ {
    (1..=component.replicas).map(|number| format!("{}-{number}", component.name))
}
