-- name: passed
SELECT min(position) FROM subscriptions WHERE stream_id = ?1 AND (name <> 'kafka' OR retired_at_ms IS NULL);

-- name: positions
SELECT source, kind, pruned_to FROM streams;

-- name: forget_passages
DELETE FROM passages WHERE stream_id = ?1 AND position > ?2;

-- name: last_passage
SELECT at_ms, position FROM passages WHERE stream_id = ?1 ORDER BY at_ms DESC LIMIT 1;

-- name: add_passage
INSERT OR REPLACE INTO passages (stream_id, at_ms, position) VALUES (?1, ?2, ?3);

-- name: passage_before
SELECT at_ms, position FROM passages WHERE stream_id = ?1 AND at_ms <= ?2 ORDER BY at_ms DESC LIMIT 1;

-- name: drop_passages
DELETE FROM passages WHERE stream_id = ?1 AND at_ms < ?2;

-- name: entries
DELETE FROM entries WHERE id > ?1 AND id <= ?2 AND NOT EXISTS (SELECT 1 FROM members WHERE entry_id = entries.id);

-- name: early
SELECT count(*), coalesce(max(received_at_ms), 0) FROM entries
WHERE id > ?1 AND id <= ?2 AND NOT EXISTS (SELECT 1 FROM members WHERE entry_id = entries.id);

-- name: attempts
DELETE FROM attempts
WHERE subscription_id IN (SELECT id FROM subscriptions WHERE stream_id = ?1) AND first_seq > ?2 AND first_seq <= ?3
    AND NOT EXISTS (SELECT 1 FROM members WHERE entry_id = (?1 << 44 | first_seq));

-- name: arrivals
DELETE FROM arrivals WHERE stream_id = ?1
    AND first_seq < (SELECT max(first_seq) FROM arrivals WHERE stream_id = ?1 AND first_seq <= ?2 + 1);

-- name: publications
DELETE FROM publications WHERE stream_id = ?1 AND last_seq <= ?2;

-- name: count_expired
UPDATE subscriptions SET expired_reports = expired_reports + ?2 WHERE id = ?1;

-- name: pruned_to
UPDATE streams SET pruned_to = max(pruned_to, ?2) WHERE id = ?1;

-- name: released
SELECT id, entry_id, released_at_ms FROM released ORDER BY id LIMIT ?1;

-- name: released_received_at
SELECT received_at_ms FROM entries WHERE id = ?1;

-- name: released_entry
DELETE FROM entries WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM members WHERE entry_id = ?1);

-- name: released_attempts
DELETE FROM attempts
WHERE subscription_id IN (SELECT id FROM subscriptions WHERE stream_id = ?1) AND first_seq = ?2;

-- name: drop_released
DELETE FROM released WHERE id <= ?1;

-- name: get_meta
SELECT value FROM meta WHERE name = ?1;

-- name: set_meta
INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2);

-- name: sweep_end
SELECT key FROM ids WHERE key > ?1 ORDER BY key LIMIT 1 OFFSET ?2;

-- name: sweep
DELETE FROM ids WHERE key > ?1 AND key <= ?2 AND seen_at_hours < ?3;

-- name: sweep_rest
DELETE FROM ids WHERE key > ?1 AND seen_at_hours < ?2;

-- name: subscriptions
SELECT source, kind, substr(name, 10) FROM subscriptions JOIN streams ON streams.id = stream_id
WHERE dead_reports > 0 AND name <> 'kafka';

-- name: expired_dead
SELECT id FROM deliveries WHERE subscription_id = ?1 AND state = 1 AND dead_at_ms <= ?2 ORDER BY dead_at_ms LIMIT ?3;

-- name: old_quarantine
DELETE FROM quarantine
WHERE entry_id IN (SELECT entry_id FROM quarantine WHERE received_at_ms < ?1 ORDER BY received_at_ms LIMIT ?2)
RETURNING entry_id >> 44, done_at_ms IS NULL;

-- name: count_quarantine
UPDATE streams SET quarantine_entries = quarantine_entries - ?2 WHERE id = ?1;

-- name: old_gaps
DELETE FROM gaps WHERE id IN (SELECT id FROM gaps WHERE state <> 0 AND ended_at_ms < ?1 LIMIT ?2);

-- name: bodies
SELECT id, type, status_group, received_at_ms FROM entries WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3;

-- name: callbacks_behind
SELECT substr(name, 10), wanted_types, wanted_groups FROM subscriptions
WHERE stream_id = ?1 AND position < ?2 AND name <> 'kafka';

-- name: pending_holders
SELECT DISTINCT deliveries.id, subscription_id FROM members CROSS JOIN deliveries ON deliveries.id = delivery_id
WHERE entry_id > ?1 AND entry_id <= ?2 AND state = 0;

-- name: subscription_of
SELECT source, kind, substr(name, 10) FROM subscriptions JOIN streams ON streams.id = stream_id
WHERE subscriptions.id = ?1;

-- name: stream_of
SELECT source, kind FROM streams WHERE id = ?1;

-- name: empty
UPDATE entries SET value = x'' WHERE id > ?1 AND id <= ?2;

-- name: emptied_to
UPDATE streams SET emptied_to = max(emptied_to, ?2), pruned_to = max(pruned_to, ?2) WHERE id = ?1;
