//! The text of a source as a tree of values, whether it is YAML or JSON (which is YAML too).

use serde_json::Value;

use crate::model::text::{escape_controls, shorten};

/// The largest text that is read. 100,000 endpoints are some 30 MB.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Reads YAML or JSON; anchors and merge keys are put in their places.
///
/// # Errors
/// A sentence with the line that cannot be read. It does not quote the text, which may hold passwords.
pub fn read(text: &str, shown: &str) -> Result<Value, String> {
    if text.trim_start().starts_with(['{', '[']) {
        match serde_json::from_str(text) {
            Ok(value) => return Ok(value),
            // Flow style of YAML begins like JSON.
            Err(e) if e.is_syntax() => {}
            Err(e) => {
                return Err(format!("{shown}, line {}, column {}: the JSON ends too early", e.line(), e.column()));
            }
        }
    }
    // One anchor of defaults is used by each of thousands of endpoints: no ratio of aliases to anchors is suspicious.
    // What aliases make of a short text is bounded by the library's limits on their replay.
    let budget = serde_saphyr::budget! {
        max_nodes: 4_000_000,
        max_events: 16_000_000,
        max_documents: 1,
        max_aliases: 200_000,
        max_merge_keys: 200_000,
        enforce_alias_anchor_ratio: false,
    };
    let options = serde_saphyr::options! { with_snippet: false, budget: budget, leading_zero_numbers_as_strings: true };
    serde_saphyr::from_str_with_options::<Value>(text, options).map_err(|e| {
        let place = e.location().map_or(String::new(), |l| format!(", line {}, column {}", l.line(), l.column()));
        format!("{shown}{place}: this is neither YAML nor JSON that can be read ({}): often a tab, a quote that does not end, wrong indentation or a key given twice", kind(&e))
    })
}

/// What sort of error it is; the library's whole words may quote the text.
fn kind(error: &serde_saphyr::Error) -> String {
    let text = format!("{error:?}");
    let word: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
    escape_controls(&shorten(&word, 40)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_with_anchors_and_json() {
        let yaml = "x: &d {interval: 30s, n: 007}\nendpoints:\n  - <<: *d\n    name: a\n  - {<<: *d, name: b, 5: c}\n";
        assert_eq!(
            read(yaml, "f").unwrap(),
            json!({"x": {"interval": "30s", "n": "007"}, "endpoints": [
                {"interval": "30s", "n": "007", "name": "a"}, {"interval": "30s", "n": "007", "name": "b", "5": "c"}]})
        );
        assert_eq!(read("[{\"a\": 1}]", "f").unwrap(), json!([{"a": 1}]));
        assert_eq!(read("{a: 1}", "f").unwrap(), json!({"a": 1}));
        let many: String = (0..3000).map(|i| format!("- <<: *d\n  name: n{i}\n")).collect();
        let value = read(&format!("- &d {{a: 1}}\n{many}"), "f").unwrap();
        assert_eq!(value.as_array().map(Vec::len), Some(3001));
    }

    #[test]
    fn errors_have_a_line_and_no_secret() {
        for text in ["a: 1\nb: \"hunter2\n", "a:\n\t- hunter2: x\n", "a: 1\na: hunter2\n", "{\"a\": \"hunter2\""] {
            let error = read(text, "f.yml").unwrap_err();
            assert!(error.starts_with("f.yml, line ") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let before = format!("*a{}, ", i - 1).repeat(10);
            text.push_str(&format!("a{i}: &a{i} [{}]\n", before.trim_end_matches(", ")));
        }
        assert!(read(&text, "f").is_err());
        assert!(read(&"[".repeat(100_000), "f").is_err());
        assert!(read(&"{a: ".repeat(100_000), "f").is_err());
    }
}
