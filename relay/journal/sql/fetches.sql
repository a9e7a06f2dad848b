-- name: append
INSERT INTO fetches
    (stream_id, origin, requested_at_ms, received_at_ms, status, content_type, complete, entries_estimate, base_url, claims)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1);

-- name: append_body
INSERT INTO fetch_bodies (fetch_id, body) VALUES (?, ?);

-- name: count_in
UPDATE streams SET fetches_pending = fetches_pending + 1, entries_pending = entries_pending + ?2 WHERE id = ?1;

-- name: count_out
UPDATE streams SET fetches_pending = fetches_pending - 1, entries_pending = entries_pending - ?2 WHERE id = ?1;

-- name: oldest
SELECT id, claims, origin, requested_at_ms, received_at_ms, status, content_type, complete, entries_estimate, base_url
FROM fetches WHERE stream_id = ?1 ORDER BY id LIMIT 1;

-- name: claim
UPDATE fetches SET claims = ?2 WHERE id = ?1;

-- name: body
SELECT body FROM fetch_bodies WHERE fetch_id = ?1;

-- name: release
DELETE FROM fetches WHERE id = ?1 AND stream_id = ?2 AND claims = ?3 RETURNING entries_estimate;

-- name: arrived
INSERT OR REPLACE INTO arrivals
    (stream_id, first_seq, fetch_id, origin, requested_at_ms, received_at_ms, status, complete)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: release_body
DELETE FROM fetch_bodies WHERE fetch_id = ?1;
