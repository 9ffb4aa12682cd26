//! A system that is none of this workspace's: started by a command, in another language, with its facts behind one endpoint.
//! Its two files and a feature are all that another team writes.

use std::{path::Path, process::Command};

#[test]
fn a_command_is_drilled_and_its_missing_defence_is_found_out() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/another_system");
    let out = tempfile::tempdir().expect("a folder");
    let proved = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .arg("prove")
        .arg(home.join("features/shop.feature"))
        .arg("--topology")
        .arg(home.join("system/topology.toml"))
        .arg("--profiles")
        .arg(home.join("fault-profiles"))
        .arg("--out")
        .arg(out.path().join("run"))
        .output()
        .expect("it runs");
    let said = [proved.stdout, proved.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(proved.status.code(), Some(0), "{said}");
    let verdicts = std::fs::read(out.path().join("run/verdicts.json")).expect("verdicts");
    let verdicts: serde_json::Value = serde_json::from_slice(&verdicts).expect("JSON");
    let drills = verdicts["drills"].as_array().expect("drills");
    let told: Vec<_> = drills
        .iter()
        .map(|drill| {
            (
                drill["verdict"].as_str(),
                drill["findings"][0]["invariant"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some("PASSED"), None),
            (Some("VIOLATED"), Some("no-duplicate-charge"))
        ],
        "{said}"
    );
}
