//! The walls between the packages (ARCHITECTURE.md): the allowed edges and no others.

use serde_json::Value;
use std::{collections::BTreeSet, process::Command};

/// Package to what it may depend on. The key line is the absent one: host does not see the enclave.
const ALLOWED: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("enclave", &["protocol"]),
    ("enclaved", &["enclave", "protocol"]),
    ("host", &["protocol"]),
    ("gateway", &["protocol"]),
    // The production shell must not contain what forges quotes.
    ("software-tee", &["enclaved", "enclave", "protocol"]),
    ("devnet", &["software-tee", "enclave", "host", "gateway", "protocol"]),
    ("simulator", &["devnet", "software-tee", "enclave", "host", "gateway", "protocol"]),
    ("cli", &["devnet", "host", "gateway", "protocol"]),
    (
        "benches",
        &[
            "devnet",
            "simulator",
            "software-tee",
            "enclave",
            "enclaved",
            "host",
            "gateway",
            "protocol",
        ],
    ),
];

/// Outside crates that only one package may name, so that their churn stops there.
const CONFINED: &[(&str, &[&str])] = &[
    ("revm", &["enclave", "benches"]),
    ("alloy-trie", &["enclave", "devnet"]),
    ("libp2p", &["host"]),
    ("dcap-qvl", &["protocol"]),
    ("blst", &["protocol"]),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

fn folder(package: &Value) -> String {
    let manifest = package["manifest_path"].as_str().unwrap_or_default();
    manifest.rsplit('/').nth(1).unwrap_or_default().to_string()
}

/// Names of the dependencies that are compiled into the package, tests aside.
fn dependencies(package: &Value) -> BTreeSet<String> {
    package["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|dependency| dependency["kind"] != "dev")
        .filter_map(|dependency| dependency["name"].as_str().map(String::from))
        .collect()
}

#[test]
fn packages_depend_only_on_what_they_may() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    for package in packages {
        let folder = folder(package);
        let (_, allowed) = ALLOWED
            .iter()
            .find(|(name, _)| *name == folder)
            .unwrap_or_else(|| panic!("{folder} is not in the table of packages"));
        for dependency in dependencies(package) {
            if let Some(inner) = dependency.strip_prefix("obscuro-") {
                assert!(allowed.contains(&inner), "{folder} must not depend on {inner}");
            }
        }
    }
}

#[test]
fn confined_crates_stay_where_they_are() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().expect("packages") {
        let (folder, dependencies) = (folder(package), dependencies(package));
        for (name, places) in CONFINED {
            assert!(
                !dependencies.contains(*name) || places.contains(&folder.as_str()),
                "{folder} must not depend on {name}"
            );
        }
    }
}
