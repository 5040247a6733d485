//! `skypunch check`: are the settings and the targets file fit? Nothing is changed.

use std::path::Path;
use std::process::ExitCode;

use super::{EXIT_INPUT, refuse, startup, targets};
use crate::config::Settings;

/// Says what is in force and what is wrong. Exit code 0 or 2.
#[must_use]
pub fn check(settings: &Settings, targets_file: Option<&Path>) -> ExitCode {
    let mut wrong = false;
    if let Err(e) = startup::database_url(settings) {
        refuse(e.as_ref());
        wrong = true;
    }
    match &settings.file {
        Some(file) => println!("settings  {}", file.display()),
        None => println!("settings  the defaults (no file)"),
    }
    for (key, value) in settings.shown() {
        println!("  {key} = {}", value.as_deref().unwrap_or("(not set)"));
    }
    if let Some(file) = targets_file {
        match targets::read(file) {
            Ok((_, entries)) => println!("targets   {}: {} targets, all fit", file.display(), entries.len()),
            Err(e) => {
                refuse(&e);
                wrong = true;
            }
        }
    }
    if wrong { ExitCode::from(EXIT_INPUT) } else { ExitCode::SUCCESS }
}
