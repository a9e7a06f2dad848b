-- Version 2: ids are kept at the end of a log first, and go into the index of ids in the order of its keys.

-- What was kept lately, a row for each time. The newest that is said of a key is newer than what the index says.
CREATE TABLE ids_log (
    id INTEGER PRIMARY KEY,                         -- of the first key, counted over all rows
    keys BLOB NOT NULL,                             -- 16 bytes each
    known TEXT NOT NULL,                            -- JSON array of outcomes, revision, last_seq of each key, flat
    seen_at_hours INTEGER NOT NULL
) STRICT;

-- How far the log was taken into the index. One row.
CREATE TABLE ids_lap (
    next_id INTEGER NOT NULL,                       -- of the log
    position INTEGER NOT NULL,                      -- of 1 << 32; keys whose first byte is passed were taken in
    began_at_id INTEGER NOT NULL,                   -- rows of the log below it came before this lap
    taken_to_id INTEGER NOT NULL,                   -- rows below it are in the index
    length INTEGER NOT NULL                         -- new ids that a lap takes
) STRICT;
INSERT INTO ids_lap (next_id, position, began_at_id, taken_to_id, length) VALUES (1, 0, 1, 1, 1);
