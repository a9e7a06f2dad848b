-- name: streams
SELECT streams.id, source, kind, next_seq - 1, fetches_pending, entries_pending, quarantine_entries, last_success_at_ms,
    (SELECT position FROM subscriptions AS s WHERE s.stream_id = streams.id AND name = 'kafka' AND retired_at_ms IS NULL),
    (SELECT max(position) FROM subscriptions AS s
     WHERE s.stream_id = streams.id AND name <> 'kafka' AND retired_at_ms IS NULL)
FROM streams ORDER BY streams.id;

-- name: gaps
SELECT count(*), min(opened_at_ms) FROM gaps WHERE stream_id = ?1 AND state = 0;

-- name: first_after
SELECT received_at_ms FROM entries WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT 1;

-- name: first_wanted
SELECT received_at_ms FROM (
    SELECT received_at_ms, type, status_group FROM entries WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3
) WHERE type IN (SELECT value FROM carray(?4)) AND status_group IN (SELECT value FROM carray(?5)) LIMIT 1;

-- name: oldest_fetch
SELECT received_at_ms FROM fetches WHERE stream_id = ?1 ORDER BY id LIMIT 1;

-- name: callbacks
SELECT substr(name, 10), subscriptions.id, stream_id, position, next_seq - 1, stored_reports, dead_reports,
    dropped_reports, expired_reports, wanted_types, wanted_groups
FROM subscriptions CROSS JOIN streams ON streams.id = stream_id
WHERE name <> 'kafka' AND retired_at_ms IS NULL ORDER BY name;

-- name: oldest_stored
SELECT created_at_ms FROM deliveries WHERE subscription_id = ?1 AND state = 0 ORDER BY id LIMIT 1;
