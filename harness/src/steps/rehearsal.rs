//! What scenarios are going to ask for, known before they run: their Given steps are carried out on nothing but an
//! arrangement.

use cucumber::{World as _, step};
use futures::FutureExt as _;
use gherkin::StepType;
use tokio_util::sync::CancellationToken;

use super::{engine::PreparedDrill, world::DrillWorld};
use crate::{drill::Arrangement, testbed::PipelineRequest};

/// The pipeline that each drill is going to ask for, by the drill's index. A drill whose steps cannot be rehearsed is left
/// out: it says itself what is wrong with it.
pub fn requests(
    drills: &[PreparedDrill],
    cancel: &CancellationToken,
) -> Vec<(usize, PipelineRequest)> {
    let steps = DrillWorld::collection();
    drills
        .iter()
        .filter_map(|drill| {
            let arrangement = rehearse(&drill.feature, &steps)?;
            Some((drill.order.index, arrangement.request(&drill.order, cancel)))
        })
        .collect()
}

fn rehearse(
    feature: &gherkin::Feature,
    steps: &step::Collection<DrillWorld>,
) -> Option<Arrangement> {
    let scenario = feature.scenarios.first()?;
    let background = feature.background.iter().flat_map(|part| &part.steps);
    let mut world = DrillWorld {
        drill: None,
        place: None,
        rehearsed: Some(Arrangement::default()),
    };
    let given = |step: &&gherkin::Step| step.ty == StepType::Given;
    for step in background.chain(&scenario.steps).filter(given) {
        let (carry_out, _, _, context) = steps.find(step).ok()??;
        // Without a drill there is nothing to wait for.
        let carried_out = std::panic::AssertUnwindSafe(carry_out(&mut world, context));
        carried_out.catch_unwind().now_or_never()?.ok()?;
    }
    world.rehearsed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rehearsed(steps: &str) -> Option<Arrangement> {
        let text = format!(
            "Feature: F\n  Background:\n    Given the order pipeline is running\n  Scenario: S\n{steps}"
        );
        let feature =
            gherkin::Feature::parse(text, gherkin::GherkinEnv::default()).expect("Gherkin");
        rehearse(&feature, &DrillWorld::collection())
    }

    #[test]
    fn what_a_scenario_arranges_is_known_before_it_runs() {
        let arrangement = rehearsed(
            "    Given 3 instances of order-service\n    And the setting A_MS of order-service is \"5\"\n    \
             And 2 products with 9 units each in stock\n    And customers place 5 orders per second\n",
        );
        let arrangement = arrangement.expect("every step is known");
        assert_eq!(arrangement.replicas["order-service"], 3);
        let setting = ("order-service".to_owned(), "A_MS".to_owned());
        assert_eq!(arrangement.settings[&setting], "5");
        assert_eq!(arrangement.products, Some((2, 9)));
    }

    #[test]
    fn a_step_that_nobody_knows_is_left_to_the_drill() {
        assert_eq!(rehearsed("    Given the moon is full\n"), None);
    }
}
