//! The store against real databases: every case runs on SQLite and on MariaDB, from one body.
//!
//! `store::sqlite::NAME` and `store::mariadb::NAME` are the same case; what only one of them can show is in
//! `store::server` and `store::files`, the local state.db in `store::state_db`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod batches;
mod change;
mod clients;
mod credentials;
mod definitions;
mod files;
mod fixture;
mod incidents;
mod lease;
mod migrations;
mod notifiers;
mod outbox;
mod prune;
mod server;
mod state_db;
mod upgrade;

macro_rules! on_both {
    ($($file:ident: $($case:ident),+;)+) => {
        mod sqlite {
            $($( #[test] fn $case() { super::$file::$case(&super::fixture::TestDb::sqlite()); } )+)+
        }
        mod mariadb {
            $($( #[test] fn $case() { super::$file::$case(&super::fixture::TestDb::mariadb()); } )+)+
        }
    };
}

on_both! {
    migrations: up_once_and_never_twice, down_to_nothing_and_up_again, four_starters_at_once,
        a_newer_schema_is_refused, tables_of_another_program_are_refused, the_tables_of_0_3_0_are_refused,
        another_diesel_program_is_refused, incidents_of_before_get_the_names_of_targets_that_are_still_there;
    upgrade: every_released_schema_becomes_that_of_today_with_its_rows;
    clients: name_and_url_are_enough, the_overview_has_the_words_and_order_of_0_3_0, times_are_readable,
        a_wrong_type_is_refused_where_it_is_typed, names_are_unique_within_a_tenant;
    definitions: every_column_comes_back, a_taken_name_is_named, what_is_not_there_is_missing,
        a_plan_is_applied_whole_or_not_at_all, names_can_be_swapped, odd_rows_do_not_hide_the_others,
        any_text_comes_back, a_flag_is_0_or_1, names_compare_byte_by_byte, ids_are_never_reused, absurd_sizes_are_refused_or_kept;
    notifiers: every_column_of_a_notifier_comes_back, name_type_and_address_are_enough, taken_and_missing_notifiers_are_named,
        both_tables_are_applied_whole_or_not_at_all, odd_notifiers_do_not_hide_the_others, an_older_form_never_replaces_a_newer,
        old_notifications_go_few_at_a_time, the_overview_of_notifiers_has_the_words_of_0_3_0;
    credentials: every_column_of_a_credential_comes_back, taken_and_missing_credentials_are_named,
        credentials_are_applied_whole_with_the_other_tables, odd_credentials_do_not_hide_the_others;
    batches: results_come_back_exactly, statuses_come_back_exactly, the_same_batch_twice_counts_once,
        replays_after_crashes_count_once, counters_add_up_over_writers, a_deleted_target_does_not_stop_a_batch,
        thinned_results_are_booked, a_big_batch_is_one_transaction, a_failed_batch_leaves_nothing,
        ids_that_come_again_do_not_hold_up_others, absurd_texts_do_not_hold_up_a_batch, history_is_bounded,
        passes_after_passes_keep_everything_else, a_status_that_was_touched_is_set_right, history_reaches_back_over_gaps;
    incidents: opened_and_ended, opened_and_ended_in_one_batch, an_end_is_never_overwritten, filters_combine;
    prune: counters_equal_pruned_thinned_and_rows, the_oldest_go_first_and_few_at_a_time,
        statuses_of_targets_that_are_gone_go_with_their_last_result;
    lease: a_second_daemon_is_refused, a_dead_holder_on_this_host_is_replaced_at_once,
        one_elsewhere_is_replaced_when_its_lease_has_ended, renewing_and_releasing, of_many_at_once_one_gets_it;
    change: every_kind_of_edit_is_seen, the_daemons_own_writes_are_not_seen, no_edit_no_change,
        a_table_that_is_gone_is_an_error_at_once;
}
