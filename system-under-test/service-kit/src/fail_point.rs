//! Marked moments between two effects, at which a drill can kill the process, fail the step or hold it up.
//!
//! A service registers its names at start and calls [`pass`] at each moment. Nothing happens there until the control
//! endpoints (served only with `FAIL_POINTS=on`) arm a point.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The step was made to fail by a fail-point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the fail-point `{0}` failed this step")]
pub struct Injected(pub &'static str);

/// What happens to whoever passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing.
    #[default]
    Off,
    /// The process sends itself SIGKILL.
    Kill,
    /// The step fails with [`Injected`].
    Error,
    /// The step is held up for [`Order::delay_ms`].
    Delay,
}

/// How a point is armed: the body of `PUT /control/fail-points/{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What happens to whoever passes.
    pub action: Action,
    /// For how long a `delay` holds the step up, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// How many passages are acted on; without it all are.
    #[serde(default)]
    pub times: Option<u64>,
}

/// How a point stands: what `GET /control/fail-points` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Standing {
    /// What happens to whoever passes next.
    pub action: Action,
    /// Milliseconds of a `delay`.
    pub delay_ms: u64,
    /// Passages that will still be acted on; none means all.
    pub remaining: Option<u64>,
    /// Passages that were acted on since the process started.
    pub acted: u64,
    /// All passages since the process started.
    pub passed: u64,
}

static POINTS: LazyLock<Mutex<BTreeMap<String, Standing>>> = LazyLock::new(Mutex::default);

fn points() -> MutexGuard<'static, BTreeMap<String, Standing>> {
    POINTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes names known to the control endpoints; a service calls it once with all of its own.
pub fn register(names: &[&'static str]) {
    let mut points = points();
    for name in names {
        points.entry((*name).to_owned()).or_default();
    }
}

/// All registered points and how they stand.
pub fn standings() -> BTreeMap<String, Standing> {
    points().clone()
}

/// Arms or disarms a point; false when nobody registered the name.
pub fn arm(name: &str, order: Order) -> bool {
    let mut points = points();
    let Some(standing) = points.get_mut(name) else {
        return false;
    };
    let count = order
        .times
        .map(|times| format!("{times}*"))
        .unwrap_or_default();
    let actions = match order.action {
        Action::Off => "off".to_owned(),
        Action::Kill => format!("{count}return(kill)"),
        Action::Error => format!("{count}return(error)"),
        Action::Delay => format!("{count}return(delay)"),
    };
    if let Err(problem) = fail::cfg(name, &actions) {
        // The text is put together above; the crate refuses it only if one of the two is changed without the other.
        tracing::error!(name, problem, "a fail-point could not be armed");
        return false;
    }
    standing.action = order.action;
    standing.delay_ms = order.delay_ms;
    standing.remaining = if order.action == Action::Off {
        None
    } else {
        order.times
    };
    true
}

/// Which action is due, as the `fail` crate has it; its macro returns early from the function that it stands in.
fn due(name: &str) -> Option<Action> {
    fail::fail_point!(name, |word: Option<String>| match word.as_deref() {
        Some("kill") => Some(Action::Kill),
        Some("error") => Some(Action::Error),
        Some("delay") => Some(Action::Delay),
        _ => None,
    });
    None
}

fn count_passage(name: &'static str) -> (Action, u64) {
    let mut points = points();
    let standing = points.entry(name.to_owned()).or_default();
    standing.passed += 1;
    let Some(action) = due(name) else {
        return (Action::Off, 0);
    };
    standing.acted += 1;
    if let Some(remaining) = standing.remaining.as_mut() {
        *remaining = remaining.saturating_sub(1);
        if *remaining == 0 {
            standing.action = Action::Off;
        }
    }
    (action, standing.delay_ms)
}

/// Passes a marked moment: usually at once, otherwise as the point is armed.
///
/// # Errors
/// [`Injected`] when the point is armed to fail the step.
pub async fn pass(name: &'static str) -> Result<(), Injected> {
    let (action, delay_ms) = count_passage(name);
    match action {
        Action::Off => Ok(()),
        Action::Error => Err(Injected(name)),
        Action::Delay => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            Ok(())
        }
        Action::Kill => kill_this_process(),
    }
}

fn kill_this_process() -> ! {
    let killed =
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // SIGKILL cannot be handled: reaching this line means that the kernel refused to send it.
    tracing::error!(?killed, "the process could not kill itself");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(action: Action, times: Option<u64>) -> Order {
        Order {
            action,
            delay_ms: 20,
            times,
        }
    }

    #[tokio::test]
    async fn a_point_acts_as_often_as_it_was_told() {
        const NAME: &str = "kit.acts-twice";
        register(&[NAME]);
        assert_eq!(pass(NAME).await, Ok(()));
        assert!(arm(NAME, order(Action::Error, Some(2))));
        assert_eq!(pass(NAME).await, Err(Injected(NAME)));
        assert_eq!(standings()[NAME].remaining, Some(1));
        assert_eq!(pass(NAME).await, Err(Injected(NAME)));
        assert_eq!(pass(NAME).await, Ok(()));
        let standing = standings()[NAME];
        assert_eq!(
            (standing.acted, standing.passed, standing.remaining),
            (2, 4, Some(0))
        );
        assert_eq!(standing.action, Action::Off);
    }

    #[tokio::test]
    async fn a_delay_holds_the_step_up_until_it_is_switched_off() {
        const NAME: &str = "kit.delays";
        register(&[NAME]);
        assert!(arm(NAME, order(Action::Delay, None)));
        let before = std::time::Instant::now();
        assert_eq!(pass(NAME).await, Ok(()));
        assert!(before.elapsed() >= Duration::from_millis(20));
        assert!(arm(NAME, order(Action::Off, None)));
        assert_eq!(pass(NAME).await, Ok(()));
        assert_eq!(standings()[NAME].acted, 1);
    }

    #[test]
    fn an_unknown_name_cannot_be_armed() {
        assert!(!arm("kit.nobody-knows", order(Action::Kill, Some(1))));
    }
}
