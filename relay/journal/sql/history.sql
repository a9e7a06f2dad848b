-- name: gaps
SELECT gaps.id, source, kind, cause, state, count, since_ms, until_ms, gaps.drained_at_ms, opened_at_ms, ended_at_ms,
    recovered, compared_from_ms, compared_until_ms
FROM gaps CROSS JOIN streams ON streams.id = stream_id
WHERE gaps.id > ?4 AND (?1 IS NULL OR (source = ?1 AND kind = ?2)) AND (state = 0 OR NOT ?3)
ORDER BY gaps.id LIMIT ?5;

-- name: gaps_opened
SELECT gaps.id, source, kind, cause, state, count, since_ms, until_ms, gaps.drained_at_ms, opened_at_ms, ended_at_ms,
    recovered, compared_from_ms, compared_until_ms
FROM gaps CROSS JOIN streams ON streams.id = stream_id
WHERE stream_id = ?1 AND (opened_at_ms = ?2 OR until_ms = ?2) ORDER BY gaps.id;

-- name: gaps_then
SELECT gaps.id, source, kind, cause, state, count, since_ms, until_ms, gaps.drained_at_ms, opened_at_ms, ended_at_ms,
    recovered, compared_from_ms, compared_until_ms
FROM gaps CROSS JOIN streams ON streams.id = stream_id
WHERE stream_id = ?1 AND opened_at_ms <= ?2 AND (ended_at_ms IS NULL OR ended_at_ms >= ?2) ORDER BY gaps.id;

-- name: arrival
SELECT fetch_id, origin, requested_at_ms, received_at_ms, status, complete FROM arrivals
WHERE stream_id = ?1 AND first_seq <= ?2 ORDER BY first_seq DESC LIMIT 1;

-- name: published
SELECT at_ms FROM publications WHERE stream_id = ?1 AND last_seq >= ?2 ORDER BY last_seq LIMIT 1;

-- name: recording
SELECT state, url, attempts, next_attempt_at_ms, reason FROM recordings WHERE stream_id = ?1 AND message_id = ?2;

-- name: chain
WITH RECURSIVE chain (seq) AS (
    SELECT ?1
    UNION ALL
    SELECT previous_seq FROM chain CROSS JOIN entries ON id = (?2 | seq) WHERE previous_seq IS NOT NULL
)
SELECT ?2 | seq FROM chain ORDER BY seq;

-- name: subscriptions
SELECT id, name, position FROM subscriptions
WHERE stream_id = ?1 AND (name <> 'kafka' OR retired_at_ms IS NULL) ORDER BY name;

-- name: deliveries_of
SELECT substr(name, 10), deliveries.id, state, attempts, next_attempt_at_ms, coalesce(dead_reason, '')
FROM members
CROSS JOIN deliveries ON deliveries.id = delivery_id
CROSS JOIN subscriptions ON subscriptions.id = subscription_id
WHERE entry_id = ?1;

-- name: attempts_near
SELECT started_at_ms, duration_us, status, result, error, answer, first_seq, last_seq, seqs FROM (
    SELECT * FROM attempts WHERE subscription_id = ?1 AND first_seq <= ?2 ORDER BY first_seq DESC LIMIT ?3
)
WHERE last_seq >= ?2 ORDER BY started_at_ms;
