//! A targets file: what it says reads back from the file that `export` would write of it.

use serde_json::Value;

use super::input::text_of;
use super::judge;
use crate::model::credential::CredentialDefinition;
use crate::model::defined::{Defined, is_hidden};
use crate::model::definition::Definition;
use crate::model::notifier::{NotifierDefinition, any_type};
use crate::model::targets_file::{Entry, parse, write_entry};

pub fn run(data: &[u8]) {
    match parse(&text_of(data), &any_type) {
        Ok(file) => {
            file.targets.iter().for_each(reads_back::<Definition>);
            file.notifiers.iter().for_each(reads_back::<NotifierDefinition>);
            file.credentials.iter().for_each(reads_back::<CredentialDefinition>);
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                judge::sentence(&problem.to_string(), judge::MOST);
            }
        }
    }
}

fn reads_back<D: Defined + std::fmt::Debug>(entry: &Entry) {
    // Keys that stand for a secret that only the database knows make no definition by themselves.
    let Ok(definition) = entry.definition::<D>() else { return };
    let shown = definition.to_json();
    for key in ["params", "authn_parms"] {
        assert!(shown.get(key).is_none_or(|v| v.is_null() || is_hidden(v)), "{key} is shown: {shown:?}");
    }
    let mut text = String::new();
    write_entry::<D>(&mut text, &shown);
    let again = match parse(&text, &any_type) {
        Ok(file) => [file.targets, file.notifiers, file.credentials].concat(),
        Err(problems) => panic!("{problems:?}\n{text}"),
    };
    let [again] = again.as_slice() else { panic!("{} entries in\n{text}", again.len()) };
    assert_eq!((&again.name, again.keys.get("name")), (&entry.name, Some(&Value::from(entry.name.clone()))));
    let mut back = definition.clone();
    match back.set_all(&again.keys) {
        Ok(()) => assert_eq!(back.to_json(), shown, "{text}"),
        Err(problems) => panic!("{problems:?}\n{text}"),
    }
}
