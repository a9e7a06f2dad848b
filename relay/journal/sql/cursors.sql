-- name: kafka_cursor
SELECT position, cluster_id, at_ms FROM subscriptions WHERE stream_id = ?1 AND name = 'kafka';

-- name: kafka_cursors
SELECT source, kind, position, cluster_id, at_ms, next_seq - 1, pruned_to
FROM subscriptions JOIN streams ON streams.id = stream_id WHERE name = 'kafka' ORDER BY source, kind;

-- name: place_kafka_cursor
-- It holds pruning from now on, also after a time without Kafka.
UPDATE subscriptions SET position = ?2, cluster_id = NULL, at_ms = ?3, retired_at_ms = NULL
WHERE stream_id = ?1 AND name = 'kafka';

-- name: keep_kafka_cursor
INSERT INTO subscriptions (stream_id, name, position, cluster_id, at_ms) VALUES (?1, 'kafka', ?2, ?3, ?4)
ON CONFLICT (stream_id, name) DO UPDATE SET position = ?2, cluster_id = ?3, at_ms = ?4, retired_at_ms = NULL;

-- name: note_publication
INSERT OR IGNORE INTO publications (stream_id, last_seq, at_ms) SELECT ?1, ?2, ?3 WHERE ?2 > 0;

-- name: retire_kafka
UPDATE subscriptions SET retired_at_ms = at_ms WHERE stream_id = ?1 AND name = 'kafka' AND retired_at_ms IS NULL;

-- name: raise_next_seq
UPDATE streams SET next_seq = max(next_seq, ?2 + 1) WHERE id = ?1;

-- name: subscribe
INSERT INTO subscriptions (stream_id, name, position, at_ms, wanted_types, wanted_groups)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (stream_id, name) DO UPDATE SET retired_at_ms = NULL, wanted_types = ?5, wanted_groups = ?6
RETURNING position;

-- name: kafka_position
SELECT position FROM subscriptions WHERE stream_id = ?1 AND name = 'kafka' AND retired_at_ms IS NULL;

-- name: any_deliveries
SELECT id FROM deliveries WHERE subscription_id = ?1 AND state = 0
UNION ALL SELECT id FROM deliveries WHERE subscription_id = ?1 AND state = 1 LIMIT ?2;

-- name: drop_attempts
DELETE FROM attempts WHERE (subscription_id, first_seq, started_at_ms) IN (
    SELECT subscription_id, first_seq, started_at_ms FROM attempts WHERE subscription_id = ?1 LIMIT ?2
);

-- name: unpublished
SELECT entries_pending + next_seq - 1 - coalesce(
    (SELECT position FROM subscriptions AS s WHERE s.stream_id = streams.id AND name = 'kafka' AND retired_at_ms IS NULL),
    (SELECT max(position) FROM subscriptions AS s
     WHERE s.stream_id = streams.id AND name <> 'kafka' AND retired_at_ms IS NULL),
    next_seq - 1
)
FROM streams WHERE source = ?1 AND kind = ?2;

-- name: callbacks
SELECT subscriptions.id, substr(name, 10), source, kind, retired_at_ms
FROM subscriptions JOIN streams ON streams.id = stream_id WHERE name <> 'kafka';

-- name: set_retired
UPDATE subscriptions SET retired_at_ms = ?2 WHERE id = ?1;

-- name: any_of_callback
SELECT 1 FROM subscriptions WHERE name = ?1 LIMIT 1;

-- name: drop
DELETE FROM subscriptions WHERE id = ?1;
