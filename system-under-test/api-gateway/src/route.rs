//! Which path leads to which service. Pure.

use std::collections::BTreeMap;
use std::fmt;

/// A part of the public API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// What its paths begin with, whole segments only.
    pub path: &'static str,
    /// The service that offers it.
    pub service: Upstream,
    /// Whether it can only be read.
    pub only_reading: bool,
    /// Whether it needs a customer's token.
    pub needs_token: bool,
}

/// The services behind the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upstream {
    /// Orders and products.
    OrderService,
    /// Stock.
    InventoryService,
}

impl Upstream {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::OrderService, Self::InventoryService];

    /// The service's own name.
    pub fn name(self) -> &'static str {
        match self {
            Self::OrderService => "order-service",
            Self::InventoryService => "inventory-service",
        }
    }

    /// The setting with the addresses of its instances.
    pub fn setting(self) -> &'static str {
        match self {
            Self::OrderService => "ORDER_SERVICE_ADDRESSES",
            Self::InventoryService => "INVENTORY_SERVICE_ADDRESSES",
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// What the shop is promised: the public API, and who offers each part of it.
pub const PUBLIC_API: [Route; 3] = [
    Route {
        path: "/orders",
        service: Upstream::OrderService,
        only_reading: false,
        needs_token: true,
    },
    Route {
        path: "/products",
        service: Upstream::OrderService,
        only_reading: true,
        needs_token: false,
    },
    Route {
        path: "/stock",
        service: Upstream::InventoryService,
        only_reading: true,
        needs_token: false,
    },
];

/// Where requests are really sent; an operator's table may differ from what the public API promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    leads_to: BTreeMap<&'static str, Upstream>,
}

impl Default for RouteTable {
    fn default() -> Self {
        Self {
            leads_to: PUBLIC_API
                .iter()
                .map(|route| (route.path, route.service))
                .collect(),
        }
    }
}

impl RouteTable {
    /// Reads `/orders=order-service,/stock=inventory-service`. A path that is left out leads nowhere.
    ///
    /// # Errors
    /// A sentence for everything that is wrong.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut leads_to = BTreeMap::new();
        let mut problems = Vec::new();
        for entry in text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
        {
            let Some((path, name)) = entry.split_once('=') else {
                problems.push(format!("`{entry}` is not PATH=SERVICE"));
                continue;
            };
            let route = PUBLIC_API.iter().find(|route| route.path == path.trim());
            let service = Upstream::ALL
                .into_iter()
                .find(|service| service.name() == name.trim());
            match (route, service) {
                (Some(route), Some(service)) => {
                    if leads_to.insert(route.path, service).is_some() {
                        problems.push(format!("`{path}` is there twice"));
                    }
                }
                (None, _) => problems.push(format!(
                    "`{path}` is no path of the public API; they are {}",
                    PUBLIC_API.map(|route| route.path).join(", ")
                )),
                (_, None) => problems.push(format!(
                    "`{name}` is no service; they are {}",
                    Upstream::ALL.map(Upstream::name).join(", ")
                )),
            }
        }
        if problems.is_empty() {
            Ok(Self { leads_to })
        } else {
            Err(problems)
        }
    }

    /// Where a route's requests go.
    pub fn service_of(&self, route: &Route) -> Option<Upstream> {
        self.leads_to.get(route.path).copied()
    }
}

/// Whether a path means what it says: without `.` and `..`, however written, and without `\`. HTTP clients resolve those
/// before they send, so that `/orders/../metrics` would reach what is not public.
pub fn is_plain(path: &str) -> bool {
    let is_dots = |segment: &str| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    };
    !path.contains('\\') && !path.split('/').any(is_dots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_table_keeps_the_promise_of_the_public_api() {
        let table = RouteTable::default();
        for route in &PUBLIC_API {
            assert_eq!(table.service_of(route), Some(route.service));
        }
        let written = "/orders=order-service, /products=order-service,/stock=inventory-service";
        assert_eq!(RouteTable::parse(written), Ok(table));
    }

    #[test]
    fn a_table_may_lead_elsewhere_or_nowhere() {
        let table = RouteTable::parse("/orders=inventory-service").expect("it can be read");
        assert_eq!(
            table.service_of(&PUBLIC_API[0]),
            Some(Upstream::InventoryService)
        );
        assert_eq!(table.service_of(&PUBLIC_API[1]), None);
    }

    #[test]
    fn every_mistake_in_a_table_is_told() {
        let problems = RouteTable::parse(
            "/order=order-service,/orders=orders,nonsense,/stock=inventory-service,/stock=order-service",
        )
        .expect_err("four mistakes");
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems[0].contains("/orders, /products, /stock"));
        assert!(problems[1].contains("order-service, inventory-service"));
    }

    #[test]
    fn paths_that_would_be_resolved_are_not_plain() {
        for plain in [
            "/orders",
            "/orders/01a2-b3",
            "/orders/a.b",
            "/orders/...",
            "/stock/",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for crooked in [
            "/orders/../metrics",
            "/orders/%2e%2E/metrics",
            "/orders/.%2e/x",
            "/orders/.",
            r"/orders\..\metrics",
        ] {
            assert!(!is_plain(crooked), "{crooked}");
        }
    }
}
