use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::{LogLevel, LogResults};
use crate::model::definition::Definition;
use crate::model::outcome::Outcome;
use crate::model::reason::{Reason, Verdict};
use crate::model::target::Target;

fn settings(format: LogFormat, file: &Path) -> LogSettings {
    LogSettings { level: LogLevel::Info, format, file: Some(file.to_owned()), results: LogResults::All }
}

/// What `write` leaves in a log file of that format.
fn logged(format: LogFormat, write: impl FnOnce(&Logger)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("skypunch.log");
    let (logger, guard) = build(&settings(format, &file)).unwrap();
    write(&logger);
    drop(guard);
    std::fs::read_to_string(&file).unwrap()
}

fn target(name: &str, url: &str) -> Target {
    Definition { id: 1, name: name.into(), url: url.into(), ..Definition::default() }.validate().unwrap()
}

#[test]
fn a_result_has_the_line_of_skypunch_0_3() {
    let outcome = Outcome { latency_us: 12_345, ..Outcome::pass(200, "OK") };
    let text = logged(LogFormat::Compact, |log| {
        let target = target("HP Cloud Dot COM", "https://www.hpcloud.com");
        log_result(log, &target, Verdict::Pass, &outcome, Duration::from_micros(250), true);
        let failed = Outcome::not_passed(Reason::ConnectRefused, "nobody there");
        log_result(log, &target, Verdict::Fail, &failed, Duration::ZERO, true);
    });
    let lines: Vec<&str> = text.lines().collect();
    let (time, rest) = lines[0].split_at(24);
    assert_eq!(
        rest,
        "INFO [1] HP Cloud Dot COM               GET https://www.hpcloud.com PASS (OK) \
         latency_ms=12.345 status_code=200 lateness_ms=0.25"
    );
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    assert_eq!(shape, "9999-99-99 99:99:99,999 ");
    assert!(lines[1].contains(" ERROR [1] "), "{}", lines[1]);
    assert!(
        lines[1].ends_with("FAIL (nobody there) latency_ms=0 lateness_ms=0 reason=connect_refused"),
        "{}",
        lines[1]
    );
}

#[test]
fn the_root_of_a_host_is_written_as_people_do_and_other_paths_as_they_are() {
    let line = |url| result_line(&target("a", url), Verdict::Pass, &Outcome::pass(200, "OK"));
    assert!(line("http://h").contains(" GET http://h PASS"));
    assert!(line("http://h/p/").contains(" GET http://h/p/ PASS"));
    assert!(line("http://h/?q=/").contains(" GET http://h/?q=/ PASS"));
}

#[test]
fn no_control_character_reaches_the_log_in_any_format() {
    for format in [LogFormat::Terminal, LogFormat::Compact, LogFormat::Json] {
        let evil = "a\nb\x1b[31m\u{9b}\u{202e}\0";
        let text = logged(format, |log| {
            slog::info!(log.new(slog::o!("logger" => evil)), "told: {}", evil; "value" => evil, "shown" => %evil);
        });
        assert_eq!(text.matches('\n').count(), 1, "{format:?}: {text:?}");
        let bad = text.trim_end_matches('\n').chars().find(|c| c.is_control() || *c == '\u{202e}');
        assert_eq!(bad, None, "{format:?}: {text:?}");
        assert!(text.contains("told: a\\nb"), "{format:?}: {text:?}");
    }
}

#[test]
fn json_lines_are_json_and_keep_what_was_said() {
    let text = logged(LogFormat::Json, |log| {
        slog::warn!(log, "target \"{}\" changed\u{9b}\u{e0041}", "ä"; "latency_ms" => 1.5, "tags" => "a=b");
    });
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["msg"], "target \"ä\" changed\u{9b}\u{e0041}");
    assert!(text.contains("\\u009b\\udb40\\udc41"), "{text}");
    assert_eq!((&line["level"], &line["latency_ms"]), (&"WARNING".into(), &1.5.into()));
    assert!(line["ts"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn values_come_in_the_order_written_the_logger_s_first() {
    for (format, expected) in [
        (LogFormat::Compact, "said component=log target=7 one=1 two=\"2 2\"\n"),
        (LogFormat::Terminal, "said, two: 2 2, one: 1, target: 7, component: log\n"),
    ] {
        let text = logged(format, |log| {
            let log = log.new(slog::o!("component" => "log")).new(slog::o!("target" => 7));
            slog::info!(log, "said"; "one" => 1, "two" => "2 2");
        });
        assert!(text.ends_with(expected), "{text:?} should end with {expected:?}");
    }
}

#[test]
fn colour_is_for_level_and_keys_and_always_ends() {
    let dir = tempfile::tempdir().unwrap();
    let line = |colour| {
        let file = dir.path().join(format!("{colour}"));
        let sink = Arc::new(Sink::open(Some(file.clone()), Arc::default()).unwrap());
        let lines = format::Lines::terminal(sink, colour);
        let message = format_args!("odd \x1b[35m");
        let values = slog::o!("key" => "va\x1b[0mlue").into();
        assert!(lines.log(&slog::record!(Level::Error, "", &message, slog::b!()), &values));
        std::fs::read_to_string(file).unwrap().split_off("2026-11-22 16:10:57,053".len())
    };
    let plain = line(false);
    assert_eq!(plain, " ERROR   odd \\u{1b}[35m, key: va\\u{1b}[0mlue\n");
    let coloured = line(true);
    assert_eq!(coloured, plain.replace("ERROR  ", "\x1b[31mERROR  \x1b[0m").replace("key", "\x1b[2mkey\x1b[0m"));
}

#[test]
fn a_result_in_json_names_its_target() {
    let text = logged(LogFormat::Json, |log| {
        let outcome = Outcome::pass(200, "OK");
        log_result(log, &target("shop", "http://h"), Verdict::Pass, &outcome, Duration::ZERO, true);
    });
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["target"], &line["name"], &line["status_code"]), (&1.into(), &"shop".into(), &200.into()));
}

#[test]
fn settings_change_while_it_runs_and_wrong_ones_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let (logger, guard) = build(&settings(LogFormat::Compact, &first)).unwrap();
    slog::debug!(logger, "not yet");
    let missing = LogSettings { level: LogLevel::Trace, ..settings(LogFormat::Json, &dir.path().join("none/log")) };
    assert!(matches!(guard.change(&missing), Err(LogError::Open { .. })));
    slog::debug!(logger, "still not");
    slog::info!(logger, "one");
    // The worker takes the new file before its next line, so the first line has to be written by then.
    let limit = crate::clock::Clock::system();
    let start = limit.now();
    while std::fs::read_to_string(&first).unwrap().is_empty() {
        assert!(limit.now().since(start) < Duration::from_secs(10));
        std::thread::yield_now();
    }
    let other = LogSettings { level: LogLevel::Debug, results: LogResults::None, ..settings(LogFormat::Json, &second) };
    guard.change(&other).unwrap();
    assert_eq!((guard.live().results(), guard.live().has_fields()), (LogResults::None, true));
    slog::debug!(logger, "two");
    drop(guard);
    let (first, second) = (std::fs::read_to_string(first).unwrap(), std::fs::read_to_string(second).unwrap());
    assert!(first.ends_with("INFO one\n") && first.lines().count() == 1, "{first}");
    assert!(second.contains(r#""msg":"two""#) && second.lines().count() == 1, "{second}");
}

#[test]
fn what_is_filtered_is_not_even_put_together() {
    use slog::Drain as _;
    let dir = tempfile::tempdir().unwrap();
    let quiet = LogSettings { level: LogLevel::Error, ..settings(LogFormat::Compact, &dir.path().join("log")) };
    let (logger, _guard) = build(&quiet).unwrap();
    assert!(!logger.is_enabled(Level::Warning) && logger.is_enabled(Level::Error));
}

#[test]
fn the_level_filters() {
    let text = logged(LogFormat::Compact, |log| {
        slog::debug!(log, "no");
        slog::info!(log, "yes");
    });
    assert!(text.contains("yes") && !text.contains("no"), "{text}");
}

#[test]
fn logrotate_moves_the_file_away_and_reopen_makes_a_new_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (file, old) = (dir.path().join("log"), dir.path().join("log.1"));
    std::fs::write(&file, "kept\n").unwrap();
    let (logger, guard) = build(&settings(LogFormat::Compact, &file)).unwrap();
    std::fs::rename(&file, &old).unwrap();
    guard.reopen().unwrap();
    slog::info!(logger, "after");
    drop(guard);
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "kept\n");
    assert!(std::fs::read_to_string(&file).unwrap().contains("after"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o137, 0, "not for others, nothing to run");
    assert!(matches!(build(&settings(LogFormat::Json, dir.path())), Err(LogError::Open { .. })));
}

#[test]
fn a_full_disk_stops_nothing_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (logger, guard) = build(&settings(LogFormat::Terminal, &dir.path().join("log"))).unwrap();
    guard.sink.divert(std::fs::File::options().write(true).open("/dev/full").unwrap());
    for _ in 0..10 {
        slog::info!(logger, "to nowhere");
    }
    let LogGuard { losses, _worker, .. } = guard;
    drop(_worker);
    assert_eq!(losses.unwritten.load(Ordering::Relaxed), 10);
}

#[test]
fn a_pipe_or_a_device_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for path in [pipe.as_path(), Path::new("/dev/null")] {
        let refused = build(&settings(LogFormat::Compact, path)).unwrap_err().to_string();
        assert!(refused.contains("is no regular file"), "{refused}");
    }
}

#[test]
fn a_full_channel_drops_counts_and_reports() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    let (logger, guard) = build_with_channel(&settings(LogFormat::Compact, &file), 4).unwrap();
    {
        // While the sink is held, the worker can take one record off the channel and no more.
        let _held = guard.sink.hold();
        for n in 0..100 {
            slog::info!(logger, "line {}", n);
        }
    }
    let (dropped, unwritten) = guard.lost();
    assert!((90..=96).contains(&dropped) && unwritten == 0, "{dropped} dropped, {unwritten} unwritten");
    drop(guard);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!("WARNING log lines were lost dropped={dropped} unwritten=0")), "{text}");
    assert_eq!(text.matches("INFO line ").count() as u64 + dropped, 100);
}

#[test]
fn libraries_that_log_to_the_facade_are_heard_from_warnings_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    let (logger, guard) = build(&settings(LogFormat::Compact, &file)).unwrap();
    assert!(bridge_libraries(&logger));
    assert!(!bridge_libraries(&logger), "the facade takes one receiver");
    log::warn!(target: "rustls::common", "certificate\nodd");
    log::info!(target: "actix", "chatter");
    drop(guard);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("WARNING certificate\\nodd library=rustls::common"), "{text}");
    assert!(!text.contains("chatter"));
}
