-- name: stream
SELECT id, first_poll_at_ms, drained_at_ms,
    (SELECT requested_at_ms FROM fetches WHERE stream_id = streams.id ORDER BY id LIMIT 1)
FROM streams WHERE source = ?1 AND kind = ?2;

-- name: open
SELECT id, since_ms, until_ms, drained_at_ms, scan_id FROM gaps WHERE stream_id = ?1 AND state = 0 ORDER BY id;

-- name: scans
SELECT id, upper_ms, front_ms, position_ms, hole_ms, earlier FROM scans WHERE stream_id = ?1 ORDER BY id;

-- name: arrivals
SELECT received_at_ms, json_extract(CAST(value AS TEXT), '$.sentAt')
FROM entries
WHERE id > ?1 AND id <= ?2 AND type IN (1, 2, 3) AND origin IN (0, 1) AND length(value) > 0
ORDER BY id DESC LIMIT ?3;

-- name: begin
INSERT INTO scans (stream_id, upper_ms, front_ms, position_ms) VALUES (?1, ?2, ?3, ?2);

-- name: begin_anew
UPDATE scans SET upper_ms = ?2, front_ms = ?3, position_ms = ?2, hole_ms = NULL, earlier = 0 WHERE id = ?1;

-- name: serve
UPDATE gaps SET scan_id = ?1 WHERE id IN (SELECT value FROM carray(?3)) AND stream_id = ?2 AND state = 0;

-- name: progress
UPDATE scans SET position_ms = ?2, hole_ms = coalesce(hole_ms, ?3), earlier = earlier + ?4 WHERE id = ?1;

-- name: recover
UPDATE gaps SET recovered = recovered + ?2 WHERE id = ?1;

-- name: end
UPDATE gaps SET state = ?4, ended_at_ms = ?5, compared_from_ms = ?6, compared_until_ms = ?7, scan_id = NULL
WHERE id = ?1 AND stream_id = ?2 AND until_ms = ?3 AND state = 0
RETURNING recovered;

-- name: release
UPDATE gaps SET scan_id = NULL WHERE stream_id = ?1 AND state = 0 AND scan_id = ?2;

-- name: end_scan
DELETE FROM scans WHERE id = ?1 AND stream_id = ?2;
