//! Topology files: what a good one means, and what each mistake is answered with.

use std::path::{Path, PathBuf};

use firedrill::{
    diagnostic::Source,
    topology::{self, Program, Protocol, Provided, Topology},
};

const GOOD: &str = r#"
[customers]
entry = "shop/public"

[settings]
LISTEN = "{listen:http}"
NAME = "{instance}"

[component.postgres]
provided = "postgres"

[component.kafka]
provided = "kafka"
topics = { orders = { partitions = 3 } }

[component.shop]
build = { cargo = "shop" }
replicas = 2
ports = { http = "http", public = "https" }
ready = "/ready"

[component.shop.settings]
PUBLIC = "{listen:public}"
STORE = "{link:store}"
LIMIT_MS = 250
VERBOSE = true

[component.store]
command = ["store", "--serve"]
arguments = ["--brokers={link:kafka}"]
ports = { http = "http" }
database = { name = "store" }
settings = { DATABASE = "postgres://{database_user}@{link:postgres/postgres}/{database}" }

[defence."shop.limit"]
component = "shop"
protects = "one customer cannot take everything"
"#;

fn read(text: &str) -> Result<Topology, String> {
    Topology::parse(Source::new("topology.toml", text), PathBuf::from("."))
        .map_err(|found| found.to_string())
}

/// What is said about the good file with one piece of it written differently.
fn complaint(piece: &str, instead: &str) -> String {
    assert!(GOOD.contains(piece), "the file has no `{piece}`");
    read(&GOOD.replacen(piece, instead, 1)).expect_err("the mistake must be seen")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn a_good_file_means_components_links_and_settings() {
    let topology = read(GOOD).unwrap();
    let shop = &topology.components["shop"];
    assert_eq!(
        shop.program,
        Program::Cargo {
            package: "shop".to_owned()
        }
    );
    assert_eq!((shop.replicas, shop.stop_grace_s), (2, 10));
    assert_eq!(shop.ready_probe(), Some(("http", "/ready")));
    assert_eq!(shop.ports["public"], Protocol::Https);
    assert_eq!(
        topology.components["kafka"].program,
        Program::Provided(Provided::Kafka)
    );
    assert_eq!(topology.components["kafka"].topics["orders"].partitions, 3);
    let links: Vec<String> = topology
        .links()
        .iter()
        .map(|link| {
            format!(
                "{} -> {}/{}",
                link.client, link.server.component, link.server.port
            )
        })
        .collect();
    assert_eq!(
        links,
        [
            "customers -> shop/public",
            "shop -> store/http",
            "store -> kafka/kafka",
            "store -> postgres/postgres",
        ]
    );
    let settings = topology.settings_of(shop);
    let names: Vec<&str> = settings.keys().copied().collect();
    assert_eq!(
        names,
        ["LIMIT_MS", "LISTEN", "NAME", "PUBLIC", "STORE", "VERBOSE"]
    );
    assert_eq!(settings["LIMIT_MS"], &topology::Template::text("250"));
    assert_eq!(settings["VERBOSE"], &topology::Template::text("true"));
}

#[test]
fn each_mistake_has_its_place_and_its_remedy() {
    let golden = [
        (
            "replicas = 2",
            "replcas = 2",
            "topology.toml:18:1: unknown key `replcas` in `component.shop` (did you mean `replicas`?)",
        ),
        (
            "replicas = 2",
            "replicas = \"two\"",
            "topology.toml:18:12: `component.shop.replicas` must be a whole number, but is a text",
        ),
        (
            "replicas = 2",
            "replicas = 0",
            "topology.toml:18:12: `shop` has no replicas (leave the component out, or let 1 instance run)",
        ),
        (
            "replicas = 2",
            "replicas = -1",
            "topology.toml:18:12: `component.shop.replicas` must be at least 0, but is -1",
        ),
        (
            "replicas = 2",
            "shares_database_of = \"stroe\"",
            "topology.toml:18:22: `stroe` has no database to share (did you mean `store`?)",
        ),
        (
            "LIMIT_MS = 250",
            "LIMIT_MS = \"{bucket}\"",
            "topology.toml:25:13: there is no object store (add a component with `provided = \"object-store\"`)",
        ),
        (
            "{link:store}",
            "{link:stroe}",
            "topology.toml:24:10: unknown component `stroe` (did you mean `store`?)",
        ),
        (
            "{link:postgres/postgres}",
            "{link:postgres/sql}",
            "topology.toml:33:53: `postgres` has no port `sql` (known: `postgres`)",
        ),
        (
            "{link:store}",
            "{link:shop}",
            "topology.toml:24:10: `shop` has several ports (write `shop/http` or `shop/public`)",
        ),
        (
            "{instance}",
            "{instanse}",
            "topology.toml:7:9: unknown placeholder `{instanse}` (did you mean `instance`?)",
        ),
        (
            "{instance}",
            "{database}",
            "topology.toml:7:9: `shop` has no database (add `database = { name = \"NAME\" }`)",
        ),
        (
            "{instance}",
            "{database_password_file}",
            "topology.toml:7:9: `shop` has no database (add `database = { name = \"NAME\" }`)",
        ),
        (
            "{listen:public}",
            "{listen:publc}",
            "topology.toml:19:26: `shop` is never told its port `public` (pass `{listen:public}` in a setting or an argument)\n\
             topology.toml:23:11: `shop` has no port `publc` (did you mean `public`?)",
        ),
        (
            "public = \"https\"",
            "public = \"htps\"",
            "topology.toml:19:35: `component.shop.ports.public` cannot be `htps` (did you mean `https`?)",
        ),
        (
            "component = \"shop\"",
            "component = \"shp\"",
            "topology.toml:36:13: unknown component `shp` (did you mean `shop`?)",
        ),
        (
            "component = \"shop\"",
            "component = \"kafka\"",
            "topology.toml:36:13: `kafka` is provided and has no defences (known: `shop`, `store`)",
        ),
        (
            "protects = \"one customer cannot take everything\"",
            "",
            "topology.toml:35:1: `defence.shop.limit` lacks `protects` (add `protects`: What is safe as long as it is on, one sentence)",
        ),
        (
            "entry = \"shop/public\"",
            "entry = \"shop/pulbic\"",
            "topology.toml:3:9: `shop` has no port `pulbic` (did you mean `public`?)",
        ),
        (
            "entry = \"shop/public\"",
            "entry = \"kafka\"",
            "topology.toml:3:9: customers cannot enter at `kafka/kafka` (name a port that speaks `http` or `https`)",
        ),
        (
            "entry = \"shop/public\"",
            "entry = \"shop/public\"\npage = \"shop/pblic\"",
            "topology.toml:4:8: `shop` has no port `pblic` (did you mean `public`?)",
        ),
        (
            "entry = \"shop/public\"",
            "entry = \"shop/public\"\nidentity = \"kafka\"",
            "topology.toml:4:12: customers cannot enter at `kafka/kafka` (name a port that speaks `http` or `https`)",
        ),
        (
            "entry = \"shop/public\"",
            "entry = \"shop/public\"\nverification = \"shop.limt\"",
            "topology.toml:4:16: unknown defence `shop.limt` (did you mean `shop.limit`?)",
        ),
        (
            "{ name = \"store\" }",
            "{ name = \"store\", migrations = \"nowhere\" }",
            "topology.toml:32:43: migrations `nowhere` cannot be read: No such file or directory (os error 2) \
             (the folder is relative to the topology file)",
        ),
        (
            "command = [\"store\", \"--serve\"]",
            "",
            "topology.toml:28:12: nothing says how `store` comes to life (give exactly one of \
             `build = { cargo = \"PACKAGE\" }`, `command = [\"PROGRAM\"]`, `provided = \"...\"`)",
        ),
        (
            "[component.store]",
            "[component.shop]",
            "topology.toml:28:12: `shop` is there twice (remove one, or give it another name)\n\
             topology.toml:31:1: `ports` is there twice (remove one, or give it another name)\n\
             topology.toml:33:1: `settings` is there twice (remove one, or give it another name)",
        ),
        (
            "replicas = 2",
            "replicas = = 2",
            "topology.toml:18:12: is not TOML: extra `=`, expected nothing (see https://toml.io for the format)\n\
             topology.toml:18:14: is not TOML: unexpected key or value, expected newline, `#` \
             (see https://toml.io for the format)",
        ),
        (
            "VERBOSE = true",
            "verbose = true",
            "topology.toml:26:1: `verbose` cannot be the name of an environment variable (use capital letters, digits and \
             `_`, starting with a letter)",
        ),
        (
            "ready = \"/ready\"",
            "ready = \"ready\"",
            "topology.toml:20:9: `ready` is not a path (write `/ready`)",
        ),
    ];
    let wrong: Vec<String> = golden
        .into_iter()
        .filter_map(|(piece, instead, expected)| {
            let told = complaint(piece, instead);
            (told != expected)
                .then(|| format!("`{piece}` -> `{instead}`\n  told: {told}\n  want: {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = GOOD
        .replace("{link:store}", "{link:stroe}")
        .replace("replicas = 2", "replicas = 0")
        .replace("shop/public", "shp");
    let told = read(&text).unwrap_err();
    assert_eq!(told.lines().count(), 3, "{told}");
}

#[test]
fn an_unknown_defence_on_the_command_line_gets_the_nearest() {
    let topology = read(GOOD).unwrap();
    let told = topology
        .check_defences(&["shop.limit".to_owned(), "shop.limt".to_owned()])
        .unwrap_err()
        .to_string();
    assert_eq!(
        told,
        "--without: unknown defence `shop.limt` (did you mean `shop.limit`?)"
    );
}

#[test]
fn a_complaint_is_drawn_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("topology.toml");
    std::fs::write(&path, GOOD.replace("replicas = 2", "replcas = 2")).unwrap();
    let drawn = Topology::load(&path).unwrap_err().render(false);
    let drawn = drawn.replace(&folder.path().display().to_string(), "HERE");
    assert_eq!(
        drawn,
        "error: unknown key `replcas` in `component.shop`\n  \
         --> HERE/topology.toml:18:1\n   \
         |\n\
         18 | replcas = 2\n   \
         | ^^^^^^^\n   \
         |\n   \
         = help: did you mean `replicas`?\n\n\
         1 problem, nothing was started"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let told = Topology::load(Path::new("nowhere/topology.toml")).unwrap_err();
    assert_eq!(
        told.to_string(),
        "nowhere/topology.toml: cannot be read: No such file or directory (os error 2) \
         (check the path and the file's permissions)"
    );
}

#[test]
fn the_pipeline_has_the_topology_of_its_file() {
    let topology = Topology::load(&root().join("system-under-test/topology.toml"))
        .unwrap_or_else(|found| panic!("{found}"));
    let links: Vec<String> = topology
        .links()
        .iter()
        .map(|link| format!("{} -> {}", link.client, link.server.component))
        .collect();
    assert_eq!(
        links,
        [
            "analytics-batch -> kafka",
            "analytics-batch -> object-store",
            "analytics-batch -> postgres",
            "analytics-service -> kafka",
            "analytics-service -> object-store",
            "analytics-service -> postgres",
            "api-gateway -> identity-provider",
            "api-gateway -> inventory-service",
            "api-gateway -> order-service",
            "customers -> api-gateway",
            "customers -> frontend",
            "customers -> identity-provider",
            "identity-provider -> postgres",
            "inventory-service -> kafka",
            "inventory-service -> postgres",
            "message-provider -> postgres",
            "notification-service -> kafka",
            "notification-service -> message-provider",
            "notification-service -> postgres",
            "order-service -> kafka",
            "order-service -> postgres",
            "payment-provider -> postgres",
            "payment-service -> kafka",
            "payment-service -> payment-provider",
            "payment-service -> postgres",
        ]
    );
}

/// The names in a service's own list, `Name = "inbox-dedup",` under `of "payment"`.
fn own_defences(service: &str) -> Vec<String> {
    let path = root().join(format!("system-under-test/{service}/src/defences.rs"));
    let text = std::fs::read_to_string(path).unwrap();
    let (_, list) = text.split_once(" of \"").unwrap();
    let (part, list) = list.split_once('"').unwrap();
    list.lines()
        .filter_map(|line| line.trim().split_once(" = \"")?.1.strip_suffix("\","))
        .map(|name| format!("{part}.{name}"))
        .collect()
}

#[test]
fn the_defences_are_those_that_the_services_know() {
    let topology = Topology::load(&root().join("system-under-test/topology.toml"))
        .unwrap_or_else(|found| panic!("{found}"));
    for service in [
        "frontend",
        "api-gateway",
        "order-service",
        "payment-service",
        "inventory-service",
        "analytics-service",
    ] {
        let mut known = own_defences(service);
        known.sort();
        let listed: Vec<&str> = topology
            .defences
            .values()
            .filter(|defence| defence.component == service)
            .map(|defence| defence.name.as_str())
            .collect();
        assert_eq!(listed, known, "{service}");
    }
}

#[test]
fn the_schema_for_editors_is_fresh() {
    let path = root().join("harness/schemas/topology.schema.json");
    let schema = topology::schema();
    if std::env::var_os("FIREDRILL_WRITE").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written, schema,
        "write it with FIREDRILL_WRITE=1 cargo test"
    );
}
