"""A plain Python scanner of the same feed: what a good engineer would write instead of touchline, in one process.

It reads one connection, frames it, applies loads and deltas to dictionaries, renders each changed market as JSON and
writes rows to SQLite every 10 ms. `scripts/bench` runs it beside the daemon; usage: scanner.py HOST PORT DATABASE.
"""

import asyncio
import json
import sqlite3
import struct
import sys
import time

LIST = "OVInPlay_1_3"
LOAD, DELTA, SUBSCRIBE, PING_CLIENT = 0x14, 0x15, 0x16, 0x19
COMMIT_S = 0.010
LENGTH = struct.Struct(">I")
encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Store:
    """Rows, committed in batches."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS odds(at INTEGER, match TEXT, market TEXT, selection TEXT, odds REAL, odds_text TEXT)"
        )
        self.db.execute("CREATE TABLE IF NOT EXISTS events(at INTEGER, match TEXT, type TEXT, value TEXT)")
        self.odds = []
        self.events = []

    def commit(self):
        if not self.odds and not self.events:
            return
        odds, self.odds = self.odds, []
        events, self.events = self.events, []
        self.db.execute("BEGIN")
        # sqlite3 keeps the prepared statements.
        self.db.executemany("INSERT INTO odds VALUES (?, ?, ?, ?, ?, ?)", odds)
        if events:
            self.db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", events)
        self.db.execute("COMMIT")


def decimal(text):
    above, slash, below = text.partition("/")
    if not slash:
        return None
    try:
        return round(int(above) / int(below) + 1, 4)
    except (ValueError, ZeroDivisionError):
        return None


class Node:
    """A node by its topic id; markets and selections keep the form in which they are rendered."""

    __slots__ = ("type", "key", "parent", "attrs", "view")

    def __init__(self, type, key, parent, attrs, view=None):
        self.type = type
        self.key = key
        self.parent = parent
        self.attrs = attrs
        self.view = view


class Scanner(asyncio.Protocol):
    def __init__(self, store, ended):
        self.store = store
        self.ended = ended
        self.pending = b""
        self.open = False
        self.aliases = {}
        self.nodes = {}
        self.changed = {}
        self.rendered = {}

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"\x23\x04\x15\x00\x00")

    def connection_lost(self, error):
        self.ended.set_result(None)

    def subscribe(self, topics):
        out = bytearray()
        for topic in topics:
            text = topic.encode()
            out += LENGTH.pack(7 + len(text)) + bytes((SUBSCRIBE, 0)) + text + b"\x01"
        self.transport.write(bytes(out))

    def data_received(self, data):
        if self.pending:
            data = self.pending + data
            self.pending = b""
        at = 0
        if not self.open:
            end = data.find(0, 4)
            if end < 0:
                self.pending = data
                return
            if data[2] not in (100, 105):
                raise ConnectionError(f"refused with {data[2]}")
            self.open = True
            at = end + 1
            self.subscribe([LIST])
        now = time.time_ns() // 1_000_000
        size = len(data)
        unpack = LENGTH.unpack_from
        update = self.update
        while size - at >= 6:
            (length,) = unpack(data, at)
            end = at + length
            if end > size:
                break
            type = data[at + 4]
            if type == DELTA or type == LOAD:
                head, _, body = data[at + 6 : end].partition(b"\x01")
                topic = head.partition(b"\x02")[0].decode()
                mark = topic.find("!")
                if mark == 0:
                    topic = self.aliases.get(topic, topic)
                elif mark > 0:
                    self.aliases[topic[mark:]] = topic[:mark]
                    topic = topic[:mark]
                if type == DELTA:
                    update(topic, body.decode(), now)
                else:
                    self.load(topic, body.decode())
            elif type == PING_CLIENT:
                self.transport.write(data[at:end])
            at = end
        if at < size:
            self.pending = data[at:]
        self.render()

    def load(self, topic, body):
        segments = body.split("|")
        if segments[0] != "F":
            return
        nodes = self.nodes
        event = market = None
        matches = []
        for segment in segments[1:]:
            if not segment:
                continue
            type, _, rest = segment.partition(";")
            attrs = dict(pair.split("=", 1) for pair in rest.split(";") if "=" in pair)
            if topic == LIST:
                if type == "EV":
                    matches.append("6V" + attrs["ID"])
                continue
            key = attrs.get("IT")
            if type == "EV":
                event = nodes[key] = Node(type, attrs["ID"], None, attrs)
            elif type == "MA":
                view = {
                    "id": attrs["ID"],
                    "name": attrs["NA"],
                    "suspended": attrs.get("SU") == "1",
                    "selections": {},
                }
                market = nodes[key] = Node(type, key, event, attrs, view)
                self.changed[key] = view
            elif type == "PA" and market is not None:
                odds = attrs.get("OD", "")
                view = {
                    "id": attrs["ID"],
                    "name": attrs["NA"],
                    "odds": decimal(odds),
                    "odds_text": odds,
                    "handicap": attrs.get("HA") or None,
                    "suspended": attrs.get("SU") == "1",
                    "order": int(attrs["OR"]),
                }
                market.view["selections"][key] = view
                nodes[key] = Node(type, key, market, attrs, view)
            elif key is not None:
                nodes[key] = Node(type, key, event, attrs)
        if matches:
            self.subscribe(matches)

    def update(self, topic, body, at):
        # `U|KEY=value;…;|`; insertions and deletions do not occur in what is measured.
        node = self.nodes.get(topic)
        if node is None or body[0] != "U":
            return
        type = node.type
        for pair in body[2:-1].split(";"):
            if not pair:
                continue
            key, _, value = pair.partition("=")
            if type == "PA":
                view, market = node.view, node.parent
                if key == "OD":
                    if view["odds_text"] == value:
                        continue
                    odds = decimal(value)
                    view["odds_text"] = value
                    view["odds"] = odds
                    self.store.odds.append((at, market.parent.key, market.key, node.key, odds, value))
                elif key == "SU":
                    view["suspended"] = value == "1"
                else:
                    extra = view.get("extra")
                    if extra is None:
                        view["extra"] = {key: value}
                    else:
                        extra[key] = value
                self.changed[market.key] = market.view
            elif type == "MA":
                if key == "SU":
                    node.view["suspended"] = value == "1"
                self.changed[node.key] = node.view
            else:
                attrs = node.attrs
                if key == "SS" and attrs.get(key) != value:
                    self.store.events.append((at, node.key, "score", value))
                elif key == "S1" and attrs.get(key) != value:
                    self.store.events.append((at, node.parent.key, "stat", value))
                attrs[key] = value

    def render(self):
        rendered = self.rendered
        for key, view in self.changed.items():
            rendered[key] = encode(view)
        self.changed.clear()


async def main(host, port, path):
    loop = asyncio.get_running_loop()
    store = Store(path)
    ended = loop.create_future()
    await loop.create_connection(lambda: Scanner(store, ended), host, int(port))

    async def commits():
        while True:
            await asyncio.sleep(COMMIT_S)
            store.commit()

    task = asyncio.create_task(commits())
    await ended
    task.cancel()


asyncio.run(main(*sys.argv[1:4]))
