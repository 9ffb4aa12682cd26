//! The program itself: killed at marked moments, and started with something missing.

#[path = "notification_service/support.rs"]
mod support;

use std::os::unix::process::ExitStatusExt;

use contracts::OrderEventKind as Kind;
use notification_service::FAIL_POINTS;
use service_testing::Program;
use support::{Surroundings, event_of};
use uuid::Uuid;

const BINARY: &str = env!("CARGO_BIN_EXE_notification-service");
const SIGKILL: i32 = 9;

/// What a customer was told when the service is killed at a marked moment and started again.
async fn told_after_kill_at(
    fail_point: &str,
    defences_off: &str,
    provider_settings: &[(&str, &str)],
) -> Vec<String> {
    let around = Surroundings::new(provider_settings).await;
    let settings = around.settings(&[("DEFENCES_OFF", defences_off)]);
    let mut program = Program::ready(BINARY, &settings).await;
    program.kill_at(fail_point).await;
    let order_id = Uuid::new_v4();
    around.publish(&event_of(order_id, Kind::Declined));
    assert_eq!(
        program.ended().await.signal(),
        Some(SIGKILL),
        "{}",
        program.log()
    );
    let _again = Program::ready(BINARY, &settings).await;
    around.committed(1).await;
    around.told(order_id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_sending_and_recording_the_key_keeps_it_from_telling_twice() {
    let [_, after_send, _] = FAIL_POINTS;
    let once = told_after_kill_at(after_send, "", &[]).await;
    assert_eq!(once, ["declined:email"]);
    let twice = told_after_kill_at(after_send, "notification.message-key", &[]).await;
    assert_eq!(twice, ["declined:email", "declined:email"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_recording_and_committing_the_record_keeps_it_from_telling_twice() {
    let [_, _, after_record] = FAIL_POINTS;
    let forgetful = [("KEY_MEMORY_MS", "0")];
    let once = told_after_kill_at(after_record, "", &forgetful).await;
    assert_eq!(once, ["declined:email"]);
    let twice = told_after_kill_at(after_record, "notification.dedup", &forgetful).await;
    assert_eq!(twice, ["declined:email", "declined:email"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_sending_the_event_is_read_again_unless_it_was_committed_first() {
    let [before_send, _, _] = FAIL_POINTS;
    let told = told_after_kill_at(before_send, "", &[]).await;
    assert_eq!(told, ["declined:email"]);
    let never = told_after_kill_at(before_send, "notification.commit-after-send", &[]).await;
    assert_eq!(never, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_settings_it_says_everything_that_is_missing() {
    let mut program = Program::spawn(BINARY, &[("PROVIDER_URL", "http://127.0.0.1:1")]);
    assert!(!program.ended().await.success());
    let log = program.log();
    for missing in [
        "INSTANCE: is missing",
        "DATABASE_URL: is missing",
        "KAFKA_BROKERS: is missing",
        "CA_FILE: is missing",
        "PROVIDER_URL: `http://127.0.0.1:1` is not",
    ] {
        assert!(log.contains(missing), "{missing} is not in {log}");
    }
}
