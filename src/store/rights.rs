//! What the user must be allowed to do in MySQL, and what to tell an administrator when something is missing.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Db;
use super::connect::Mysql;
use super::error::StoreError;
use super::grants;

#[derive(QueryableByName)]
struct Right {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Who {
    #[diesel(sql_type = Text)]
    grantee: String,
    #[diesel(sql_type = Text)]
    name: String,
}

/// The user as the tables of rights write it.
const GRANTEE: &str = "CONCAT('''', SUBSTRING(CURRENT_USER(), 1, CHAR_LENGTH(CURRENT_USER()) - \
    CHAR_LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)) - 1), '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')";

/// Refuses before any table is made, where it is certain that a right is missing. Rights that come by a role or for single
/// tables cannot be added up here: then the statement that needs one tells.
pub(super) fn check(c: &mut Mysql) -> Result<(), StoreError> {
    let uncertain = format!(
        "SELECT CAST((SELECT COUNT(*) FROM information_schema.applicable_roles) + (SELECT COUNT(*) FROM \
         information_schema.table_privileges WHERE grantee = {GRANTEE} AND table_schema = DATABASE()) AS SIGNED) AS n"
    );
    match diesel::sql_query(uncertain).get_result::<Count>(c) {
        Ok(Count { n: 0 }) => {}
        // A server without roles has no such table.
        Ok(_) | Err(_) => return Ok(()),
    }
    let query = format!(
        "SELECT CAST(privilege_type AS CHAR) AS name FROM information_schema.user_privileges WHERE grantee = {GRANTEE} \
         UNION SELECT CAST(privilege_type AS CHAR) FROM information_schema.schema_privileges \
         WHERE grantee = {GRANTEE} AND DATABASE() LIKE table_schema"
    );
    let have: Vec<Right> = diesel::sql_query(query).load(c)?;
    let missing = grants::missing(have.iter().map(|r| r.name.as_str()));
    if missing.is_empty() {
        return Ok(());
    }
    let who = format!("SELECT CAST({GRANTEE} AS CHAR) AS grantee, CAST(DATABASE() AS CHAR) AS name");
    let who: Who = diesel::sql_query(who).get_result(c)?;
    let missing = missing.join(", ");
    Err(StoreError::Denied(format!(
        "{} may not {missing} in {}{RUN}{}",
        who.grantee,
        who.name,
        grant(&missing, Some(&who.name), &who.grantee)
    )))
}

fn everything() -> String {
    grants::all().collect::<Vec<_>>().join(", ")
}

fn grant(rights: &str, database: Option<&str>, grantee: &str) -> String {
    format!("GRANT {rights} ON {} TO {grantee}", database.map_or(UNNAMED.into(), |d| format!("`{d}`.*")))
}

/// Where the server does not say which database it was.
const UNNAMED: &str = "DATABASE.*";

/// The same with the database named, and the account as the server's own tables have it: `'u'@'%'`, not the host from
/// which it came.
pub(super) fn named(text: &str, database: Option<&str>, account: Option<&str>) -> String {
    let Some((said, statement)) = text.split_once(RUN) else { return text.to_owned() };
    let statement = database.map_or_else(
        || statement.to_owned(),
        |d| statement.replace(&format!(" ON {UNNAMED} "), &format!(" ON `{d}`.* ")),
    );
    let to = statement.rsplit_once(" TO ").map(|(grant, user)| (grant.to_owned(), account.unwrap_or(user).to_owned()));
    let statement = to.map_or(statement, |(grant, user)| format!("{grant} TO {user}"));
    format!("{said}{RUN}{statement}")
}

/// Before a statement.
const RUN: &str = "; let an administrator run: ";

/// The account that is in force, where the server says.
pub(super) fn account(db: &mut Db) -> Option<String> {
    let Db::Mysql(c, _) = db else { return None };
    let query = format!("SELECT CAST({GRANTEE} AS CHAR) AS name");
    diesel::sql_query(query).get_result::<Right>(&mut **c).ok().map(|r| r.name)
}

/// The server's words with what an administrator has to run: `X command denied to user 'u'@'h' for table …`,
/// `Access denied for user 'u'@'h' to database 'd'`.
pub(super) fn with_mend(text: &str) -> String {
    let after = |words: &str| text.split_once(words).map(|(_, rest)| rest);
    let grantee =
        |rest: &str| rest.split(" for ").next().unwrap_or(rest).split(" to ").next().unwrap_or(rest).trim().to_owned();
    let statement = if let Some(rest) = after(" command denied to user ") {
        let right = text.split(" command denied").next().unwrap_or_default();
        let rights = if grants::all().any(|r| r == right) { right.to_owned() } else { everything() };
        // MariaDB names the database too: `d`.`t`.
        let database = rest.split_once(" for table `").and_then(|(_, t)| t.split_once("`.`")).map(|(d, _)| d);
        grant(&rights, database, &grantee(rest))
    } else if let Some(rest) = after("Access denied for user ") {
        let database = rest.split_once(" to database '").map(|(_, d)| d.trim_end_matches('\''));
        grant(&everything(), database, &grantee(rest))
    } else {
        return format!("{text}; mend the rights of the user in database.url");
    };
    format!("{text}{RUN}{statement}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_that_mends_is_named() {
        for (text, statement) in [
            (
                "INSERT command denied to user 'sky'@'localhost' for table `d`.`lease`",
                "GRANT INSERT ON `d`.* TO 'sky'@'localhost'",
            ),
            (
                "CREATE VIEW command denied to user 'sky'@'%' for table 'targets_overview'",
                "GRANT CREATE VIEW ON DATABASE.* TO 'sky'@'%'",
            ),
            (
                "Access denied for user 'sky'@'%' to database 'd'",
                "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, CREATE VIEW, SHOW VIEW \
                 ON `d`.* TO 'sky'@'%'",
            ),
        ] {
            assert_eq!(with_mend(text), format!("{text}; let an administrator run: {statement}"));
        }
        let denied = with_mend("DROP command denied to user 'a'@'b' for table 't'");
        for (account, to) in [(None, "'a'@'b'"), (Some("'a'@'%'"), "'a'@'%'")] {
            let named = named(&denied, Some("d"), account);
            assert!(named.ends_with(&format!("run: GRANT DROP ON `d`.* TO {to}")), "{named}");
        }
        assert!(with_mend("denied").ends_with("mend the rights of the user in database.url"));
    }
}
