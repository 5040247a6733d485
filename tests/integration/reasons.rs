//! Every reason of the closed list is earned from a real peer (or a real panic) by a test that bears its name.
//!
//! That such a test fails when its reason is not found any more, and which others do, is what `tests/mutants` finds out.

use std::path::{Path, PathBuf};

use skypunch::model::reason::Reason;

/// Given by parts that do not exist yet. Whoever builds one takes its reasons off this list.
const LATER: [Reason; 2] = [Reason::TimeoutAuth, Reason::Assertion];

fn sources(dir: &str) -> Vec<String> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut found);
    assert!(found.len() > 2, "{dir} was not found");
    found.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

/// Whether a test of that source has a name that begins with the reason's word, and asserts it.
fn is_asserted(reason: Reason, source: &str) -> bool {
    let (word, variant) = (reason.as_str(), format!("Reason::{reason:?}"));
    source.split("#[test]\nfn ").skip(1).any(|test| {
        let Some((name, body)) = test.split_once('(') else { return false };
        let body = body.split("\n}\n").next().unwrap_or(body);
        name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            && (body.contains(&variant) || body.contains(&format!("'{word}'")))
    })
}

#[test]
fn every_reason_has_a_test_of_its_name() {
    let tests = sources("tests/integration");
    let missing = |reason: &&Reason| !tests.iter().any(|source| is_asserted(**reason, source));
    let missing: Vec<&str> =
        Reason::ALL.iter().filter(|r| !LATER.contains(r)).filter(missing).map(|r| r.as_str()).collect();
    assert!(missing.is_empty(), "no test begins with {missing:?} and asserts it");
    let later: Vec<String> = LATER.iter().map(|r| format!("Reason::{r:?}")).collect();
    for source in ["src/net", "src/probe", "src/openstack", "src/actors"].iter().flat_map(|dir| sources(dir)) {
        let found: Vec<&String> = later.iter().filter(|word| source.contains(*word)).collect();
        assert!(found.is_empty(), "{found:?} is given now: take it off LATER and test it");
    }
}

#[test]
fn the_check_itself_sees_the_difference() {
    let test = |name: &str, body: &str| format!("use x;\n\n#[test]\nfn {name}() {{\n    {body};\n}}\n");
    assert!(is_asserted(Reason::Dns, &test("dns_nxdomain", "found.fails(Reason::Dns)")));
    assert!(is_asserted(Reason::Reset, &test("reset", "sql(\"reason = 'reset'\")")));
    assert!(!is_asserted(Reason::Dns, &test("dns_nxdomain", "found.fails(Reason::Reset)")));
    assert!(!is_asserted(Reason::Dns, &test("names", "found.fails(Reason::Dns)")));
    assert!(!is_asserted(Reason::Status, &test("statuses", "found.fails(Reason::Status)")));
    let beside = test("dns_nxdomain", "nothing()") + &test("other", "found.fails(Reason::Dns)");
    assert!(!is_asserted(Reason::Dns, &beside));
}
