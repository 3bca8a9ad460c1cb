-- The tables and views of schema 1, as its program made them.
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE documents(
    feed TEXT NOT NULL, match TEXT NOT NULL, epoch INTEGER NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
    source TEXT NOT NULL, stale INTEGER NOT NULL, received_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (feed, match)) WITHOUT ROWID;
CREATE TABLE sections(
    feed TEXT NOT NULL, match TEXT NOT NULL, section TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (feed, match, section));
CREATE TABLE events(
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, revision INTEGER NOT NULL, retracts TEXT, feed TEXT NOT NULL,
    match TEXT NOT NULL, sport TEXT, type TEXT NOT NULL, lane TEXT NOT NULL, side TEXT, minute INTEGER,
    second INTEGER, period TEXT, at TEXT NOT NULL, feed_at TEXT, epoch INTEGER NOT NULL, version INTEGER NOT NULL,
    "order" INTEGER NOT NULL, score TEXT, late INTEGER NOT NULL, recovered INTEGER NOT NULL, payload TEXT NOT NULL);
CREATE UNIQUE INDEX events_id ON events(id, revision);
CREATE INDEX events_match ON events(feed, match, "order");
CREATE INDEX events_retracts ON events(retracts) WHERE retracts IS NOT NULL;
CREATE TABLE gaps(
    id INTEGER PRIMARY KEY, feed TEXT NOT NULL, match TEXT NOT NULL, worker INTEGER, started_at TEXT NOT NULL,
    ended_at TEXT, reason TEXT NOT NULL);
CREATE INDEX gaps_open ON gaps(feed, match) WHERE ended_at IS NULL;
CREATE TABLE ledgers(
    feed TEXT NOT NULL, match TEXT NOT NULL, format INTEGER NOT NULL, epoch INTEGER NOT NULL,
    "order" INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (feed, match)) WITHOUT ROWID;
CREATE TABLE channels(slot INTEGER PRIMARY KEY, generation INTEGER NOT NULL, n INTEGER NOT NULL);
CREATE VIEW matches AS
    SELECT d.feed, d.match, d.epoch, d.version, d.state,
        strftime('%Y-%m-%dT%H:%M:%S', d.updated_at / 1000000, 'unixepoch')
            || printf('.%06dZ', d.updated_at % 1000000) AS updated_at,
        json_set(
            coalesce((SELECT body FROM sections s WHERE s.feed = d.feed AND s.match = d.match AND s.section = ''), '{}'),
            '$.match', d.match, '$.feed', d.feed, '$.source', d.source, '$.epoch', d.epoch, '$.version', d.version,
            '$.received_at', strftime('%Y-%m-%dT%H:%M:%S', d.received_at / 1000000, 'unixepoch')
                || printf('.%06dZ', d.received_at % 1000000),
            '$.updated_at', strftime('%Y-%m-%dT%H:%M:%S', d.updated_at / 1000000, 'unixepoch')
                || printf('.%06dZ', d.updated_at % 1000000),
            '$.stale', json(iif(d.stale, 'true', 'false')),
            '$.markets', json(coalesce(
                (SELECT json_group_object(substr(s.section, 8), json(s.body)) FROM sections s
                 WHERE s.feed = d.feed AND s.match = d.match AND s.section >= 'market:' AND s.section < 'market;'),
                '{}'))) AS document
    FROM documents d;
CREATE VIEW timeline AS
    SELECT e.* FROM events e
    WHERE e.type <> 'retract'
        AND NOT EXISTS (SELECT 1 FROM events r WHERE r.retracts = e.id)
        AND NOT EXISTS (SELECT 1 FROM events n WHERE n.id = e.id AND n.revision > e.revision);
INSERT INTO meta VALUES ('schema', 1), ('token', 1700000000000), ('seq', 4), ('events', 4), ('epoch', 6), ('gaps', 0), ('odds_gone', 0);
