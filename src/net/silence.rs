//! Is it one name that nobody answers for, or does no name server answer at all? Pure.
//!
//! A deadline that is shorter than the resolver's patience cuts every question off when the name servers are gone.
//! One silent name is the trouble of its zone; several at once, and no answer to any, is ours.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::time::Mono;

/// What was found so counts for that much longer: for a name that was asked at the very end of it, too.
const LINGERS: Duration = Duration::from_secs(1);

/// Who waits for an answer, and who waited in vain.
#[derive(Debug, Default)]
pub struct Silence {
    last_answer: Option<Mono>,
    /// Names with an open question: since when (the oldest), and how many ask.
    open: HashMap<Box<str>, (Mono, usize)>,
    /// The last two different names that got none: asked when, given up when.
    in_vain: [Option<(Box<str>, Mono, Mono)>; 2],
    /// When nobody was last found to get an answer.
    general: Option<Mono>,
}

impl Silence {
    /// A question goes out.
    pub fn asked(&mut self, name: &str, now: Mono) {
        self.open.entry(name.into()).or_insert((now, 0)).1 += 1;
    }

    /// Its answer has come, or it was given up.
    pub fn ended(&mut self, name: &str, since: Mono, now: Mono, answered: bool) {
        if let Some((_, count)) = self.open.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(name);
            }
        }
        if answered {
            self.last_answer = Some(now);
        } else {
            let [first, _] = &mut self.in_vain;
            if first.as_ref().is_some_and(|(n, ..)| **n != *name) {
                self.in_vain.swap(0, 1);
            }
            self.in_vain[0] = Some((name.into(), since, now));
        }
    }

    /// Whether a question for `name` that waited for `waited` until now got no answer because nobody gets any: there
    /// was none for half of that time, and another name has waited for at least half as long at the same time. Or it was
    /// found so for another since a second before this one was asked: name servers that are back have lost what they were
    /// asked before.
    #[must_use]
    pub fn is_general(&mut self, name: &str, waited: Duration, now: Mono) -> bool {
        let asked = now - waited;
        let long = waited / 2;
        let others_open = self.open.iter().any(|(n, (since, _))| **n != *name && now.since(*since) >= long);
        let others_in_vain = self
            .in_vain
            .iter()
            .flatten()
            .any(|(n, since, until)| **n != *name && *until >= asked && until.since(*since) >= long);
        if self.last_answer.is_none_or(|at| now.since(at) >= long) && (others_open || others_in_vain) {
            self.general = Some(now);
            return true;
        }
        self.general.is_some_and(|at| at + LINGERS >= asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Mono {
        Mono(n * 1000)
    }
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_silent_name_is_its_own_trouble_however_many_ask() {
        let mut s = Silence::default();
        s.asked("a", ms(0));
        s.asked("a", ms(10));
        assert!(!s.is_general("a", SECOND, ms(1000)));
        s.ended("a", ms(0), ms(1000), false);
        assert!(!s.is_general("a", SECOND, ms(1010)));
    }

    #[test]
    fn two_silent_names_are_ours_unless_somebody_got_an_answer() {
        let mut s = Silence::default();
        s.asked("a", ms(0));
        s.asked("b", ms(0));
        assert!(s.is_general("a", SECOND, ms(1000)), "b is still open");
        s.ended("a", ms(0), ms(1000), false);
        s.ended("b", ms(0), ms(1001), false);
        assert!(s.is_general("b", SECOND, ms(1001)), "a was given up just before");
        s.asked("c", ms(1002));
        s.ended("c", ms(1002), ms(1003), true);
        assert!(s.is_general("b", SECOND, ms(1500)), "it was asked while nobody got an answer");
        assert!(s.is_general("b", Duration::from_millis(490), ms(1500)), "or a moment later");
        assert!(!s.is_general("b", Duration::from_millis(490), ms(2492)), "asked a second later");
    }

    #[test]
    fn a_question_that_was_asked_just_now_proves_nothing() {
        let mut s = Silence::default();
        s.asked("a", ms(0));
        s.asked("b", ms(990));
        assert!(!s.is_general("a", SECOND, ms(1000)));
    }
}
