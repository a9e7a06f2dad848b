-- name: acquire_lease
INSERT INTO leases (name, owner, token) VALUES (?1, ?2, 1)
ON CONFLICT (name) DO UPDATE SET owner = ?2, token = token + 1
RETURNING token;

-- name: hold_lease
SELECT 1 FROM leases WHERE name = ?1 AND owner = ?2 AND token = ?3;

-- name: find
SELECT id, next_seq, pruned_to, emptied_to, first_poll_at_ms, last_success_at_ms, answered_from_ms, drained_at_ms,
    marked_at_ms, recordings
FROM streams WHERE source = ?1 AND kind = ?2;

-- name: add
INSERT INTO streams (source, kind) VALUES (?1, ?2);

-- name: all
SELECT source, kind FROM streams ORDER BY id;

-- name: mark
-- What lies in the future was noted before the clock was put back.
UPDATE streams
SET marked_at_ms = ?2, mark_token = ?3, first_poll_at_ms = min(coalesce(first_poll_at_ms, ?2), ?2),
    last_success_at_ms = min(last_success_at_ms, ?2), answered_from_ms = min(answered_from_ms, ?2),
    drained_at_ms = min(drained_at_ms, ?2)
WHERE id = ?1;

-- name: clear_mark
UPDATE streams SET marked_at_ms = NULL, mark_token = NULL WHERE id = ?1;

-- name: clear_own_mark
UPDATE streams SET marked_at_ms = NULL, mark_token = NULL WHERE id = ?1 AND mark_token = ?2;

-- name: note_success
UPDATE streams
SET last_success_at_ms = max(coalesce(last_success_at_ms, 0), ?2),
    answered_from_ms = max(coalesce(answered_from_ms, 0), ?3),
    drained_at_ms = CASE WHEN ?4 THEN max(coalesce(drained_at_ms, 0), ?3) ELSE drained_at_ms END
WHERE id = ?1;

-- name: extend_gap
UPDATE gaps SET count = count + 1, until_ms = max(until_ms, ?4)
WHERE id = (
    SELECT id FROM gaps WHERE stream_id = ?1 AND cause = ?2 AND since_ms = ?3 AND state = 0 ORDER BY id DESC LIMIT 1
)
RETURNING id;

-- name: find_gap
SELECT 1 FROM gaps WHERE stream_id = ?1 AND cause = ?2 AND since_ms = ?3 LIMIT 1;

-- name: open_gap
INSERT INTO gaps (stream_id, cause, since_ms, until_ms, drained_at_ms, opened_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6);
