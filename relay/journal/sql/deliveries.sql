-- name: subscription
SELECT subscriptions.id, streams.id, position, next_seq, pruned_to, stored_reports
FROM streams JOIN subscriptions ON stream_id = streams.id
WHERE source = ?1 AND kind = ?2 AND name = ?3;

-- name: next_id
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'), 0) + 1;

-- name: store
INSERT INTO deliveries
    (id, subscription_id, state, attempts, created_at_ms, next_attempt_at_ms, reports, first_seq, seqs, dead_at_ms, dead_reason)

-- name: store_row
(?1+{n},?2,?,?,?,?,?,?,?,?,?)

-- name: hold
INSERT OR IGNORE INTO members (entry_id, delivery_id)

-- name: hold_row
(?,?)

-- name: wait_behind
WITH RECURSIVE chain (entry_id) AS (
    SELECT ?2 | previous_seq FROM entries WHERE id = ?3 AND previous_seq IS NOT NULL
    UNION ALL
    SELECT ?2 | previous_seq FROM chain CROSS JOIN entries ON id = entry_id WHERE previous_seq IS NOT NULL
)
UPDATE deliveries SET behind = (
    SELECT stored.id FROM chain
    CROSS JOIN members ON members.entry_id = chain.entry_id
    CROSS JOIN deliveries AS stored ON stored.id = members.delivery_id
    WHERE stored.subscription_id = ?4 AND stored.state = 0 AND stored.id <> ?1
    ORDER BY chain.entry_id DESC, stored.id DESC LIMIT 1
)
WHERE id = ?1;

-- name: wait_on
UPDATE deliveries SET behind = (SELECT before.behind FROM deliveries AS before WHERE before.id = ?1)
WHERE behind = ?1 AND (SELECT before.behind FROM deliveries AS before WHERE before.id = ?1) IS NOT NULL;

-- name: move_behind
UPDATE deliveries SET behind = NULL WHERE behind IN (SELECT value FROM carray(?1));

-- name: due
SELECT json_group_array(json_array(id, attempts, created_at_ms, next_attempt_at_ms, first_seq, seqs))
FROM (
    SELECT id, attempts, created_at_ms, next_attempt_at_ms, first_seq, seqs FROM deliveries
    WHERE subscription_id = ?1 AND state = 0 AND behind IS NULL AND next_attempt_at_ms <= ?2
        AND id NOT IN (SELECT value FROM carray(?4))
    ORDER BY next_attempt_at_ms, id LIMIT ?3
);

-- name: next_due
SELECT next_attempt_at_ms FROM deliveries
WHERE subscription_id = ?1 AND state = 0 AND behind IS NULL AND id NOT IN (SELECT value FROM carray(?2))
ORDER BY next_attempt_at_ms LIMIT 1;

-- name: pending_messages
WITH RECURSIVE chain (n, entry_id) AS (
    SELECT rowid, value FROM carray(?1)
    UNION ALL
    SELECT n, ?2 | previous_seq FROM chain CROSS JOIN entries ON id = entry_id WHERE previous_seq IS NOT NULL
)
SELECT DISTINCT n FROM chain
CROSS JOIN members ON members.entry_id = chain.entry_id
CROSS JOIN deliveries ON deliveries.id = delivery_id
WHERE subscription_id = ?3 AND state = 0;

-- name: oldest_stored
SELECT created_at_ms FROM deliveries WHERE subscription_id = ?1 AND state = 0 ORDER BY id LIMIT 1;

-- name: first_after
SELECT received_at_ms FROM entries WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT 1;

-- name: find
SELECT id, state, reports, first_seq, seqs FROM carray(?1) AS wanted CROSS JOIN deliveries ON id = wanted.value
WHERE subscription_id = ?2;

-- name: retry
UPDATE deliveries SET attempts = attempts + 1, next_attempt_at_ms = ?2 WHERE id = ?1 AND state = 0;

-- name: bury
UPDATE deliveries
SET state = 1, attempts = attempts + ?4, behind = NULL, dead_at_ms = ?2, dead_reason = ?3
WHERE id = ?1 AND state = 0;

-- name: revive
UPDATE deliveries
SET state = 0, attempts = 0, created_at_ms = ?2, next_attempt_at_ms = ?2, dead_at_ms = NULL, dead_reason = NULL,
    replay_id = ?3
WHERE id = ?1 AND state = 1;

-- name: earlier_holders
WITH RECURSIVE chain (entry_id) AS (
    SELECT ?1 | previous_seq FROM entries WHERE id = ?2 AND previous_seq IS NOT NULL
    UNION ALL
    SELECT ?1 | previous_seq FROM chain CROSS JOIN entries ON id = entry_id WHERE previous_seq IS NOT NULL
)
SELECT deliveries.id, first_seq, seqs FROM chain
CROSS JOIN members ON members.entry_id = chain.entry_id
CROSS JOIN deliveries ON deliveries.id = members.delivery_id
WHERE subscription_id = ?3 AND state = 0
ORDER BY chain.entry_id DESC;

-- name: set_behind
UPDATE deliveries SET behind = ?2 WHERE id = ?1;

-- name: later_revisions
SELECT wanted.value FROM carray(?1) AS wanted CROSS JOIN entries ON entries.id = wanted.value WHERE revision > 1;

-- name: whole
SELECT count(*) FROM carray(?1) AS wanted CROSS JOIN entries ON entries.id = wanted.value
WHERE length(entries.value) > 0;

-- name: end
DELETE FROM deliveries WHERE id IN (SELECT value FROM carray(?1));

-- name: let_go
DELETE FROM members
WHERE entry_id IN (SELECT value FROM carray(?1)) AND delivery_id IN (SELECT value FROM carray(?2));

-- name: release
INSERT INTO released (entry_id, released_at_ms) SELECT value, ?2 FROM carray(?1) WHERE value <= ?3;

-- name: count
UPDATE subscriptions SET stored_reports = stored_reports + ?2, dead_reports = dead_reports + ?3 WHERE id = ?1;

-- name: move
UPDATE subscriptions SET position = ?2 WHERE id = ?1 AND position < ?2;

-- name: attempt
INSERT OR REPLACE INTO attempts
    (subscription_id, first_seq, started_at_ms, last_seq, delivery_id, duration_us, status, result, error, answer, seqs)

-- name: attempt_row
(?1,?,?,?,?,?,?,?,?,?,?)

-- name: oldest
SELECT id, reports, created_at_ms FROM deliveries
WHERE subscription_id = ?1 AND state = 0 AND id NOT IN (SELECT value FROM carray(?3))
ORDER BY id LIMIT ?2;

-- name: unread
SELECT id, type, status_group, received_at_ms FROM entries WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3;
