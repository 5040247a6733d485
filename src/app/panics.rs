//! What is said of a panic: where it was, and nothing of what it was about. The words of a panic may show any text that was
//! at hand, a secret or what a server has sent among them; only those that stand in the source are harmless.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write as _;
use std::panic::PanicHookInfo;

use slog::{Logger, error};

/// Has every panic of the process told in the log; a backtrace, where `RUST_BACKTRACE` asks for one, on standard error.
pub(super) fn tell(log: Logger) {
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        let at = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let thread = std::thread::current().name().unwrap_or("without a name").to_owned();
        error!(log, "skypunch panicked, which is a fault of skypunch: please report the place";
            "place" => at, "thread" => thread, "words" => words(info.payload()));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            // Where nobody reads it there is nobody to tell.
            let _unread = writeln!(std::io::stderr().lock(), "{trace}");
        }
    }));
}

/// The words of a panic, if they are the source's own.
fn words(payload: &(dyn Any + Send)) -> &'static str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("not shown: they were made at run time, and may hold a secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a panic of this leaves behind.
    fn payload(panics: impl FnOnce() + std::panic::UnwindSafe) -> Box<dyn Any + Send> {
        std::panic::catch_unwind(panics).unwrap_err()
    }

    #[test]
    fn words_made_at_run_time_are_not_shown() {
        let secret = "hünter2".to_owned();
        assert_eq!(words(&*payload(|| panic!("as the source says"))), "as the source says");
        let text = secret.clone();
        // It shows the whole text.
        let cut = payload(move || drop(text[..2].to_owned()));
        assert!(cut.downcast_ref::<String>().is_some_and(|s| s.contains("hünter2")), "else there were nothing to hide");
        for made in [cut, payload(move || panic!("no {secret}")), payload(|| std::panic::panic_any(7))] {
            assert!(words(&*made).starts_with("not shown"));
        }
    }
}
