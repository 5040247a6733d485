//! The rights that a daemon needs in its MySQL or MariaDB database.

/// To work every day.
pub const DAILY: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// To make the tables, and to change them at an upgrade.
pub const SCHEMA: [&str; 7] = ["CREATE", "ALTER", "DROP", "INDEX", "REFERENCES", "CREATE VIEW", "SHOW VIEW"];

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    DAILY.into_iter().chain(SCHEMA)
}

/// Those that are not among the granted ones, as GRANT names them.
pub(super) fn missing<'a>(granted: impl Iterator<Item = &'a str>) -> Vec<&'static str> {
    let granted: Vec<String> = granted.map(str::to_ascii_uppercase).collect();
    all().filter(|right| !granted.iter().any(|g| g == right)).collect()
}

/// `user@host`, as the server names an account, in the quotes that `information_schema` and GRANT write.
pub(super) fn grantee(account: &str) -> String {
    let (user, host) = account.rsplit_once('@').unwrap_or((account, "%"));
    format!("'{user}'@'{host}'")
}

/// The statement that grants what is missing.
#[must_use]
pub fn statement(missing: &[&str], grantee: &str, database: &str) -> String {
    format!("GRANT {} ON `{}`.* TO {grantee}", missing.join(", "), database.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_as_grant_does() {
        assert_eq!(missing(all()), [""; 0]);
        let some = missing(all().filter(|r| !matches!(*r, "ALTER" | "DELETE")));
        assert_eq!(some, ["DELETE", "ALTER"]);
        assert_eq!(missing(["usage"].into_iter()).len(), 11);
        assert_eq!(
            statement(&some, &grantee("sky@punch@localhost"), "sky`punch"),
            "GRANT DELETE, ALTER ON `sky``punch`.* TO 'sky@punch'@'localhost'"
        );
    }
}
