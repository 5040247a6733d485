//! Trees of templates: a TOML value whose texts are templates becomes JSON, a form, headers or a query.
//!
//! ```text
//!  "plain text"            as it is
//!  "for {{ item.name }}"   a text
//!  "{{ item.number }}"     whatever the expression is: a number, a list, …; none leaves the key out
//!  { "$if" = "open", … }   left out unless the expression is true
//!  [{ "$each" = "x", … }]  the table once for each element of a list, which is `each` in it
//! ```

use minijinja::Value;
use serde_json::{Map, Value as Json};

use super::engine::{self, Fault};

/// The key that makes a table depend on an expression.
const IF: &str = "$if";
/// The key that repeats a table within a list.
const EACH: &str = "$each";

/// A fault and the path of the leaf that has it, from the tree's root.
pub(super) type LeafFault = (String, Fault);

/// The tree with everything filled in; `None` when it is left out.
pub(super) fn render(tree: &toml::Value, path: &str, context: &Value) -> Result<Option<Json>, LeafFault> {
    match tree {
        toml::Value::String(text) => leaf(text, context).map_err(|fault| (path.to_owned(), fault)),
        toml::Value::Integer(n) => Ok(Some(Json::from(*n))),
        toml::Value::Float(n) => Ok(Some(Json::from(*n))),
        toml::Value::Boolean(b) => Ok(Some(Json::from(*b))),
        toml::Value::Datetime(d) => Ok(Some(Json::from(d.to_string()))),
        toml::Value::Array(list) => {
            let mut out = Vec::with_capacity(list.len());
            for (i, element) in list.iter().enumerate() {
                let path = format!("{path}[{i}]");
                match element.get(EACH).and_then(toml::Value::as_str) {
                    None => out.extend(render(element, &path, context)?),
                    Some(expression) => {
                        for each in every(expression, context).map_err(|f| (format!("{path}.{EACH}"), f))? {
                            let context = minijinja::context! { each, ..context.clone() };
                            out.extend(render(element, &path, &context)?);
                        }
                    }
                }
            }
            Ok(Some(Json::Array(out)))
        }
        toml::Value::Table(table) => {
            if let Some(toml::Value::String(condition)) = table.get(IF) {
                let condition = engine::value(condition, context).map_err(|f| (format!("{path}.{IF}"), f))?;
                if !condition.is_true() {
                    return Ok(None);
                }
            }
            Ok(Some(Json::Object(entries(table, path, context)?)))
        }
    }
}

fn entries(table: &toml::Table, path: &str, context: &Value) -> Result<Map<String, Json>, LeafFault> {
    let mut out = Map::new();
    for (key, value) in table.iter().filter(|(key, _)| *key != IF && *key != EACH) {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if let Some(value) = render(value, &path, context)? {
            out.insert(key.clone(), value);
        }
    }
    Ok(out)
}

/// A flat tree as pairs of texts, in the order of the keys; a list gives a pair for each element.
pub(super) fn pairs(table: &toml::Table, path: &str, context: &Value) -> Result<Vec<(String, String)>, LeafFault> {
    let mut out = Vec::new();
    for (key, value) in entries(table, path, context)? {
        let values = match value {
            Json::Array(values) => values,
            one => vec![one],
        };
        for value in values {
            let text = match value {
                Json::String(text) => text,
                Json::Array(_) | Json::Object(_) => {
                    let message = "a list or table cannot stand here: write text, a number or `| json`".to_owned();
                    return Err((format!("{path}.{key}"), Fault { line: 0, message }));
                }
                other => other.to_string(),
            };
            out.push((key.clone(), text));
        }
    }
    Ok(out)
}

fn every(expression: &str, context: &Value) -> Result<Vec<Value>, Fault> {
    let list = engine::value(expression, context)?;
    let no_list = |_| Fault { line: 0, message: format!("`{expression}` is no list") };
    Ok(list.try_iter().map_err(no_list)?.collect())
}

fn leaf(text: &str, context: &Value) -> Result<Option<Json>, Fault> {
    if !engine::is_template(text) {
        return Ok(Some(Json::from(text)));
    }
    let Some(expression) = engine::whole_expression(text) else {
        return engine::raw(text, context).map(|text| Some(Json::from(text)));
    };
    let value = engine::value(expression, context)?;
    if value.is_none() {
        return Ok(None);
    }
    serde_json::to_value(&value)
        .map(Some)
        .map_err(|_| Fault { line: 0, message: format!("`{expression}` cannot be written as JSON") })
}

/// Every template of a tree with its path.
pub(super) fn templates(tree: &toml::Value, path: &str, found: &mut Vec<(String, String)>) {
    match tree {
        toml::Value::String(text) if engine::is_template(text) => found.push((path.to_owned(), text.clone())),
        toml::Value::Array(list) => {
            for (i, element) in list.iter().enumerate() {
                templates(element, &format!("{path}[{i}]"), found);
            }
        }
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match value {
                    toml::Value::String(condition) if key == IF || key == EACH => {
                        found.push((path, format!("{{{{ {condition} }}}}")))
                    }
                    _ => templates(value, &path, found),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn leaves_keep_their_type_and_none_leaves_out() {
        let tree: toml::Value = toml::from_str(
            "n = '{{ n }}'\nt = 'n is {{ n }}'\nlist = ['{{ none }}', '{{ [n, \"x\"] }}', 2]\ngone = '{{ none }}'\n\
             yes = { '$if' = 'n > 3', a = true }\nno = { '$if' = 'n > 9', a = true }\n\
             rep = [{ '$each' = '[n, 5]', v = '{{ each }}' }]\nplain = '<&\">'",
        )
        .unwrap();
        let context = context! { n => 4 };
        let json = render(&tree, "json", &context).unwrap().unwrap();
        let expected = serde_json::json!({
            "n": 4, "t": "n is 4", "list": [[4, "x"], 2], "yes": { "a": true }, "rep": [{ "v": 4 }, { "v": 5 }],
            "plain": "<&\">"
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn faults_name_their_leaf() {
        let tree: toml::Value = toml::from_str("a = { b = ['x', \"1\\n{{ nope }}\"] }").unwrap();
        let (path, fault) = render(&tree, "json", &context! {}).unwrap_err();
        assert_eq!((path.as_str(), fault.line, fault.message.as_str()), ("json.a.b[1]", 1, "`nope` is undefined"));
        let table: toml::Table = toml::from_str("a = '{{ [[1]] }}'").unwrap();
        assert_eq!(pairs(&table, "query", &context! {}).unwrap_err().0, "query.a");
        let table: toml::Table = toml::from_str("a = '{{ [1, true] }}'\nb = 'x'").unwrap();
        let pairs = pairs(&table, "query", &context! {}).unwrap();
        assert_eq!(pairs, [("a", "1"), ("a", "true"), ("b", "x")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
