-- name: subscriptions
SELECT subscriptions.id, source, kind FROM subscriptions JOIN streams ON streams.id = stream_id
WHERE name = ?1 AND retired_at_ms IS NULL AND (?2 IS NULL OR source = ?2) AND (?3 IS NULL OR kind = ?3)
ORDER BY streams.id;

-- name: open_of
SELECT id FROM replays WHERE callback = ?1 AND state < 2;

-- name: at
SELECT id, received_at_ms FROM entries WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT 1;

-- name: start
INSERT INTO replays (callback, since_ms, until_ms, status_groups, started_at_ms) VALUES (?1, ?2, ?3, ?4, ?5);

-- name: add_span
INSERT INTO replay_spans (replay_id, subscription_id, after_seq, until_seq, position, pruned_to)
VALUES (?1, ?2, ?3, ?4, ?3, ?5);

-- name: listed
SELECT id FROM replays WHERE id < ?1 ORDER BY id DESC LIMIT ?2;

-- name: open
SELECT id FROM replays INDEXED BY replays_open WHERE state < 2 ORDER BY id;

-- name: one
SELECT id, callback, state, since_ms, until_ms, status_groups, started_at_ms, ended_at_ms, dead FROM replays
WHERE id = ?1;

-- name: spans
SELECT source, kind, after_seq, until_seq, replay_spans.position, reports, waiting, gone FROM replay_spans
CROSS JOIN subscriptions ON subscriptions.id = subscription_id
CROSS JOIN streams ON streams.id = stream_id
WHERE replay_id = ?1 ORDER BY streams.id;

-- name: span
SELECT subscription_id, replay_spans.position, until_seq, replay_spans.pruned_to FROM replay_spans
CROSS JOIN subscriptions ON subscriptions.id = subscription_id
CROSS JOIN streams ON streams.id = stream_id
WHERE replay_id = ?1 AND name = ?2 AND source = ?3 AND kind = ?4;

-- name: reports
SELECT coalesce(sum(reports), 0), coalesce(sum(CASE WHEN attempts = 0 THEN reports END), 0) FROM deliveries
WHERE replay_id = ?1 AND state = ?2;

-- name: heads
SELECT id, type, status_group, received_at_ms, length(value) > 0 FROM entries WHERE id > ?1 AND id <= ?2
ORDER BY id LIMIT ?3;

-- name: batches
SELECT first_seq, last_seq, seqs FROM attempts
WHERE subscription_id = ?1 AND first_seq > ?2 AND first_seq <= ?3
ORDER BY started_at_ms;

-- name: batches_end
SELECT max(last_seq) FROM attempts WHERE subscription_id = ?1 AND first_seq > ?2 AND first_seq <= ?3;

-- name: holders
SELECT entry_id, deliveries.id, state FROM carray(?1) AS wanted
CROSS JOIN members ON entry_id = wanted.value
CROSS JOIN deliveries ON deliveries.id = delivery_id
WHERE subscription_id = ?2;

-- name: mark
UPDATE deliveries SET replay_id = ?2 WHERE id IN (SELECT value FROM carray(?1));

-- name: gone
SELECT ?2 - ?1 - count(*) FROM entries WHERE id > ?1 AND id <= ?2;

-- name: move
UPDATE replay_spans
SET position = ?3, reports = reports + ?4, waiting = waiting + ?5, gone = gone + ?6
WHERE replay_id = ?1 AND subscription_id = ?2;

-- name: set_state
UPDATE replays SET state = ?2 WHERE id = ?1 AND state < 2;

-- name: end
UPDATE replays SET state = ?2, ended_at_ms = ?3, dead = ?4 WHERE id = ?1 AND state < 2;

-- name: held_from
SELECT min(replay_spans.position) FROM replays
CROSS JOIN replay_spans ON replay_id = replays.id
CROSS JOIN subscriptions ON subscriptions.id = subscription_id
WHERE replays.state < 2 AND stream_id = ?1 AND replay_spans.position < until_seq AND started_at_ms > ?2;

-- name: forget_spans
DELETE FROM replay_spans WHERE subscription_id = ?1;

-- name: old
DELETE FROM replays WHERE id IN (SELECT id FROM replays WHERE state >= 2 AND ended_at_ms < ?1 LIMIT ?2) RETURNING id;

-- name: old_spans
DELETE FROM replay_spans WHERE replay_id = ?1;
