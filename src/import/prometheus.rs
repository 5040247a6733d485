//! Prometheus: the targets that blackbox_exporter is asked for, and files of `file_sd`.
//!
//! ```text
//!  prometheus.yml, scrape_configs with metrics_path /probe
//!    params.module ------------------------> module of blackbox.yml (modules.rs): what is sent and expected
//!    static_configs, file_sd_configs ------> addresses and labels --each--> target; labels and the job become tags
//!  a file of file_sd alone: addresses and labels, probed as an unchanged module would
//! ```

use std::collections::BTreeMap;

use serde_json::Value;

use super::draft::{Found, TargetDraft};
use super::fields::{Fields, scalar};
use super::modules::{self, HttpModule, Module};
use super::words::duration_ms;
use crate::model::text::quoted;

/// What `file_sd_configs` of a configuration name: the files of a pattern, or why they cannot be read.
pub type ReadFiles<'a> = dyn FnMut(&str) -> Result<Vec<(String, Value)>, String> + 'a;

/// Times that hold for a job unless it says otherwise.
#[derive(Clone, Copy)]
struct Times {
    interval: i64,
    timeout: i64,
}

/// Prometheus' own defaults.
const DEFAULTS: Times = Times { interval: 60_000, timeout: 10_000 };

/// Targets of one job or file.
struct Job<'a> {
    name: Option<String>,
    module: Option<String>,
    modules: &'a BTreeMap<String, Module>,
    times: Times,
    /// What the job says of each of its targets.
    notes: Vec<String>,
    /// Its rules may change what is probed, in a way that is not known here.
    rewritten: bool,
}

/// Maps the jobs of a configuration that probe through blackbox_exporter.
///
/// # Errors
/// A sentence, when it holds no jobs.
pub fn map_config(
    file: Value,
    modules: &BTreeMap<String, Module>,
    read_files: &mut ReadFiles<'_>,
    found: &mut Found,
) -> Result<(), String> {
    let mut top = Fields::of(file, "");
    let mut times = DEFAULTS;
    if let Some(mut global) = top.below("global") {
        times = read_times(&mut global, times);
        global.skip(&["evaluation_interval", "external_labels", "rule_query_offset", "query_log_file"]);
        global.skip_prefixed(&["sample_", "label_", "target_", "body_", "keep_", "metric_", "scrape_"]);
        global.finish_into(&mut top);
    }
    let Some(Value::Array(jobs)) = top.take("scrape_configs") else {
        return Err(
            "holds no `scrape_configs:`: name Prometheus' own configuration, or use --from prometheus-file-sd".into()
        );
    };
    for job in jobs {
        map_job(job, modules, times, read_files, found);
    }
    top.no_counterpart(&[
        ("rule_files", "rules are Prometheus' own"),
        ("alerting", "write a notifier of type ALERTMANAGER"),
        ("remote_write", "results go to the database"),
        ("remote_read", "results are in the database"),
        ("storage", "the database is set by [database] in skypunch.toml"),
        ("tracing", "there is none"),
        ("runtime", "there is none"),
        ("otlp", "there is none"),
        ("scrape_config_files", "name those files too"),
    ]);
    top.finish();
    found.notes.append(&mut top.notes);
    Ok(())
}

/// Maps a file of `file_sd`: a list of groups of targets.
///
/// # Errors
/// A sentence, when it is none.
pub fn map_file_sd(
    file: Value,
    module: Option<&str>,
    modules: &BTreeMap<String, Module>,
    found: &mut Found,
) -> Result<(), String> {
    let Value::Array(groups) = file else {
        return Err("is no list of groups of targets (- targets: […], labels: {…})".into());
    };
    let module = module.map(str::to_owned);
    let job = Job { name: None, module, modules, times: DEFAULTS, notes: Vec::new(), rewritten: false };
    groups.into_iter().for_each(|group| map_group(group, &job, found));
    Ok(())
}

fn read_times(f: &mut Fields, default: Times) -> Times {
    let mut one = |key: &str, default: i64| {
        let Some(text) = f.word(key) else { return default };
        duration_ms(&text).filter(|ms| *ms > 0).unwrap_or_else(|| {
            f.note(format!("{key} {} is no duration: {} s", quoted(&text), default / 1000));
            default
        })
    };
    let interval = one("scrape_interval", default.interval);
    Times { interval, timeout: one("scrape_timeout", default.timeout).min(interval) }
}

fn map_job(
    value: Value,
    modules: &BTreeMap<String, Module>,
    times: Times,
    read_files: &mut ReadFiles<'_>,
    found: &mut Found,
) {
    let mut j = Fields::of(value, "");
    let name = j.word("job_name").unwrap_or_default();
    let title = format!("job {}", quoted(&name));
    let path = j.word("metrics_path").unwrap_or_else(|| "/metrics".into());
    let mut params = j.below("params").unwrap_or_default();
    if !path.ends_with("/probe") {
        found.leave(
            title,
            &format!("it reads metrics from {}: no probe of blackbox_exporter", quoted(&path)),
            Vec::new(),
        );
        return;
    }
    let module = params.texts("module").into_iter().next();
    let fixed = params.texts("target");
    params.skip(&["debug"]);
    params.finish_into(&mut j);
    let rewritten = relabelled(&mut j);
    let times = read_times(&mut j, times);
    let mut groups = j.list("static_configs");
    if !fixed.is_empty() {
        groups = vec![serde_json::json!({ "targets": fixed })];
    }
    for sd in j.list("file_sd_configs") {
        let mut sd = Fields::of(sd, "file_sd_configs.");
        sd.skip(&["refresh_interval"]);
        for pattern in sd.texts("files") {
            match read_files(&pattern) {
                Ok(files) => {
                    j.note(format!("{} files of {} are taken as they are now", files.len(), quoted(&pattern)));
                    for (shown, file) in files {
                        match file {
                            Value::Array(more) => groups.extend(more),
                            _ => j.note(format!("{shown} is no list of groups of targets: not brought over")),
                        }
                    }
                }
                Err(why) => j.note(format!("{why}: not brought over")),
            }
        }
        sd.finish_into(&mut j);
    }
    // How Prometheus reaches its exporter, and what it does with samples.
    j.skip(&[
        "scheme",
        "honor_labels",
        "honor_timestamps",
        "track_timestamps_staleness",
        "enable_compression",
        "fallback_scrape_protocol",
    ]);
    j.skip_prefixed(&[
        "sample_",
        "label_",
        "target_limit",
        "body_",
        "keep_",
        "metric_",
        "scrape_",
        "native_",
        "always_",
        "convert_",
    ]);
    j.skip(&[
        "basic_auth",
        "authorization",
        "bearer_token",
        "bearer_token_file",
        "tls_config",
        "oauth2",
        "proxy_url",
        "follow_redirects",
        "enable_http2",
        "http_headers",
    ]);
    j.finish();
    let left = std::mem::take(&mut j.notes);
    if groups.is_empty() {
        found.leave(title, "it lists no targets here", left);
        return;
    }
    found.notes.extend(left.into_iter().map(|n| format!("{title}: {n}")));
    let job = Job { name: Some(name), module, modules, times, notes: Vec::new(), rewritten };
    groups.into_iter().for_each(|group| map_group(group, &job, found));
}

/// `relabel_configs`: the three rules that every probe needs mean nothing here, others are told. Whether one of those may
/// change what is probed, or whether it is: any that does not just write a label that people see.
fn relabelled(j: &mut Fields) -> bool {
    let mut rewritten = false;
    for rule in j.list("relabel_configs") {
        let text = |key: &str| rule.get(key).and_then(scalar).unwrap_or_default();
        let from: Vec<String> = match rule.get("source_labels") {
            Some(Value::Array(all)) => all.iter().filter_map(scalar).collect(),
            _ => Vec::new(),
        };
        let to = text("target_label");
        let usual = match (from.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), to.as_str()) {
            (["__address__"], "__param_target") | (["__param_target"], "instance") => {
                !rule.get("regex").is_some_and(|r| r != "(.*)")
            }
            ([], "__address__") => true,
            (["module"], "__param_module") => true,
            _ => false,
        };
        if !usual {
            let action = text("action").to_ascii_lowercase();
            let replaces = action.is_empty() || action == "replace";
            rewritten |= !replaces || to.starts_with("__");
            j.note(format!(
                "a rule of relabel_configs (from {} to {}) has no counterpart: look at what it makes of the targets",
                quoted(&from.join(",")),
                quoted(&to)
            ));
        }
    }
    rewritten
}

fn map_group(group: Value, job: &Job<'_>, found: &mut Found) {
    let mut g = Fields::of(group, "");
    let (targets, labels) = (g.texts("targets"), g.pairs("labels"));
    g.finish();
    let mut module = job.module.clone();
    let (mut times, mut tags, mut notes) = (job.times, Vec::new(), job.notes.clone());
    notes.append(&mut g.notes);
    for (name, value) in labels {
        let ms = || duration_ms(&value).filter(|ms| *ms > 0);
        match name.as_str() {
            "__param_module" => module = Some(value),
            // As the usual rule of relabel_configs takes it.
            "module" if job.modules.contains_key(&value) => module = Some(value),
            "__scrape_interval__" => times.interval = ms().unwrap_or(times.interval),
            "__scrape_timeout__" => times.timeout = ms().unwrap_or(times.timeout),
            _ if name.starts_with("__") => notes.push(format!("the label {} has no counterpart", quoted(&name))),
            _ => tags.push(format!("{name}:{value}")),
        }
    }
    if targets.is_empty() {
        let title = job
            .name
            .as_ref()
            .map_or("a group of targets".into(), |n| format!("a group of targets of job {}", quoted(n)));
        found.leave(title, "it lists no targets", notes);
        return;
    }
    if targets.len() > 1 {
        // Said once, with the first of them.
        notes.iter_mut().for_each(|note| *note = format!("its group of {} targets: {note}", targets.len()));
    }
    for address in targets {
        let http = match module.as_deref().map(|name| (name, job.modules.get(name))) {
            None => modules::plain(),
            Some((_, Some(Module::Http(http)))) => (**http).clone(),
            Some((name, Some(Module::Other(prober)))) => {
                let title = format!("target {} (module {}, {})", quoted(&address), quoted(name), quoted(prober));
                found.leave(title, "skypunch watches HTTP and HTTPS only", std::mem::take(&mut notes));
                continue;
            }
            Some((name, None)) => {
                let mut plain = modules::plain();
                plain.template.note(format!("its module {} is in no file that --modules named", quoted(name)));
                plain.template.disable("what it sends and expects is not known");
                plain
            }
        };
        let mut t = target(&address, http, times);
        if job.rewritten {
            t.disable("a rule of relabel_configs may change what is probed");
        }
        t.apart.clone_from(&job.name);
        job.name.iter().for_each(|name| t.add_tag(name));
        tags.iter().for_each(|word| t.add_tag(word));
        t.notes.append(&mut notes);
        found.targets.push(t);
    }
}

fn target(address: &str, module: HttpModule, times: Times) -> TargetDraft {
    let mut t = module.template;
    t.definition.name = address.to_owned();
    // As blackbox_exporter does.
    let has_scheme = ["http://", "https://"].iter().any(|s| address.to_ascii_lowercase().starts_with(s));
    t.set_url(&if has_scheme { address.to_owned() } else { format!("http://{address}") });
    let timeout = module.timeout_ms.map_or(times.timeout, |own| own.min(times.timeout));
    t.set_times(times.interval, timeout);
    t
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn none(pattern: &str) -> Result<Vec<(String, Value)>, String> {
        Err(format!("{pattern} cannot be read"))
    }

    #[test]
    fn jobs_of_probes_become_targets_and_others_are_told() {
        let mut modules_of = BTreeMap::new();
        let file = json!({"modules": {"http_2xx": {"prober": "http", "timeout": "5s"}, "icmp": {"prober": "icmp"}}});
        modules::read(file, &mut modules_of, &mut Vec::new()).unwrap();
        let config = json!({"global": {"scrape_interval": "15s"}, "scrape_configs": [
            {"job_name": "node", "static_configs": [{"targets": ["localhost:9100"]}]},
            {"job_name": "web", "metrics_path": "/probe", "params": {"module": ["http_2xx"]}, "scrape_timeout": "3s",
             "static_configs": [{"targets": ["https://a/", "b:8080"], "labels": {"env": "prod"}}],
             "file_sd_configs": [{"files": ["x/*.json"]}],
             "relabel_configs": [{"source_labels": ["__address__"], "target_label": "__param_target"},
                {"source_labels": ["__param_target"], "target_label": "instance"},
                {"target_label": "__address__", "replacement": "127.0.0.1:9115"},
                {"source_labels": ["env"], "regex": "test", "action": "drop"}]},
            {"job_name": "ping", "metrics_path": "/probe", "params": {"module": ["icmp"]}, "static_configs": [{"targets": ["c"]}]},
            {"job_name": "lost", "metrics_path": "/probe", "params": {"module": ["gone"]}, "static_configs": [{"targets": ["d"]}]},
            {"job_name": "k8s", "metrics_path": "/probe", "kubernetes_sd_configs": [{"role": "ingress"}]}]});
        let mut found = Found::default();
        map_config(config, &modules_of, &mut none, &mut found).unwrap();
        let d: Vec<_> = found.targets.iter().map(|t| &t.definition).collect();
        assert_eq!(d.len(), 3);
        assert_eq!(
            (d[0].frequency_ms, d[0].timeout_ms, d[0].tags.as_deref()),
            (15_000, Some(3000), Some("web,env:prod"))
        );
        assert_eq!((d[1].url.as_str(), d[1].name.as_str()), ("http://b:8080", "b:8080"));
        assert!(!d[0].enabled && !d[2].enabled, "a rule drops some of them; its module is not known");
        let text = found.write("prometheus.yml");
        for part in [
            "job `node`: not brought over",
            "x/*.json cannot be read: not brought over",
            "`c` (module `icmp`, `icmp`)",
            "(from `env` to ``)",
            "kubernetes_sd_configs has no counterpart",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn file_sd_alone() {
        let mut found = Found::default();
        let groups =
            json!([{"targets": ["a", "https://b/"], "labels": {"job": "x", "__meta": "y"}}, {"targets": []}, 3]);
        map_file_sd(groups, None, &BTreeMap::new(), &mut found).unwrap();
        assert_eq!((found.targets.len(), found.left.len()), (2, 2));
        let notes: Vec<&String> = found.targets.iter().flat_map(|t| &t.notes).collect();
        assert_eq!(notes, ["its group of 2 targets: the label `__meta` has no counterpart"], "once");
        assert!(map_file_sd(json!({}), None, &BTreeMap::new(), &mut found).unwrap_err().contains("no list of groups"));
    }
}
