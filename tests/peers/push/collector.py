"""A plain Python collector of a JSON push server: what a good engineer would write instead of touchline, in one process.

It shards the topics over connections of at most CAP subscriptions, applies images and deltas to dictionaries keyed by runner and price, and
writes a row for each last price that changed to SQLite, in batches every 10 ms. `scripts/bench push` runs it beside the daemon; usage:
python3 collector.py URL TOPICS_URL CAP DATABASE. It prints how many deltas it has applied, once a second.
"""

import asyncio
import sqlite3
import sys
import urllib.request

import orjson
from websockets.asyncio.client import connect

BATCH = 50
COMMIT_S = 0.01


class Collector:
    def __init__(self, url, database):
        self.url = url
        self.markets = {}
        self.deltas = 0
        self.rows = []
        self.db = sqlite3.connect(database, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute("CREATE TABLE IF NOT EXISTS odds(at INTEGER, market TEXT, runner INTEGER, price REAL)")

    def apply(self, change, at):
        topic = change["id"]
        market = self.markets.get(topic)
        if market is None or "img" in change:
            market = self.markets[topic] = {"definition": None, "runners": {}}
        else:
            self.deltas += 1
        definition = change.get("marketDefinition")
        if definition is not None:
            market["definition"] = definition
        runners = market["runners"]
        for told in change.get("rc", ()):
            key = told["id"]
            runner = runners.get(key)
            if runner is None:
                runner = runners[key] = {"ltp": None, "atb": {}, "atl": {}}
            for name in ("atb", "atl"):
                rungs = told.get(name)
                if rungs is not None:
                    ladder = runner[name]
                    for price, size in rungs:
                        if size == 0:
                            ladder.pop(price, None)
                        else:
                            ladder[price] = size
            price = told.get("ltp")
            if price is not None and price != runner["ltp"]:
                runner["ltp"] = price
                self.rows.append((at, topic, key, price))

    async def follow(self, topics):
        async with connect(self.url, compression=None, max_size=None, max_queue=None) as socket:
            number = 0
            for at in range(0, len(topics), BATCH):
                number += 1
                markets = {"marketIds": topics[at : at + BATCH]}
                asked = {"op": "marketSubscription", "id": number, "marketFilter": markets}
                await socket.send(orjson.dumps(asked).decode())
            async for text in socket:
                message = orjson.loads(text)
                changes = message.get("mc")
                if changes is not None:
                    at = message["pt"]
                    for change in changes:
                        self.apply(change, at)

    async def commit(self):
        while True:
            await asyncio.sleep(COMMIT_S)
            if self.rows:
                rows, self.rows = self.rows, []
                self.db.execute("BEGIN")
                self.db.executemany("INSERT INTO odds VALUES (?, ?, ?, ?)", rows)
                self.db.execute("COMMIT")

    async def report(self):
        while True:
            await asyncio.sleep(1)
            print(orjson.dumps({"deltas": self.deltas}).decode(), flush=True)


async def main():
    url, topics_url, cap, database = sys.argv[1:]
    with urllib.request.urlopen(topics_url) as answer:
        topics = [topic["id"] for topic in orjson.loads(answer.read())["topics"]]
    collector = Collector(url, database)
    shards = [topics[at : at + int(cap)] for at in range(0, len(topics), int(cap))]
    await asyncio.gather(collector.commit(), collector.report(), *map(collector.follow, shards))


if __name__ == "__main__":
    asyncio.run(main())
