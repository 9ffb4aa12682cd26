//! Observations files: what each mistake is answered with.

use std::path::{Path, PathBuf};

use firedrill::{
    diagnostic::Source,
    system::{self, Count, Observations, Place},
    topology::Topology,
};

const TOPOLOGY: &str = r#"
customers.entry = "shop/http"
[component.kafka]
provided = "kafka"
topics = { sales = { partitions = 2 }, "sales.dead" = { partitions = 1 } }
[component.shop]
command = ["shop"]
ports = { http = "http", admin = "http" }
database = { name = "shop" }
settings = { LISTEN = "{listen:http}", ADMIN = "{listen:admin}" }
[component.till]
command = ["till"]
ports = { http = "http" }
settings = { LISTEN = "{listen:http}" }
"#;

const GOOD: &str = r#"
[[observe]]
fact = "stock"
component = "shop"
sql = "select * from stock"

[[observe]]
fact = "refund"
component = "till"
path = "/refunds"
list = "/all"
fields = { refund_id = "id", charge_id = "charge", order_id = "order", amount_minor = "amount" }

[[observe]]
fact = "message"
topics = ["sales"]
fields = { message_id = "/id", order_id = "/order", kind = "/kind" }

[[observe]]
fact = "progress"
group = "shop"
topics = ["sales"]

[[consumes]]
group = "shop"
topic = "sales"
kinds = ["sold"]

[[settled]]
name = "carts open"
moving = false
component = "shop"
sql = "select count(*) from carts"

[[settled]]
name = "messages not read"
moving = true
group = "shop"
topics = ["sales"]

[[arrange.products]]
component = "shop"
sql = "insert into stock select product_id, units, units from arranged"
"#;

fn topology() -> Topology {
    Topology::parse(Source::new("topology.toml", TOPOLOGY), PathBuf::from(".")).unwrap()
}

fn read(text: &str) -> Result<Observations, String> {
    Observations::parse(Source::new("o.toml", text), &topology()).map_err(|found| found.to_string())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn a_good_file_means_places_and_counts() {
    let observations = read(GOOD).unwrap();
    let places: Vec<String> = observations
        .sources
        .iter()
        .map(|source| source.place.words())
        .collect();
    assert_eq!(
        places,
        [
            "shop, its database",
            "till, /refunds",
            "topics sales",
            "group shop"
        ]
    );
    let Place::Endpoint { endpoint, .. } = &observations.sources[1].place else {
        panic!("not an endpoint");
    };
    assert_eq!(endpoint.port, "http");
    assert!(matches!(observations.settled[1].count, Count::Lag(_)));
    assert_eq!(observations.group_records().count(), 1);
}

#[test]
fn each_mistake_has_its_place_and_its_remedy() {
    let golden = [
        (
            "fact = \"stock\"",
            "fact = \"stok\"",
            "o.toml:3:8: `observe[0].fact` cannot be `stok` (did you mean `stock`?)",
        ),
        (
            "component = \"shop\"\nsql = \"select * from stock\"",
            "component = \"shp\"\nsql = \"select * from stock\"",
            "o.toml:4:13: unknown component `shp` (did you mean `shop`?)",
        ),
        (
            "component = \"shop\"\nsql = \"select * from stock\"",
            "component = \"till\"\nsql = \"select * from stock\"",
            "o.toml:4:13: `till` has no database (known: `shop`)",
        ),
        (
            "sql = \"select * from stock\"",
            "",
            "o.toml:2:1: it is not clear where `stock` is read (give `component` and `sql`, or `component`, `path`, `list` \
             and `fields`)",
        ),
        (
            "sql = \"select * from stock\"",
            "slq = \"select * from stock\"",
            "o.toml:5:1: unknown key `slq` in `observe[0]` (did you mean `sql`?)",
        ),
        (
            "component = \"till\"\npath = \"/refunds\"",
            "component = \"shop\"\npath = \"/refunds\"",
            "o.toml:7:1: which port of `shop` is meant is not known (name one that speaks `http` in `port`)",
        ),
        (
            "path = \"/refunds\"",
            "path = \"refunds\"",
            "o.toml:10:8: `refunds` is not a path (write `/refunds`)",
        ),
        (
            "list = \"/all\"",
            "list = \"all\"",
            "o.toml:11:8: `all` is not a JSON pointer (write `/all`)",
        ),
        (
            "charge_id = \"charge\"",
            "charge = \"charge\"",
            "o.toml:12:10: nothing says where `charge_id` of refunds stands (add `charge_id = \"...\"`)\n\
             o.toml:12:30: refunds have no field `charge` (did you mean `charge_id`?)",
        ),
        (
            "kind = \"/kind\"",
            "kind = \"kind\"",
            "o.toml:17:60: `kind` is not a JSON pointer (write `/kind`)",
        ),
        (
            "topics = [\"sales\"]",
            "topics = [\"sale\"]",
            "o.toml:16:11: unknown topic `sale` (did you mean `sales`?)",
        ),
        (
            "topic = \"sales\"",
            "topic = \"seals\"",
            "o.toml:26:9: unknown topic `seals` (did you mean `sales`?)",
        ),
        (
            "sql = \"select count(*) from carts\"",
            "",
            "o.toml:29:1: it is not clear how `carts open` is counted (give `component` and `sql`, or `group` and `topics`)",
        ),
        (
            "moving = true",
            "moving = \"yes\"",
            "o.toml:37:10: `settled[1].moving` must be true or false, but is a text",
        ),
        (
            "moving = true",
            "",
            "o.toml:35:1: `settled[1]` lacks `moving` (add `moving`: Whether work is going on as long as it is not 0)",
        ),
        (
            "[[arrange.products]]",
            "[[arrange.product]]",
            "o.toml:41:11: unknown key `product` in `arrange` (did you mean `products`?)",
        ),
    ];
    let wrong: Vec<String> = golden
        .into_iter()
        .filter_map(|(piece, instead, expected)| {
            assert!(GOOD.contains(piece), "the file has no `{piece}`");
            let told = read(&GOOD.replacen(piece, instead, 1))
                .err()
                .unwrap_or_default();
            (told != expected)
                .then(|| format!("`{piece}` -> `{instead}`\n  told: {told}\n  want: {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_schema_for_editors_is_fresh() {
    let path = root().join("harness/schemas/observations.schema.json");
    let schema = system::schema();
    if std::env::var_os("FIREDRILL_WRITE").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written, schema,
        "write it with FIREDRILL_WRITE=1 cargo test"
    );
}
