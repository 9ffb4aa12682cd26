//! `up`: the healthy pipeline, every address of it, until somebody ends it.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, sync::Arc};

use anyhow::Context as _;
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

use super::{
    arguments::UpArguments,
    exit::Refusal,
    folder,
    loading::System,
    running::{DEFAULT_SEED, keep_own_log, options, watch_interrupts},
};
use crate::{
    system::{Observer, Place},
    terminal::{complain, say},
    testbed::{LinkSelector, Pipeline, PipelineRequest, Testbed, local::LocalTestbed},
    topology::{Program, Protocol},
    workload::{Assortment, Generator, example},
};

/// The name of the drill that this is, in names of databases and topics.
const NAME: &str = "up";

/// `firedrill up`.
pub(super) fn up(system: &System, arguments: &UpArguments) -> Result<u8, Refusal> {
    system.topology.check_defences(&arguments.without)?;
    let settings = settings(system, &arguments.set)?;
    let replicas = replicas(system, &arguments.replicas)?;
    let seed = arguments.seed.unwrap_or(DEFAULT_SEED);
    let out = folder::runs_folder(&system.root).join(format!("{NAME}-{}", std::process::id()));
    let folder = folder::create(&system.root, seed, Some(&out))?;
    keep_own_log(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no async runtime")?;
    let cancel = CancellationToken::new();
    let request = PipelineRequest {
        drill: NAME.to_owned(),
        directory: folder.clone(),
        seed,
        without: arguments.without.clone(),
        settings,
        replicas,
        in_background: false,
        cancel: cancel.clone(),
    };
    let assortment = Assortment::new(arguments.products.into(), arguments.units, seed);
    runtime.block_on(async {
        let interrupts = tokio::spawn(watch_interrupts(cancel));
        let testbed = LocalTestbed::start(options(system)?).await?;
        let ended = keep_up(system, &testbed, request, &assortment).await;
        let shut_down = testbed.shut_down().await;
        interrupts.abort();
        ended?;
        shut_down?;
        say(format_args!(
            "ended; what it wrote is in {}",
            folder.display()
        ));
        Ok(0)
    })
}

/// Starts the pipeline, says where everything is, and stops it again once the run is to end.
async fn keep_up(
    system: &System,
    testbed: &LocalTestbed,
    request: PipelineRequest,
    assortment: &Assortment,
) -> Result<(), Refusal> {
    let (cancel, folder, seed) = (
        request.cancel.clone(),
        request.directory.clone(),
        request.seed,
    );
    let pipeline = match testbed.start(request).await {
        Err(_) if cancel.is_cancelled() => return Ok(()),
        started => started?,
    };
    let presented = present(system, &pipeline, assortment, &folder, seed).await;
    if presented.is_ok() {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tell_of_ends(system, &*pipeline) => {}
        }
    }
    let stopped = pipeline.stop().await;
    presented?;
    Ok(stopped?)
}

async fn present(
    system: &System,
    pipeline: &Arc<dyn Pipeline>,
    assortment: &Assortment,
    folder: &Path,
    seed: u64,
) -> anyhow::Result<()> {
    let observer = Observer::new(pipeline.clone(), system.observations.clone())?;
    let arranged = observer.arrange_products(&assortment.products).await;
    observer.close().await;
    arranged?;
    let authority = folder.join("ca.pem");
    std::fs::write(&authority, pipeline.certificate_authority_pem())
        .with_context(|| format!("{} cannot be written", authority.display()))?;
    let text = describe(system, &**pipeline, &authority)
        .and_then(|mut text| {
            describe_products(&mut text, assortment, &**pipeline, &authority, seed)?;
            Ok(text)
        })
        .context("the addresses cannot be written down")?;
    say(format_args!(
        "{text}\nCtrl-C ends it; logs are in {}",
        folder.display()
    ));
    Ok(())
}

/// Says when an instance ends, which nobody asked it to. Never returns.
async fn tell_of_ends(system: &System, pipeline: &dyn Pipeline) {
    let instances = system
        .topology
        .started()
        .flat_map(|component| pipeline.instances(&component.name));
    let names: Vec<String> = instances.collect();
    let mut ends: FuturesUnordered<_> = names
        .iter()
        .map(async |name| (name, pipeline.wait_for_exit(name, 0).await))
        .collect();
    while let Some((name, exit)) = ends.next().await {
        complain(format_args!(
            "{name} has ended (exit code {:?}, signal {:?}) and is not started again",
            exit.code, exit.signal
        ));
    }
    std::future::pending().await
}

fn describe(
    system: &System,
    pipeline: &dyn Pipeline,
    authority: &Path,
) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "The pipeline runs.\n")?;
    writeln!(text, "customers      {}", pipeline.entry_url())?;
    if let Some(url) = pipeline.page_url() {
        writeln!(
            text,
            "shop           {url} (for a browser that trusts these certificates)"
        )?;
    }
    if let Some(url) = pipeline.identity_url() {
        writeln!(
            text,
            "tokens         {url} (whoever comes first under a name chooses its password)"
        )?;
    }
    writeln!(text, "certificates   {}\n", authority.display())?;
    for component in system.topology.components.values() {
        for instance in pipeline.instances(&component.name) {
            for (port, protocol) in &component.ports {
                let Some(address) = pipeline.address(&instance, port) else {
                    continue;
                };
                let scheme = match protocol {
                    Protocol::Http => "http://",
                    Protocol::Https => "https://",
                    Protocol::Postgres | Protocol::Kafka | Protocol::Tcp => "",
                };
                writeln!(text, "{instance:24} {port:10} {scheme}{address}")?;
            }
        }
    }
    writeln!(text)?;
    for component in system.topology.started() {
        if let Some(url) = pipeline.database_url(&component.name) {
            writeln!(text, "{:24} database   {url}", component.name)?;
        }
    }
    if let Some(kafka) = pipeline.kafka() {
        writeln!(
            text,
            "{:24} bootstrap  {}, names of topics and groups begin with {:?}",
            "kafka", kafka.bootstrap, kafka.topic_prefix
        )?;
    }
    if let Some(url) = proxies(system, pipeline) {
        writeln!(
            text,
            "{:24} proxies    {url}/proxies (Toxiproxy's API)",
            "every link"
        )?;
    }
    for url in control_urls(system, pipeline) {
        writeln!(text, "{:24} control    {url}", "")?;
    }
    writeln!(
        text,
        "\nEvery instance answers /health/live, /health/ready and /metrics at its http port."
    )?;
    Ok(text)
}

fn describe_products(
    text: &mut String,
    assortment: &Assortment,
    pipeline: &dyn Pipeline,
    authority: &Path,
    seed: u64,
) -> std::fmt::Result {
    let (Some(first), Some(last)) = (assortment.products.first(), assortment.products.last())
    else {
        return Ok(());
    };
    writeln!(
        text,
        "\n{} products, {} to {}, {} units each",
        assortment.products.len(),
        first.product_id,
        last.product_id,
        first.units
    )?;
    let intent = Generator::new(seed, assortment.clone(), NAME).next_intent(true, 1);
    let issuer = pipeline.identity_url();
    let commands =
        example::curl_commands(&intent, &pipeline.entry_url(), issuer.as_deref(), authority);
    for command in commands {
        writeln!(text, "  {command}")?;
    }
    Ok(())
}

/// The API of the fault proxies; one serves them all.
fn proxies(system: &System, pipeline: &dyn Pipeline) -> Option<String> {
    let link = system.topology.links().into_iter().next()?;
    let selector = LinkSelector {
        client: link.client,
        server: link.server.component,
    };
    let proxy = pipeline.links(&selector).ok()?.into_iter().next()?;
    Some(proxy.api_url)
}

/// What the harness reads beside the databases and the queue.
fn control_urls(system: &System, pipeline: &dyn Pipeline) -> Vec<String> {
    let mut urls = Vec::new();
    for source in &system.observations.sources {
        let Place::Endpoint { endpoint, .. } = &source.place else {
            continue;
        };
        for instance in pipeline.instances(&endpoint.component) {
            if let Some(address) = pipeline.address(&instance, &endpoint.port) {
                urls.push(format!("http://{address}{}", endpoint.path));
            }
        }
    }
    urls.sort();
    urls.dedup();
    urls
}

fn settings(
    system: &System,
    given: &[String],
) -> Result<BTreeMap<(String, String), String>, Refusal> {
    let mut settings = BTreeMap::new();
    for text in given {
        let wrong = |why: &str| Refusal::Usage(format!("--set {text}: {why}"));
        let parts = text
            .split_once('=')
            .and_then(|(name, value)| Some((name.split_once('.')?, value)));
        let ((component, setting), value) =
            parts.ok_or_else(|| wrong("write COMPONENT.SETTING=VALUE"))?;
        let known = started(system, component)
            .ok_or_else(|| wrong("the topology starts no component of this name"))?;
        if !system.topology.settings_of(known).contains_key(setting) {
            return Err(wrong("the topology gives this component no such setting"));
        }
        settings.insert((component.to_owned(), setting.to_owned()), value.to_owned());
    }
    Ok(settings)
}

fn replicas(system: &System, given: &[String]) -> Result<BTreeMap<String, u32>, Refusal> {
    let mut replicas = BTreeMap::new();
    for text in given {
        let wrong = |why: &str| Refusal::Usage(format!("--replicas {text}: {why}"));
        let parts = text
            .split_once('=')
            .and_then(|(component, count)| Some((component, count.parse::<u32>().ok()?)));
        let (component, count) = parts.ok_or_else(|| wrong("write COMPONENT=NUMBER"))?;
        if started(system, component).is_none() {
            return Err(wrong("the topology starts no component of this name"));
        }
        replicas.insert(component.to_owned(), count);
    }
    Ok(replicas)
}

fn started<'a>(system: &'a System, name: &str) -> Option<&'a crate::topology::Component> {
    let component = system.topology.components.get(name)?;
    (!matches!(component.program, Program::Provided(_))).then_some(component)
}
