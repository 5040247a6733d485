//! Who goes first where the processors do not suffice: probes.
//!
//! ```text
//!  arbiters of targets, control    the priority that the daemon was given
//!  databases, notifier             behind it: about a tenth of the share, never nothing
//! ```
//!
//! So a storm of transitions, all of which are written and told at once, does not make probes late.

use std::cell::Cell;

/// So much nicer than the daemon.
const BEHIND: i32 = 10;

thread_local! {
    static IS_BEHIND: Cell<bool> = const { Cell::new(false) };
}

/// Puts the calling thread behind those that probe, for the rest of its life. On Linux priorities belong to threads; to
/// be nicer takes no right.
pub fn behind_probes() {
    if IS_BEHIND.replace(true) {
        return;
    }
    // Where it is not allowed all goes on as before, at equal priority.
    let _kept = rustix::process::nice(BEHIND);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_that_asks_is_nicer_once_and_no_other_is() {
        let of = || rustix::process::getpriority_process(None).unwrap();
        let before = of();
        let inside = std::thread::spawn(move || {
            behind_probes();
            behind_probes();
            of()
        });
        assert_eq!(inside.join().unwrap(), (before + BEHIND).min(19));
        assert_eq!(of(), before);
    }
}
