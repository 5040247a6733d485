//! The shape of the source: who may use whom, how long a file may be, who reads time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// Every part of the library, from the bottom up.
const PARTS: [&str; 19] = [
    "shown",
    "secret",
    "model",
    "import",
    "clock",
    "net",
    "config",
    "probe",
    "openstack",
    "notify",
    "store",
    "board",
    "logging",
    "control",
    "actors",
    "doctor",
    "cli",
    "app",
    "fuzz",
];

/// What a part may use besides itself, where that is not everything before it in [`PARTS`].
fn may_use(part: &'static str) -> Vec<&'static str> {
    let below = |end: &str| PARTS.iter().copied().take_while(|p| *p != end).collect::<Vec<_>>();
    match part {
        // Side by side: none uses another.
        "config" | "probe" | "notify" | "store" | "board" => below("config"),
        // A login is an exchange of the prober's whose answer is kept.
        "openstack" => [below("config"), vec!["probe"]].concat(),
        "logging" => [below("net"), vec!["config"]].concat(),
        // What daemon and command-line tool share: types and the client.
        "control" => vec!["model"],
        // Looks at what the daemon stands on, with or without one.
        "doctor" => below("actors"),
        "cli" => [below("net"), vec!["config", "control", "doctor"]].concat(),
        "app" => below("cli"),
        part => below(part),
    }
}

/// No file may be longer; a longer one has more than one job.
const MAX_LINES: usize = 450;

/// Calls that read time; only `clock` may.
const TIME: [&str; 3] = ["Instant::now", "SystemTime::now", "Timestamp::now"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All `.rs` files of the library, as (module path, file).
fn modules() -> Vec<(String, PathBuf)> {
    fn walk(dir: &Path, prefix: &str, found: &mut Vec<(String, PathBuf)>) {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let join = |part: &str| if prefix.is_empty() { part.to_owned() } else { format!("{prefix}::{part}") };
            if path.is_dir() {
                walk(&path, &join(&name), found);
            } else if let Some(stem) = name.strip_suffix(".rs") {
                found.push((if stem == "mod" { prefix.to_owned() } else { join(stem) }, path));
            }
        }
    }
    let mut found = Vec::new();
    walk(&source(), "", &mut found);
    found.sort();
    assert!(found.len() > 20, "the source was not found");
    found
}

/// The paths into this crate that a file names, as `model::time::Mono`: in `use` and anywhere else.
#[derive(Default)]
struct Paths {
    module: Vec<String>,
    found: BTreeSet<String>,
}

impl Paths {
    fn of(module: &str, text: &str) -> BTreeSet<String> {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        let mut paths = Paths { module, ..Paths::default() };
        paths.visit_file(&syn::parse_file(text).unwrap());
        paths.found
    }

    /// Notes `crate::a::b`, `skypunch::a::b` and `super::…` as `a::b`.
    fn note(&mut self, segments: &[String]) {
        let absolute = match segments.first().map(String::as_str) {
            Some("crate" | "skypunch") => segments[1..].to_vec(),
            Some("super") => {
                let up = segments.iter().take_while(|s| *s == "super").count();
                let keep = self.module.len().saturating_sub(up);
                [&self.module[..keep], &segments[up..]].concat()
            }
            _ => return,
        };
        self.found.insert(absolute.join("::"));
    }

    fn use_tree(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        let depth = before.len();
        match tree {
            syn::UseTree::Path(p) => {
                before.push(p.ident.to_string());
                self.use_tree(&p.tree, before);
            }
            syn::UseTree::Name(n) => {
                before.push(n.ident.to_string());
                self.note(before);
            }
            syn::UseTree::Rename(r) => {
                before.push(r.ident.to_string());
                self.note(before);
            }
            syn::UseTree::Glob(_) => self.note(before),
            syn::UseTree::Group(g) => {
                for item in &g.items {
                    self.use_tree(item, before);
                }
            }
        }
        before.truncate(depth);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.note(&path.segments.iter().map(|s| s.ident.to_string()).collect::<Vec<_>>());
        syn::visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // `pub(super)` and `pub(in crate::a)` use nothing.
    }

    /// Paths in macros stand in plain tokens: joined without spaces, whatever follows `crate::` is one.
    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let text = item.tokens.to_string().replace(' ', "");
        for (at, _) in text.match_indices("crate::") {
            let path: String =
                text[at..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
            self.note(&path.split("::").map(str::to_owned).collect::<Vec<_>>());
        }
        syn::visit::visit_macro(self, item);
    }

    /// A module within a file (its tests) is one level deeper for `super`. Tests may use what they like.
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test =
            item.attrs.iter().any(|a| matches!(&a.meta, syn::Meta::List(l) if l.tokens.to_string() == "test"));
        if is_test {
            return;
        }
        self.module.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.module.pop();
    }
}

/// The part that a path belongs to.
fn part_of(path: &str) -> Option<&'static str> {
    PARTS.into_iter().find(|part| path.split("::").next() == Some(part))
}

/// What a file uses and may not.
fn forbidden(module: &str, text: &str) -> Vec<String> {
    let Some(own) = part_of(module) else {
        return vec![format!("{module} belongs to no part in PARTS: say where it stands")];
    };
    let allowed = may_use(own);
    let used = Paths::of(module, text);
    let wrong = used.into_iter().filter(|path| part_of(path).is_some_and(|p| p != own && !allowed.contains(&p)));
    wrong.map(|path| format!("{module} uses {path}, but {own} may only use {allowed:?}")).collect()
}

#[test]
fn modules_use_only_what_stands_below_them() {
    let is_part = |m: &str| !m.is_empty() && m != "lib" && !m.starts_with("bin");
    let wrong: Vec<String> = modules()
        .iter()
        .filter(|(module, _)| is_part(module) && !module.ends_with("::tests"))
        .flat_map(|(module, file)| forbidden(module, &std::fs::read_to_string(file).unwrap()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_check_itself_finds_wrong_uses_and_lets_right_ones_pass() {
    for (module, text) in [
        ("model::state", "use crate::store::rows::Row;"),
        ("model::state", "use crate::{secret::Secret, clock::Clock};"),
        ("model::state", "use super::super::store::Db;"),
        ("model", "fn f() -> crate::net::Dial { todo!() }"),
        ("model", "fn f() { crate::net::dial(); }"),
        ("model", "fn f() { println!(\"{}\", crate::net::dial()); }"),
        ("store::rows", "mod inner { use crate::probe::http; }"),
        ("store", "pub use skypunch::actors as a;"),
        ("control::api", "use crate::store::Db;"),
        ("cli::tables", "use crate::actors::*;"),
        ("actors::control", "use crate::app::App;"),
        ("brand_new", "use crate::model;"),
    ] {
        assert_eq!(forbidden(module, text).len(), 1, "{module}: {text}");
    }
    for (module, text) in [
        ("model::state", "use super::reason::Reason; use crate::secret::Secret; pub(super) fn f() {}"),
        ("model::state", "#[cfg(test)] mod tests { use crate::store::Db; }"),
        ("net::dial", "use crate::clock::Clock; fn f() { super::tls::g() }"),
        ("actors::target", "use crate::{board::Board, probe, model::state::step};"),
        ("actors::control::targets", "use crate::control::api; use super::super::supervisor;"),
        ("cli", "use crate::control::client::Client;"),
    ] {
        assert_eq!(forbidden(module, text), Vec::<String>::new(), "{module}: {text}");
    }
}

#[test]
fn no_file_is_long() {
    let lines = |file: &Path| std::fs::read_to_string(file).unwrap().lines().count();
    let long: Vec<String> = modules()
        .iter()
        .map(|(_, file)| (lines(file), file))
        .filter(|(n, _)| *n > MAX_LINES)
        .map(|(n, file)| format!("{}: {n} lines, at most {MAX_LINES}: split it by responsibility", file.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Places that read time, as `line: call`.
fn reads_time(text: &str) -> Vec<String> {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let lines = text.lines().enumerate().map(|(i, l)| (i + 1, code(l)));
    lines.flat_map(|(n, l)| TIME.iter().filter(move |t| l.contains(*t)).map(move |t| format!("{n}: {t}"))).collect()
}

#[test]
fn only_the_clock_reads_time() {
    assert_eq!(reads_time("// Instant::now\nlet t = std::time::Instant::now();"), ["2: Instant::now"]);
    for (module, file) in modules() {
        let found = reads_time(&std::fs::read_to_string(&file).unwrap());
        assert_eq!(!found.is_empty(), module == "clock", "{}: {found:?}", file.display());
    }
}

#[test]
fn the_library_s_map_names_every_part() {
    let text = std::fs::read_to_string(source().join("lib.rs")).unwrap();
    let declared: BTreeSet<String> = syn::parse_file(&text)
        .unwrap()
        .items
        .iter()
        .filter_map(|item| match item {
            syn::Item::Mod(m) => Some(m.ident.to_string()),
            _ => None,
        })
        .collect();
    let top = |m: &str| !m.is_empty() && m != "lib" && !m.starts_with("bin");
    let present: BTreeSet<String> =
        modules().iter().filter(|(m, _)| top(m)).map(|(m, _)| m.split("::").next().unwrap().to_owned()).collect();
    assert_eq!(declared, present);
    let docs: String = text.lines().filter(|l| l.starts_with("//!")).collect();
    for part in present {
        assert!(docs.contains(&part), "the map in lib.rs does not name `{part}`");
    }
}
