"""A table that has each row once, however often it is delivered.

Delivery is at least once: what was sent and not confirmed when something crashed is sent again. So each row has a key, and the table
takes it once. The key is the event's id and its revision, or for rows of odds and comments the store's token and `seq`; brokers carry it
as the message's id, and `key_of` makes it from an event. Confirm a row to the broker only after `add` returned: then it is written.
"""

import json
import sqlite3


def key_of(event, otherwise):
    """The key of an event; of a row without an id the one that it was delivered under."""
    if event["lane"] in ("priority", "normal"):
        return event["id"] if event["revision"] == 0 else f"{event['id']}.{event['revision']}"
    return otherwise


class Table:
    def __init__(self, path):
        self.base = sqlite3.connect(path, timeout=30, isolation_level=None)
        self.base.execute("PRAGMA journal_mode = WAL")
        self.base.execute(
            "CREATE TABLE IF NOT EXISTS rows(key TEXT PRIMARY KEY, match TEXT, type TEXT, lane TEXT, row TEXT) WITHOUT ROWID"
        )

    def add(self, rows):
        """Writes (key, row as JSON), those that are new; all of them or none."""
        self.base.execute("BEGIN IMMEDIATE")
        try:
            for key, text in rows:
                row = json.loads(text)
                # Put what you do with a row here: it happens once, as it is in the same transaction.
                self.base.execute(
                    "INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?, ?)",
                    (key, row["match"], row["type"], row["lane"], text),
                )
            self.base.execute("COMMIT")
        except BaseException:
            self.base.execute("ROLLBACK")
            raise
