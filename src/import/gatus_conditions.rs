//! Conditions of Gatus: those on the status become `pass_result`, the others are told.

use super::words::Codes;
use crate::model::text::quoted;

/// What the conditions of an endpoint say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Judged {
    /// The status codes that all conditions on the status let pass.
    pub pass_result: Option<String>,
    /// A sentence for each condition that is not brought over.
    pub notes: Vec<String>,
}

/// Reads all conditions of one endpoint.
pub(super) fn judge(conditions: &[String]) -> Judged {
    let mut judged = Judged::default();
    let mut codes: Option<Codes> = None;
    for condition in conditions {
        match on_status(condition) {
            Some(these) => codes = Some(codes.map_or(these.clone(), |c| c.and(&these))),
            None if implied(condition) => {}
            None => {
                judged.notes.push(format!("the condition {} has no counterpart{}", quoted(condition), why(condition)))
            }
        }
    }
    match codes.map(|c| c.written()) {
        Some(written) if written.is_empty() => {
            judged.notes.push("its conditions on [STATUS] let no status pass: 200-299 is expected".into());
        }
        Some(written) => judged.pass_result = Some(written),
        None => judged.notes.push("it has no condition on [STATUS]: 200-299 is expected".into()),
    }
    judged
}

/// The codes that a condition on the status lets pass.
fn on_status(condition: &str) -> Option<Codes> {
    // The longer signs first: `<=` holds `<`.
    let (at, sign) = ["==", "!=", "<=", ">=", "<", ">"].iter().find_map(|s| Some((condition.find(s)?, *s)))?;
    let (left, right) = (condition[..at].trim(), condition[at + sign.len()..].trim());
    let (value, sign) = match (left, right) {
        ("[STATUS]", value) => (value, sign),
        (value, "[STATUS]") => (value, turned(sign)),
        _ => return None,
    };
    let any = value.strip_prefix("any(").and_then(|v| v.strip_suffix(')'));
    let numbers: Vec<i64> =
        any.unwrap_or(value).split(',').map(|n| n.trim().parse().ok()).collect::<Option<Vec<i64>>>()?;
    let one = (any.is_none() || matches!(sign, "==" | "!=")).then(|| numbers.first().copied()).flatten()?;
    Some(Codes::of(|code| {
        let code = i64::from(code);
        match sign {
            "==" => numbers.contains(&code),
            "!=" => !numbers.contains(&code),
            "<" => code < one,
            "<=" => code <= one,
            ">" => code > one,
            _ => code >= one,
        }
    }))
}

fn turned(sign: &str) -> &str {
    match sign {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        same => same,
    }
}

/// What skypunch demands of every target.
fn implied(condition: &str) -> bool {
    let words: String = condition.chars().filter(|c| !c.is_whitespace()).collect();
    words == "[CONNECTED]==true"
}

fn why(condition: &str) -> &'static str {
    if condition.contains("[CERTIFICATE_EXPIRATION]") {
        ": the end of the certificate is shown by `skypunchctl targets NAME`, and a certificate that does not hold is FAIL"
    } else if condition.contains("[RESPONSE_TIME]") {
        ": the timeout is the only limit on time"
    } else if condition.contains("[BODY]") {
        ": the content of an answer is not looked at"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pass(conditions: &[&str]) -> Option<String> {
        judge(&conditions.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()).pass_result
    }

    #[test]
    fn conditions_on_the_status() {
        for (conditions, written) in [
            (vec!["[STATUS] == 200"], Some("200")),
            (vec!["[STATUS]==200"], Some("200")),
            (vec!["[STATUS] < 300"], Some("100-299")),
            (vec!["[STATUS] >= 200", "[STATUS] < 300"], Some("200-299")),
            (vec!["[STATUS] == any(200, 204,429)"], Some("200,204,429")),
            (vec!["[STATUS] != any(500, 503)"], Some("100-499,501-502,504-599")),
            (vec!["200 <= [STATUS]", "[STATUS] <= 201"], Some("200-201")),
            (vec!["[STATUS] == 200", "[STATUS] == 201"], None),
            (vec!["[STATUS] == pat(2*)"], None),
            (vec!["[STATUS] < any(200, 300)"], None),
            (vec!["[BODY].status == UP"], None),
            (vec![], None),
        ] {
            assert_eq!(pass(&conditions).as_deref(), written, "{conditions:?}");
        }
    }

    #[test]
    fn what_is_not_brought_over_is_told() {
        let conditions = [
            "[STATUS] == 200",
            "[CONNECTED] == true",
            "[RESPONSE_TIME] < 300",
            "len([BODY].x) > 3",
            "[IP] == 127.0.0.1",
        ];
        let notes = judge(&conditions.map(str::to_owned)).notes;
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].contains("`[RESPONSE_TIME] < 300` has no counterpart: the timeout"), "{notes:?}");
        assert_eq!(judge(&[]).notes, ["it has no condition on [STATUS]: 200-299 is expected"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*|(\\[STATUS\\]|any\\(|[<>=!0-9, ]){0,8}") {
            let _any = judge(&[text]);
        }
    }
}
