//! A row of the old `notifiers`.

use super::row::{Look, OldRow};
use super::target::Names;
use super::{BroughtNotifier, Fate};
use crate::model::notifier::{NotifierDefinition, SMTP, TypeCheck};
use crate::model::params;

/// What 0.3.0 used.
const KNOWN: [&str; 3] = ["user", "password", "server"];

/// The notifier; `None` when it is left out.
pub(super) fn bring(
    row: &OldRow,
    names: &mut Names,
    types: &TypeCheck,
    seen: &mut Look<'_>,
) -> Option<BroughtNotifier> {
    if !row.text("type").trim().eq_ignore_ascii_case(SMTP) {
        seen.note(
            "type",
            Fate::LeftOut,
            "is not SMTP, which is all that 0.3.0 knew: see `skypunchctl notifiers types`",
        );
        return None;
    }
    let mut d = NotifierDefinition {
        name: names.give("0", row, seen),
        kind: SMTP.into(),
        address: row.text("address").trim().to_owned(),
        enabled: seen.enabled(),
        ..NotifierDefinition::default()
    };
    const MEND: &str = "mend the row and import again, or `skypunchctl add notifier --type SMTP --params -`";
    match params::parse(row.text("params")) {
        Err(e) => {
            seen.secret("params", Fate::LeftOut, format!("{e}; {MEND}"));
            return None;
        }
        Ok(all) => {
            let extra = all.iter().enumerate().filter(|(_, (name, _))| !KNOWN.contains(&name.as_str()));
            let extra: Vec<String> = extra.map(|(i, (name, _))| params::shown(name, i + 1)).collect();
            if !extra.is_empty() {
                seen.secret(
                    "params",
                    Fate::Brought,
                    format!("hold {}, which 0.3.0 did not use: left out", extra.join(", ")),
                );
            }
            let missing = KNOWN.iter().filter(|k| !all.iter().any(|(name, v)| name == *k && !v.expose().is_empty()));
            let missing: Vec<&str> = missing.copied().collect();
            if !missing.is_empty() {
                let why = format!("lack {}, and 0.3.0 sent nothing without: {MEND}", missing.join(", "));
                seen.secret("params", Fate::LeftOut, why);
                return None;
            }
            let kept = all.iter().filter(|(name, _)| KNOWN.contains(&name.as_str()));
            d.params = Some(params::write(kept.map(|(name, value)| (name.as_str(), value.expose()))));
        }
    }
    if let Err(problems) = d.validate(types) {
        for problem in problems {
            let why = format!("{}; {MEND}", problem.message);
            match problem.field.as_str() {
                "address" => seen.note("address", Fate::LeftOut, why),
                _ => seen.secret("params", Fate::LeftOut, why),
            }
        }
        return None;
    }
    let (pass_count, fail_count) = (seen.count("pass_count"), seen.count("fail_count"));
    Some(BroughtNotifier { old_id: row.id(), definition: d, pass_count, fail_count })
}

#[cfg(test)]
mod tests {
    use super::super::tests::notifier;
    use super::*;

    #[test]
    fn a_notifier_comes_over_with_its_counters_or_says_why_not() {
        let (n, told) = notifier(&[]);
        let n = n.unwrap();
        assert_eq!(
            (n.definition.address.as_str(), n.pass_count, n.fail_count, told.len()),
            ("ops@example.com", 12, 3, 0)
        );
        assert_eq!(n.definition.params.as_ref().unwrap().expose(), "user=u,password=hunter2,server=smtp.example.com");
        for (columns, fate, part) in [
            (vec![("params", "user=u,password=hunter2")], Fate::LeftOut, "lack server"),
            (vec![("params", "hunter2")], Fate::LeftOut, "params (not shown): left out: part 1 has no `=`"),
            (vec![("params", "")], Fate::LeftOut, "lack user, password, server"),
            (vec![("params", "user=u,password=hunter2,server=s,port=25")], Fate::Brought, "hold `port`"),
            (vec![("type", "SMS")], Fate::LeftOut, "type `SMS`"),
            (vec![("address", "")], Fate::LeftOut, "address ``: left out: is empty"),
            (vec![("enabled", "")], Fate::Disabled, "neither 1 nor 0"),
        ] {
            let (n, told) = notifier(&columns);
            let told: Vec<String> = told.iter().filter(|a| a.fate == fate).map(ToString::to_string).collect();
            assert!(told.iter().any(|a| a.contains(part)), "{columns:?}: {told:?}");
            assert!(!told.concat().contains("hunter2"), "{told:?}");
            assert_eq!(n.is_none(), fate == Fate::LeftOut, "{columns:?}");
        }
    }
}
