//! Rows whose time is over are deleted, and no others.

use grantkeep_tests::TestApi;

use crate::support::{count, execute, run};

/// Two rows of each table: one to delete, one that is just young enough to stay.
const ROWS: &str = "
    insert into pending_authorizations values
        (gen_random_uuid(), '', now() - interval '1 second'),
        (gen_random_uuid(), '', now() + interval '1 minute');
    insert into completed_links values
        (gen_random_uuid(), now() - interval '1 second'),
        (gen_random_uuid(), now() + interval '1 minute');
    insert into oauth_tokens (id, provider, workspace_id, actor_id, account, client_id, status, pending_until)
    values (gen_random_uuid(), 'gmail', 'default', 'a', 'a', 'c', 'pending', now() - interval '1 second'),
           (gen_random_uuid(), 'gmail', 'default', 'b', 'b', 'c', 'pending', now() + interval '1 minute');
    insert into sent_messages (connection_id, idempotency_key, request_hash, lease_until, created_at)
    select id, 'old', ''::bytea, now(), now() - interval '8 days' from oauth_tokens where account = 'b'
    union all
    select id, 'new', ''::bytea, now(), now() - interval '6 days' from oauth_tokens where account = 'b';
    insert into token_reads (read_at, service_key, provider, workspace_id, actor_id, result)
    values (now() - interval '91 days', 'k', 'gmail', 'default', 'a', 'ok'),
           (now() - interval '89 days', 'k', 'gmail', 'default', 'a', 'ok');
    insert into connection_events (id, type, provider, created_at)
    values (gen_random_uuid(), 'connection.renewed', 'gmail', now() - interval '401 days'),
           (gen_random_uuid(), 'connection.renewed', 'gmail', now() - interval '399 days');
";

const TABLES: [&str; 6] = [
    "pending_authorizations",
    "completed_links",
    "oauth_tokens",
    "sent_messages",
    "token_reads",
    "connection_events",
];

#[tokio::test]
async fn rows_whose_time_is_over_go_and_others_stay() {
    let api = TestApi::start().await;
    // The tables are created by the first write.
    run(&api).await;
    execute(&api, ROWS).await;

    let done = run(&api).await;

    assert_eq!(done["pruned"], TABLES.len(), "{done}");
    for table in TABLES {
        assert_eq!(count(&api, table).await, 1, "{table}");
    }
    assert_eq!(run(&api).await["pruned"], 0);
}
