//! The manual.

use super::{folder, run};

#[test]
fn the_manual_has_every_verb() {
    let dir = folder();
    let ran = run(dir.path(), &[], &["man"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let verbs =
        ["INIT", "RUN", "EXTRACT", "APPLY", "SNAPSHOT", "CHECK", "PLAN", "STATUS", "VERIFY", "SCHEMA", "EXIT STATUS"];
    for verb in verbs {
        assert!(ran.out.contains(&format!(".SH \"{verb}\"\n")), "{verb} in\n{}", ran.out);
    }
    assert!(ran.out.contains(".TH tailwater 1") && ran.out.contains("tailwater snapshot"), "{}", ran.out);
    let ran = run(dir.path(), &[], &["man", "snapshot"]);
    let page = ran.out.replace("\\-", "-");
    assert!(ran.code == Some(0) && page.contains(".TH tailwater-snapshot 1"), "{page}");
    let ran = run(dir.path(), &[], &["man", "snapshto"]);
    assert_eq!(ran.code, Some(64));
    assert!(ran.err.contains("did you mean \"snapshot\"?"), "{}", ran.err);
}
