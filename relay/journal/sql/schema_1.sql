-- Version 1 of the journal on SQLite. Times are Unix milliseconds (_ms).

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    token INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    next_seq INTEGER NOT NULL DEFAULT 1,
    pruned_to INTEGER NOT NULL DEFAULT 0,           -- entries up to here are gone, but for those that are held
    emptied_to INTEGER NOT NULL DEFAULT 0,          -- up to here not even those have a value: the disk was short
    first_poll_at_ms INTEGER,
    last_success_at_ms INTEGER,                     -- when the last good answer had come
    answered_from_ms INTEGER,                       -- when that answer had been asked for: where the next gap begins
    drained_at_ms INTEGER,                          -- when the last good answer with fewer than 50 entries was asked for
    marked_at_ms INTEGER,                           -- polling since; NULL: no poll in flight
    mark_token INTEGER,
    fetches_pending INTEGER NOT NULL DEFAULT 0,
    entries_pending INTEGER NOT NULL DEFAULT 0,     -- sum of the estimates of those fetches
    quarantine_entries INTEGER NOT NULL DEFAULT 0,
    recordings INTEGER NOT NULL DEFAULT 0,          -- of calls: 0 never wanted, 1 wanted, 2 no longer wanted
    UNIQUE (source, kind)
) STRICT;

CREATE TABLE gaps (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stream_id INTEGER NOT NULL,
    cause TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,               -- 0 open, 1 closed, 2 incomplete, 3 expired
    since_ms INTEGER NOT NULL,                      -- the last good answer before it was asked for, or the first poll
    until_ms INTEGER NOT NULL,
    drained_at_ms INTEGER,                          -- the queue was last known to be empty
    opened_at_ms INTEGER NOT NULL,
    count INTEGER NOT NULL DEFAULT 1,               -- reads that failed this way with no good answer between them
    ended_at_ms INTEGER,
    recovered INTEGER NOT NULL DEFAULT 0,
    compared_from_ms INTEGER,                       -- rows of the logs sent between these were compared in whole
    compared_until_ms INTEGER,
    scan_id INTEGER                                 -- which scan serves it
) STRICT;
CREATE INDEX gaps_of_stream ON gaps (stream_id, cause, since_ms);
CREATE INDEX gaps_open ON gaps (stream_id) WHERE state = 0;
CREATE INDEX gaps_ended ON gaps (ended_at_ms) WHERE state <> 0;

-- Walks through the logs by times of sending, newest first: how far each has come.
CREATE TABLE scans (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stream_id INTEGER NOT NULL,
    upper_ms INTEGER NOT NULL,
    front_ms INTEGER NOT NULL,                      -- as far as this it goes before others
    position_ms INTEGER NOT NULL,                   -- what was sent after this is compared
    hole_ms INTEGER,                                -- the newest millisecond whose rows could not be had in whole
    earlier INTEGER NOT NULL DEFAULT 0              -- rows not in the journal, from before the first poll
) STRICT;
CREATE INDEX scans_of_stream ON scans (stream_id);

CREATE TABLE fetches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stream_id INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    requested_at_ms INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    status INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    complete INTEGER NOT NULL,
    entries_estimate INTEGER NOT NULL,
    base_url TEXT NOT NULL,
    claims INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX fetches_of_stream ON fetches (stream_id);

-- Beside the fetch, so that counting a claim does not rewrite the body.
CREATE TABLE fetch_bodies (
    fetch_id INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

-- The fetches that entries came with: the one of an entry has the greatest first_seq up to its seq, if it is still there.
CREATE TABLE arrivals (
    stream_id INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    fetch_id INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    requested_at_ms INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    status INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    PRIMARY KEY (stream_id, first_seq)
) STRICT, WITHOUT ROWID;

-- id = stream_id << 44 | seq: appending goes to the end of a stream's range, reading is a range.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    type INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    status_group INTEGER,
    previous_seq INTEGER,                           -- the entry before it with the same messageId
    refused INTEGER NOT NULL DEFAULT 0,
    value BLOB NOT NULL
) STRICT;

-- How many entries of which sort: a filtered backlog is counted from these, not from its entries.
CREATE TABLE tallies (
    stream_id INTEGER NOT NULL,
    bucket INTEGER NOT NULL,                        -- seq >> 12
    type INTEGER NOT NULL,
    status_group INTEGER NOT NULL,                  -- -1: none
    count INTEGER NOT NULL,
    PRIMARY KEY (stream_id, bucket, type, status_group)
) STRICT, WITHOUT ROWID;

-- The dedup window. key = BLAKE2b-128 of the messageId, personalised by the stream.
CREATE TABLE ids (
    key BLOB NOT NULL PRIMARY KEY,
    outcomes TEXT NOT NULL,
    revision INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    seen_at_hours INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    entry_id INTEGER PRIMARY KEY,
    reason TEXT NOT NULL,
    received_at_ms INTEGER NOT NULL,
    fetch_id INTEGER,
    origin INTEGER NOT NULL,
    refused TEXT,                                   -- JSON [type, messageId, revision, status group] of a record that Kafka refused
    done_at_ms INTEGER,                             -- it was retried and has become reports
    raw BLOB NOT NULL
) STRICT;
CREATE INDEX quarantine_oldest ON quarantine (received_at_ms);

-- name = 'kafka' or 'callback/{name}', as in the leases.
CREATE TABLE subscriptions (
    id INTEGER PRIMARY KEY,
    stream_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,                      -- all entries up to here are passed
    cluster_id TEXT,
    at_ms INTEGER NOT NULL,
    retired_at_ms INTEGER,                          -- no longer in the configuration
    stored_reports INTEGER NOT NULL DEFAULT 0,      -- members of pending deliveries
    dead_reports INTEGER NOT NULL DEFAULT 0,        -- members of dead letters
    dropped_reports INTEGER NOT NULL DEFAULT 0,     -- members of dead letters that somebody dropped
    expired_reports INTEGER NOT NULL DEFAULT 0,     -- members of dead letters that were kept long enough
    wanted_types TEXT,                              -- JSON array; NULL: all
    wanted_groups TEXT,                             -- the same
    UNIQUE (stream_id, name)
) STRICT;

-- When Kafka was known to have which entries: up to last_seq.
CREATE TABLE publications (
    stream_id INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (stream_id, last_seq)
) STRICT, WITHOUT ROWID;

-- When everybody had passed which entry: retention counts from then.
CREATE TABLE passages (
    stream_id INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (stream_id, at_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription_id INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,               -- 0 pending, 1 dead
    attempts INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    next_attempt_at_ms INTEGER NOT NULL,
    behind INTEGER,                                 -- the delivery of an earlier revision that must end first
    reports INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    seqs TEXT,                                      -- JSON array of the members in order; NULL: first_seq alone
    dead_at_ms INTEGER,
    dead_reason TEXT,
    replay_id INTEGER                               -- the replay that stored it, or put it back
) STRICT;
CREATE INDEX deliveries_due ON deliveries (subscription_id, next_attempt_at_ms) WHERE state = 0 AND behind IS NULL;
CREATE INDEX deliveries_oldest ON deliveries (subscription_id) WHERE state = 0;
CREATE INDEX deliveries_dead ON deliveries (subscription_id, dead_at_ms) WHERE state = 1;
CREATE INDEX deliveries_dead_ids ON deliveries (id) WHERE state = 1;
CREATE INDEX deliveries_replayed ON deliveries (replay_id, state, attempts) WHERE replay_id IS NOT NULL;
CREATE INDEX deliveries_behind ON deliveries (behind) WHERE behind IS NOT NULL;

-- Which entries a pending delivery or a dead letter holds.
CREATE TABLE members (
    entry_id INTEGER NOT NULL,
    delivery_id INTEGER NOT NULL,
    PRIMARY KEY (entry_id, delivery_id)
) STRICT, WITHOUT ROWID;

-- Entries below pruned_to that were let go by a delivery: pruned when their retention has passed.
CREATE TABLE released (
    id INTEGER PRIMARY KEY,
    entry_id INTEGER NOT NULL,
    released_at_ms INTEGER NOT NULL
) STRICT;

-- What somebody asked to be sent to a callback again, and how far that has come in each stream.
CREATE TABLE replays (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    callback TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,               -- 0 running, 1 paused, 2 done, 3 cancelled
    since_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    status_groups TEXT,                             -- JSON array; NULL: all
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    dead INTEGER NOT NULL DEFAULT 0                 -- reports that had become dead letters when it ended
) STRICT;
CREATE INDEX replays_open ON replays (callback) WHERE state < 2;
CREATE INDEX replays_ended ON replays (ended_at_ms) WHERE state >= 2;
CREATE TABLE replay_spans (
    replay_id INTEGER NOT NULL,
    subscription_id INTEGER NOT NULL,
    after_seq INTEGER NOT NULL,                     -- it begins after this entry
    until_seq INTEGER NOT NULL,
    position INTEGER NOT NULL,                      -- all entries up to here are looked at
    pruned_to INTEGER NOT NULL,                     -- of the stream when it was asked for
    reports INTEGER NOT NULL DEFAULT 0,             -- sent again
    waiting INTEGER NOT NULL DEFAULT 0,             -- left out, they were about to be sent anyway
    gone INTEGER NOT NULL DEFAULT 0,                -- entries that were pruned before it came to them
    PRIMARY KEY (replay_id, subscription_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX replay_spans_of ON replay_spans (subscription_id);

CREATE TABLE attempts (
    subscription_id INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    delivery_id INTEGER,
    duration_us INTEGER NOT NULL,
    status INTEGER,
    result INTEGER NOT NULL,                        -- 0 delivered, 1 to be tried again, 2 given up
    error TEXT NOT NULL,
    answer BLOB NOT NULL,
    seqs TEXT,                                      -- JSON array; NULL: all from first_seq to last_seq
    PRIMARY KEY (subscription_id, first_seq, started_at_ms)
) STRICT, WITHOUT ROWID;

-- Recordings of calls that reports point to: one for each messageId.
CREATE TABLE recordings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stream_id INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    url TEXT NOT NULL,
    day TEXT NOT NULL,                              -- of the call, UTC: 2015-02-12
    origin INTEGER NOT NULL,                        -- of the report
    state INTEGER NOT NULL DEFAULT 0,               -- 0 pending, 1 stored, 2 given up
    attempts INTEGER NOT NULL DEFAULT 0,            -- that failed
    created_at_ms INTEGER NOT NULL,
    next_attempt_at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL DEFAULT '',                -- why the last attempt failed
    UNIQUE (stream_id, message_id)
) STRICT;
CREATE INDEX recordings_due ON recordings (stream_id, next_attempt_at_ms) WHERE state = 0;
CREATE INDEX recordings_oldest ON recordings (created_at_ms);
