-- name: matching
SELECT id, name, source, kind, attempts, created_at_ms, dead_at_ms, dead_reason, stream_id, first_seq, seqs, status
FROM (
    SELECT deliveries.id, substr(name, 10) AS name, source, kind, attempts, created_at_ms, dead_at_ms, dead_reason,
        stream_id, first_seq, seqs, (
            SELECT status FROM attempts
            WHERE attempts.subscription_id = deliveries.subscription_id AND attempts.first_seq = deliveries.first_seq
            ORDER BY attempts.started_at_ms DESC LIMIT 1
        ) AS status
    FROM deliveries INDEXED BY deliveries_dead_ids
    CROSS JOIN subscriptions ON subscriptions.id = subscription_id
    CROSS JOIN streams ON streams.id = stream_id
    WHERE state = 1 AND deliveries.id > ?1 AND (?3 IS NULL OR name = ?3) AND (?4 IS NULL OR source = ?4)
        AND (?5 IS NULL OR kind = ?5) AND (?6 IS NULL OR dead_at_ms >= ?6) AND (?7 IS NULL OR dead_at_ms < ?7)
        AND instr(lower(dead_reason), lower(?8)) > 0
)
WHERE ?9 IS NULL OR status = ?9
ORDER BY id LIMIT ?2;

-- name: one
SELECT deliveries.id, substr(name, 10), source, kind, attempts, created_at_ms, dead_at_ms, dead_reason, stream_id,
    first_seq, seqs, (
        SELECT status FROM attempts
        WHERE attempts.subscription_id = deliveries.subscription_id AND attempts.first_seq = deliveries.first_seq
        ORDER BY attempts.started_at_ms DESC LIMIT 1
    ), subscription_id
FROM deliveries
CROSS JOIN subscriptions ON subscriptions.id = subscription_id
CROSS JOIN streams ON streams.id = stream_id
WHERE deliveries.id = ?1 AND state = 1;

-- name: members
SELECT message_id, length(entries.value) > 0 FROM carray(?1) AS wanted CROSS JOIN entries ON id = wanted.value;

-- name: owners
SELECT deliveries.id, source, kind, substr(name, 10) FROM carray(?1) AS wanted
CROSS JOIN deliveries ON deliveries.id = wanted.value
CROSS JOIN subscriptions ON subscriptions.id = subscription_id
CROSS JOIN streams ON streams.id = stream_id
WHERE state = 1;

-- name: attempts
SELECT started_at_ms, duration_us, status, result, error, answer FROM attempts
WHERE subscription_id = ?1 AND first_seq = ?2 AND last_seq = ?3 ORDER BY started_at_ms;

-- name: count_dropped
UPDATE subscriptions SET dropped_reports = dropped_reports + ?2 WHERE id = ?1;
