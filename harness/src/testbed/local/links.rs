//! Which instance connects to which, and under what name: pure, from the topology and the numbers of replicas.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    testbed::{LinkSelector, PipelineRequest, TestbedError},
    topology::{CUSTOMERS, PortReference, Program, Protocol, Topology},
};

/// The instances of a drill, by component, in order.
pub(super) type Cast = BTreeMap<String, Vec<String>>;

/// One link between two instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LinkPlan {
    /// Unique in the drill: `order-service-1->postgres`; with the port's name behind it where the client connects to
    /// several ports of that server.
    pub(super) name: String,
    /// The component that connects.
    pub(super) client_component: String,
    /// The instance that connects.
    pub(super) client: String,
    /// The port that is connected to.
    pub(super) reference: PortReference,
    /// The instance that is connected to.
    pub(super) server: String,
    /// What is spoken.
    pub(super) protocol: Protocol,
}

/// The instances that a request asks for. What the testbed provides has one instance, called as its component.
///
/// # Errors
/// The request names a component that is not started.
pub(super) fn cast(topology: &Topology, request: &PipelineRequest) -> Result<Cast, TestbedError> {
    let named = request
        .replicas
        .keys()
        .chain(request.settings.keys().map(|(component, _)| component));
    for name in named {
        if !topology.started().any(|component| component.name == *name) {
            return Err(TestbedError::Failed {
                doing: format!("starting drill {}", request.drill),
                reason: format!("{name} is no component that is started"),
            });
        }
    }
    let instances = |name: &String, component: &crate::topology::Component| {
        if matches!(component.program, Program::Provided(_)) {
            return vec![name.clone()];
        }
        let replicas = request
            .replicas
            .get(name)
            .copied()
            .unwrap_or(component.replicas);
        (1..=replicas)
            .map(|number| format!("{name}-{number}"))
            .collect()
    };
    Ok(topology
        .components
        .iter()
        .map(|(name, component)| (name.clone(), instances(name, component)))
        .collect())
}

/// Every link between instances.
pub(super) fn plan(topology: &Topology, cast: &Cast) -> Vec<LinkPlan> {
    let links = topology.links();
    let customers = vec![CUSTOMERS.to_owned()];
    let mut plans = Vec::new();
    for link in &links {
        let ports = links
            .iter()
            .filter(|other| {
                other.client == link.client && other.server.component == link.server.component
            })
            .count();
        let clients = if link.client == CUSTOMERS {
            Some(&customers)
        } else {
            cast.get(&link.client)
        };
        let servers = cast.get(&link.server.component);
        for client in clients.into_iter().flatten() {
            for server in servers.into_iter().flatten() {
                let port = if ports > 1 {
                    format!("/{}", link.server.port)
                } else {
                    String::new()
                };
                plans.push(LinkPlan {
                    name: format!("{client}->{server}{port}"),
                    client_component: link.client.clone(),
                    client: client.clone(),
                    reference: link.server.clone(),
                    server: server.clone(),
                    protocol: topology.protocol(&link.server).unwrap_or(Protocol::Tcp),
                });
            }
        }
    }
    plans
}

/// The links that a selector means.
///
/// # Errors
/// None; the message names all that there are between components.
pub(super) fn select<'a>(
    plans: impl IntoIterator<Item = &'a LinkPlan>,
    selector: &LinkSelector,
) -> Result<Vec<&'a LinkPlan>, TestbedError> {
    let mut known = BTreeSet::new();
    let chosen: Vec<&LinkPlan> = plans
        .into_iter()
        .inspect(|plan| {
            known.insert(format!(
                "{} -> {}",
                plan.client_component, plan.reference.component
            ));
        })
        .filter(|plan| {
            [&plan.client_component, &plan.client].contains(&&selector.client)
                && [&plan.reference.component, &plan.server].contains(&&selector.server)
        })
        .collect();
    if chosen.is_empty() {
        return Err(TestbedError::Failed {
            doing: format!(
                "looking for the link {} -> {}",
                selector.client, selector.server
            ),
            reason: format!(
                "there is none; there are {}",
                known.into_iter().collect::<Vec<_>>().join(", ")
            ),
        });
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::diagnostic::Source;

    const TOPOLOGY: &str = r#"
[customers]
entry = "shop/public"
[component.postgres]
provided = "postgres"
[component.shop]
command = ["shop"]
replicas = 2
ports = { public = "http", admin = "http" }
[component.shop.settings]
DATABASE = "{link:postgres}"
PUBLIC = "{listen:public}"
ADMIN = "{listen:admin}"
[component.desk]
command = ["desk"]
ports = { http = "http" }
[component.desk.settings]
HTTP = "{listen:http}"
SHOP = "{link:shop/public}"
SHOP_ADMIN = "{link:shop/admin}"
"#;

    fn topology() -> Topology {
        let source = Source::new("topology.toml", TOPOLOGY);
        Topology::parse(source, PathBuf::from(".")).expect("it is right")
    }

    fn request() -> PipelineRequest {
        PipelineRequest {
            drill: "d0001".to_owned(),
            directory: PathBuf::from("."),
            seed: 1,
            without: Vec::new(),
            settings: BTreeMap::new(),
            replicas: BTreeMap::new(),
            in_background: false,
            cancel: tokio_util::sync::CancellationToken::new(),
        }
    }

    fn names(plans: &[LinkPlan]) -> Vec<&str> {
        plans.iter().map(|plan| plan.name.as_str()).collect()
    }

    #[test]
    fn every_pair_of_instances_has_a_link() {
        let topology = topology();
        let cast = cast(&topology, &request()).expect("a cast");
        let plans = plan(&topology, &cast);
        let mut names = names(&plans);
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "customers->shop-1",
                "customers->shop-2",
                "desk-1->shop-1/admin",
                "desk-1->shop-1/public",
                "desk-1->shop-2/admin",
                "desk-1->shop-2/public",
                "shop-1->postgres",
                "shop-2->postgres",
            ]
        );
    }

    #[test]
    fn a_selector_means_components_or_instances() {
        let topology = topology();
        let plans = plan(&topology, &cast(&topology, &request()).expect("a cast"));
        let chosen = |client: &str, server: &str| {
            let selector = LinkSelector {
                client: client.to_owned(),
                server: server.to_owned(),
            };
            select(&plans, &selector).map(|chosen| chosen.len())
        };
        assert_eq!(chosen("shop", "postgres").expect("both"), 2);
        assert_eq!(chosen("shop-2", "postgres").expect("one"), 1);
        assert_eq!(chosen("customers", "shop-1").expect("one"), 1);
        let message = chosen("shop", "desk")
            .expect_err("no such link")
            .to_string();
        assert!(message.contains("desk -> shop"), "{message}");
    }

    #[test]
    fn replicas_are_the_requests_and_unknown_components_are_refused() {
        let topology = topology();
        let mut request = request();
        request.replicas.insert("shop".to_owned(), 3);
        assert_eq!(cast(&topology, &request).expect("a cast")["shop"].len(), 3);
        request.replicas.insert("shpo".to_owned(), 3);
        assert!(cast(&topology, &request).is_err_and(|error| error.to_string().contains("shpo")));
    }
}
