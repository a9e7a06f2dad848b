-- name: want
UPDATE streams SET recordings = CASE WHEN ?2 THEN 1 WHEN recordings = 0 THEN 0 ELSE 2 END WHERE id = ?1
RETURNING recordings;

-- name: add
INSERT OR IGNORE INTO recordings (stream_id, message_id, url, day, origin, created_at_ms, next_attempt_at_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6);

-- name: due
SELECT id, message_id, url, day, attempts, created_at_ms FROM recordings
WHERE stream_id = ?1 AND state = 0 AND next_attempt_at_ms <= ?2 AND id NOT IN (SELECT value FROM carray(?4))
ORDER BY next_attempt_at_ms LIMIT ?3;

-- name: next_due
SELECT next_attempt_at_ms FROM recordings WHERE stream_id = ?1 AND state = 0 AND id NOT IN (SELECT value FROM carray(?2))
ORDER BY next_attempt_at_ms LIMIT 1;

-- name: end
UPDATE recordings SET state = ?3, reason = ?4, url = '' WHERE id = ?1 AND stream_id = ?2 AND state = 0
RETURNING message_id, origin;

-- name: postpone
UPDATE recordings SET attempts = attempts + 1, next_attempt_at_ms = ?3, reason = ?4
WHERE id = ?1 AND stream_id = ?2 AND state = 0;

-- name: adopt
INSERT INTO recordings (stream_id, message_id, url, day, origin, state, created_at_ms, next_attempt_at_ms)
VALUES (?1, ?2, '', '', ?3, 1, ?4, ?4)
ON CONFLICT (stream_id, message_id) DO UPDATE SET state = 1, url = '';

-- name: drop_old
DELETE FROM recordings WHERE id IN (SELECT id FROM recordings WHERE created_at_ms < ?1 ORDER BY created_at_ms LIMIT ?2);
