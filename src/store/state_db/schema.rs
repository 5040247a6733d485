//! The tables that only state.db has; `target_status` and `incidents` are those of the main database.

use crate::store::schema::target_status;

diesel::table! {
    /// The last known definitions, as JSON.
    definitions (id) {
        id -> BigInt,
        definition -> Text,
    }
}

diesel::table! {
    /// One row a transition.
    events (id) {
        id -> BigInt,
        incident_id -> BigInt,
        target_id -> BigInt,
        kind -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    /// Batches that the main database has not taken yet.
    spool (seq) {
        seq -> BigInt,
        writer -> BigInt,
        number -> BigInt,
        results -> BigInt,
        passes -> BigInt,
        bytes -> BigInt,
        body -> Binary,
    }
}

diesel::allow_tables_to_appear_in_same_query!(definitions, target_status);
