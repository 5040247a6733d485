//! The settings file, a flag, and the environment over the file.

use std::path::PathBuf;

use super::input::{CANARY, Fields};
use super::judge;
use crate::config::{self, KEYS};

pub fn run(data: &[u8]) {
    let mut fields = Fields::of(data);
    let (text, flag, value) = (fields.text(), fields.text(), fields.text());
    // Flags are named by our own command line.
    let flag = KEYS.iter().find(|key| **key == flag).map(|key| (*key).to_owned());
    let root = text.len() % 2 == 0;
    let value =
        if flag.as_deref() == Some("database.url") { value.replace(":~@", &format!(":{CANARY}@")) } else { value };
    let overrides: Vec<(String, String)> = flag.into_iter().map(|key| (key, value.clone())).collect();
    let env = fields.rest();
    let env = env.chunks_exact(2).map(|pair| (format!("SKYPUNCH__{}", pair[0]), pair[1].clone()));
    let password = text.contains("mysql").then(|| ("SKYPUNCH__DATABASE__PASSWORD".to_owned(), CANARY.to_owned()));
    let env = env.chain([("HOME".to_owned(), "/home/fuzz".to_owned())]).chain(password);
    match config::load_text(root, Some((PathBuf::from("/x/skypunch.toml"), text)), &overrides, &env.collect()) {
        Ok(settings) => {
            let shown = settings.shown();
            assert_eq!(shown.len(), KEYS.len());
            for (key, value) in shown {
                assert!(KEYS.contains(&key), "{key}");
                judge::line(value.as_deref().unwrap_or_default());
            }
            judge::no_secret(&format!("{settings:?}"));
        }
        Err(error) => {
            for line in crate::model::text::with_causes(&error).split('\n') {
                judge::sentence(line, judge::MOST);
            }
        }
    }
}
