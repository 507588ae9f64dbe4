//! What is deployed for Redshift is consistent with itself, with its guide and with the code.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

pub(super) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(super) fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("cannot read {name}: {e}"))
}

/// Files of a folder by name.
pub(super) fn files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(path(folder)).unwrap_or_else(|e| panic!("cannot read {folder}: {e}"));
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

/// Names in `${…}`.
fn placeholders(text: &str) -> BTreeSet<String> {
    let parts = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
    parts.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn policies_are_json_that_terraform_can_fill_in() {
    let terraform = read("deploy/redshift/terraform/main.tf");
    let values = terraform.split_once("values = {").and_then(|(_, rest)| rest.split_once("\n  }")).unwrap().0;
    let known: BTreeSet<String> =
        values.lines().filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned())).collect();
    let guide = read("docs/redshift.md");
    for name in files("deploy/redshift/iam") {
        let text = read(&format!("deploy/redshift/iam/{name}"));
        let used = placeholders(&text);
        assert!(used.is_subset(&known), "{name} uses {used:?}, Terraform fills in {known:?}");
        let filled = used.iter().fold(text, |text, key| text.replace(&format!("${{{key}}}"), "x"));
        let policy: serde_json::Value = serde_json::from_str(&filled).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(policy["Version"], "2012-10-17", "{name}");
        for statement in policy["Statement"].as_array().unwrap_or_else(|| panic!("{name} has no statements")) {
            assert!(statement["Sid"].is_string() && statement["Action"].is_array() | statement["Action"].is_string());
        }
        assert!(guide.contains(&format!("`{name}`")), "docs/redshift.md does not mention {name}");
        assert!(terraform.contains(&name), "no Terraform resource is made of {name}");
    }
}

/// Every AWS call that the code makes is allowed by a policy.
#[test]
fn policies_allow_what_the_code_calls() {
    let policies: String =
        files("deploy/redshift/iam").iter().map(|name| read(&format!("deploy/redshift/iam/{name}"))).collect();
    let mut code = String::new();
    collect(&path("src"), &mut code);
    for (call, action) in [
        ("get_cluster_credentials()", "redshift:GetClusterCredentials"),
        ("get_cluster_credentials_with_iam()", "redshift:GetClusterCredentialsWithIAM"),
        (".get_credentials()", "redshift-serverless:GetCredentials"),
        ("batch_execute_statement()", "redshift-data:BatchExecuteStatement"),
        ("describe_statement()", "redshift-data:DescribeStatement"),
        ("get_statement_result()", "redshift-data:GetStatementResult"),
        ("cancel_statement()", "redshift-data:CancelStatement"),
        (".put_object()", "s3:PutObject"),
        (".delete_object()", "s3:DeleteObject"),
        (".list_objects_v2()", "s3:ListBucket"),
    ] {
        assert!(!code.contains(call) || policies.contains(&format!("\"{action}\"")), "{action} is in no policy");
    }
}

/// Source code below a folder, with the line breaks inside of texts taken out.
pub(super) fn collect(folder: &Path, code: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, code);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut parts = text.split("\\\n");
            code.push_str(parts.next().unwrap_or_default());
            parts.for_each(|part| code.push_str(part.trim_start()));
        }
    }
}

/// The errors that the guide explains are errors that the code tells.
#[test]
fn the_errors_of_the_guide_are_those_of_the_code() {
    /// Shorter pieces say nothing.
    const PIECE_MIN: usize = 12;
    let mut code = String::new();
    collect(&path("src"), &mut code);
    let guide = read("docs/redshift.md");
    let (_, table) = guide.split_once("## Errors and their mends").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let mut checked = 0;
    for row in rows {
        let said = row.trim_start_matches("| ").split(" | ").next().unwrap_or_default();
        let Some(text) = said.strip_prefix('`').and_then(|s| s.strip_suffix('`')) else { continue };
        for piece in text.split('…').map(str::trim).filter(|piece| piece.len() >= PIECE_MIN) {
            assert!(code.contains(piece), "the code says nowhere {piece:?}");
            checked += 1;
        }
    }
    assert!(checked > 25, "{checked}");
}

/// The module for the bucket fills in the same file of the lake's policy, with all of its names.
#[test]
fn the_bucket_has_the_one_policy_of_the_lake() {
    let policy = read("deploy/redshift/iam/tailwater-lake-policy.json");
    let terraform = read("deploy/terraform/main.tf");
    let (_, call) = terraform.split_once("redshift/iam/tailwater-lake-policy.json\", {").unwrap();
    let (values, _) = call.split_once("})").unwrap();
    let given: BTreeSet<String> =
        values.lines().filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned())).collect();
    assert_eq!(placeholders(&policy), given);
}

/// An image is built of what `.dockerignore` lets through: the whole workspace, or Cargo refuses it.
#[test]
fn images_are_built_of_the_whole_workspace() {
    let ignored = read(".dockerignore");
    let through: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let cargo = read("Cargo.toml");
    let (_, members) = cargo.split_once("members = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    let paths = cargo.lines().filter_map(|line| line.strip_prefix("path = "));
    let needed = members.split(',').chain(paths).map(|name| name.trim().trim_matches('"')).filter(|name| *name != ".");
    for name in needed.chain(["Cargo.toml", "Cargo.lock", "schemas"]) {
        let top = name.split('/').next().unwrap_or(name);
        assert!(through.contains(top), ".dockerignore keeps {name} out of the build");
    }
}
