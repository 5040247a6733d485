//! The tables as diesel sees them, for both back ends. The generated `.._utc` and `node` columns are for people and
//! are left out.

diesel::table! {
    /// What the daemon knows of each target.
    target_status (target_id) {
        target_id -> BigInt,
        status -> Text,
        previous_status -> Text,
        status_description -> Text,
        reason -> Nullable<Text>,
        last_updated -> Nullable<BigInt>,
        pass_count -> BigInt,
        fail_count -> BigInt,
        unknown_count -> BigInt,
        missed_count -> BigInt,
        count200 -> BigInt,
        count300 -> BigInt,
        count400 -> BigInt,
        count500 -> BigInt,
        network_fails -> BigInt,
        repeated_fails -> BigInt,
        repeated_passes -> BigInt,
        last_latency_us -> Nullable<BigInt>,
        certificate_expires_at -> Nullable<BigInt>,
        incident_id -> Nullable<BigInt>,
        incident_started_at -> Nullable<BigInt>,
        conclusive_status -> Text,
        imported_count -> BigInt,
        pruned_count -> BigInt,
        thinned_count -> BigInt,
        writer -> BigInt,
        number -> BigInt,
    }
}

diesel::table! {
    /// One row a probe.
    results (id) {
        id -> BigInt,
        target_id -> BigInt,
        due_at -> BigInt,
        started_at -> BigInt,
        lateness_us -> BigInt,
        verdict -> Text,
        reason -> Nullable<Text>,
        description -> Nullable<Text>,
        status_code -> Nullable<BigInt>,
        latency_us -> BigInt,
        resolve_us -> Nullable<BigInt>,
        connect_us -> Nullable<BigInt>,
        tls_us -> Nullable<BigInt>,
        auth_us -> Nullable<BigInt>,
        first_byte_us -> Nullable<BigInt>,
        body_us -> Nullable<BigInt>,
        body_bytes -> BigInt,
        incident_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    /// From the transition to FAIL until the recovery.
    incidents (id) {
        id -> BigInt,
        subject_kind -> Text,
        subject_id -> BigInt,
        reason -> Text,
        description -> Text,
        started_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        ended_by -> Nullable<Text>,
        first_trace -> Text,
        last_good_trace -> Nullable<Text>,
        subject_name -> Text,
        tenantid -> Text,
    }
}

diesel::table! {
    /// What people write. Only written through this; [`super::definitions`] reads it in its own way.
    targets (id) {
        id -> BigInt,
        name -> Text,
        tenantid -> Text,
        url -> Text,
        method -> Text,
        headers -> Nullable<Text>,
        body -> Nullable<Text>,
        authn -> Text,
        authn_parms -> Nullable<Text>,
        credential -> Nullable<Text>,
        pass_result -> Text,
        frequency_ms -> BigInt,
        timeout_ms -> Nullable<BigInt>,
        fail_after -> BigInt,
        recover_after -> BigInt,
        redirects -> BigInt,
        tls_ca -> Nullable<Text>,
        tls_verify -> Bool,
        tls_server_name -> Nullable<Text>,
        host -> Nullable<Text>,
        tags -> Nullable<Text>,
        parent -> Nullable<Text>,
        enabled -> Bool,
        egress_allow -> Nullable<Text>,
        keep_alive -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    /// Whom people want to be told. Only written through this, as `targets`.
    notifiers (id) {
        id -> BigInt,
        name -> Text,
        tenantid -> Text,
        #[sql_name = "type"]
        kind -> Text,
        address -> Text,
        params -> Nullable<Text>,
        enabled -> Bool,
        match_tags -> Nullable<Text>,
        match_tenant -> Nullable<Text>,
        match_name -> Nullable<Text>,
        events -> Nullable<Text>,
        group_wait_ms -> BigInt,
        group_window_ms -> BigInt,
        rate_per_minute -> BigInt,
        retry_for_ms -> BigInt,
        remind_ms -> Nullable<BigInt>,
        templates -> Nullable<Text>,
        updated_at -> BigInt,
    }
}

diesel::table! {
    /// Who skypunch is at identity services; written by people.
    credentials (id) {
        id -> BigInt,
        name -> Text,
        tenantid -> Text,
        #[sql_name = "type"]
        kind -> Text,
        params -> Nullable<Text>,
        enabled -> Bool,
        updated_at -> BigInt,
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
    }
}

diesel::table! {
    /// What was told to whom.
    notifications (id) {
        id -> BigInt,
        notifier_id -> BigInt,
        notifier_name -> Text,
        incident_id -> BigInt,
        target_id -> BigInt,
        target_name -> Text,
        event -> Text,
        number -> BigInt,
        state -> Text,
        message_id -> Nullable<Text>,
        digest_id -> Nullable<BigInt>,
        attempts -> BigInt,
        created_at -> BigInt,
        attempted_at -> Nullable<BigInt>,
        sent_at -> Nullable<BigInt>,
        answer -> Nullable<Text>,
        version -> BigInt,
    }
}

diesel::table! {
    /// The last batch of each start of a daemon.
    writers (writer) {
        writer -> BigInt,
        last_number -> BigInt,
    }
}

diesel::table! {
    /// Which daemon works on this database: one row, id 1.
    lease (id) {
        id -> BigInt,
        host -> Text,
        pid -> BigInt,
        writer -> BigInt,
        held_until -> BigInt,
    }
}

diesel::table! {
    /// SQLite only: bumped by triggers on the definition tables.
    revision (id) {
        id -> BigInt,
        #[sql_name = "revision"]
        value -> BigInt,
    }
}

diesel::table! {
    /// What was brought over from another database.
    imports (kind, tenantid, name) {
        kind -> Text,
        tenantid -> Text,
        name -> Text,
        old_id -> BigInt,
        item_id -> BigInt,
        source -> Text,
        imported_at -> BigInt,
    }
}
