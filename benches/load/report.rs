//! Figures, as a table for people and as JSON.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::Outcome;

/// One figure.
struct Figure {
    name: String,
    value: f64,
    shown: String,
    goal: &'static str,
}

/// The figures of one scenario.
pub struct Report {
    scenario: String,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Report {
    /// Nothing yet.
    pub fn new(scenario: impl Into<String>) -> Report {
        Report { scenario: scenario.into(), figures: Vec::new(), notes: Vec::new() }
    }

    /// Adds a figure with its unit and the goal of it, which may be empty.
    pub fn add(&mut self, name: impl Into<String>, value: f64, unit: &str, goal: &'static str) {
        let digits = match value.abs() {
            v if v >= 1000.0 || v.fract() == 0.0 => 0,
            v if v >= 10.0 => 1,
            _ => 2,
        };
        let shown = format!("{} {unit}", grouped(value, digits)).trim_end().to_owned();
        self.figures.push(Figure { name: name.into(), value, shown, goal });
    }

    /// Adds a duration in milliseconds.
    pub fn add_time(&mut self, name: impl Into<String>, value: Duration, goal: &'static str) {
        self.add(name, value.as_secs_f64() * 1000.0, "ms", goal);
    }

    /// Adds a sentence.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Prints it.
    pub fn print(&self) {
        let width =
            |of: fn(&Figure) -> &str| self.figures.iter().map(|f| of(f).chars().count()).max().unwrap_or(6).max(6);
        let (names, values, goals) = (width(|f| &f.name), width(|f| &f.shown), width(|f| f.goal));
        println!("\n## {}\n", self.scenario);
        println!("| {:<names$} | {:>values$} | {:<goals$} |", "figure", "value", "goal");
        println!("|{:-<a$}|{:->b$}|{:-<c$}|", "", ":", "", a = names + 2, b = values + 2, c = goals + 2);
        for f in &self.figures {
            println!("| {:<names$} | {:>values$} | {:<goals$} |", f.name, f.shown, f.goal);
        }
        for note in &self.notes {
            println!("  {note}");
        }
    }

    fn json(&self) -> Value {
        let figures: Map<String, Value> = self.figures.iter().map(|f| (f.name.clone(), json!(f.value))).collect();
        json!({ "scenario": self.scenario, "figures": figures, "notes": self.notes })
    }
}

/// Writes all of them to a file.
pub fn write_json(file: &Path, reports: &[Report]) -> Outcome<()> {
    let all: Vec<Value> = reports.iter().map(Report::json).collect();
    Ok(std::fs::write(file, serde_json::to_string_pretty(&all)? + "\n")?)
}

/// 12345.678 as 12,346.
fn grouped(value: f64, digits: usize) -> String {
    let plain = format!("{value:.digits$}");
    let (whole, rest) = plain.split_once('.').map_or((plain.as_str(), String::new()), |(w, r)| (w, format!(".{r}")));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |w| ("-", w));
    let mut out = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    format!("{sign}{out}{rest}")
}

/// The value below which this share of the sorted values lies.
pub fn quantile(sorted: &[i64], share: f64) -> i64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}
