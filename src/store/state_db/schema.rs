//! The tables that only state.db has; `target_status` and `incidents` are those of the main database.

use crate::store::schema::{incidents, target_status};

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
        facts -> Text,
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

diesel::table! {
    /// The last known notifiers, as JSON.
    notifiers (id) {
        id -> BigInt,
        definition -> Text,
    }
}

diesel::table! {
    /// The last known credentials, as JSON.
    credentials (id) {
        id -> BigInt,
        definition -> Text,
    }
}

diesel::table! {
    /// Notices.
    outbox (id) {
        id -> BigInt,
        notifier_id -> BigInt,
        incident_id -> BigInt,
        state -> Text,
        done -> Integer,
        finished_at -> Nullable<BigInt>,
        version -> BigInt,
        synced -> BigInt,
        body -> Text,
    }
}

diesel::table! {
    /// How each notifier is doing.
    notifier_status (notifier_id) {
        notifier_id -> BigInt,
        pass_count -> BigInt,
        fail_count -> BigInt,
        last_sent_at -> Nullable<BigInt>,
        last_failed_at -> Nullable<BigInt>,
        last_answer -> Nullable<Text>,
        version -> BigInt,
        synced -> BigInt,
    }
}

diesel::table! {
    /// One row: how far the outbox is.
    notify_cursor (id) {
        id -> Integer,
        event_id -> BigInt,
        mark -> Text,
    }
}

diesel::table! {
    /// What the rules keep beside the notices.
    kept (kind, id) {
        kind -> Text,
        id -> BigInt,
        body -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(incidents, events, outbox);
diesel::allow_tables_to_appear_in_same_query!(definitions, target_status);
