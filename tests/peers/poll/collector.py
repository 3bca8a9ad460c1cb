"""A plain Python collector of JSON over HTTP: what a good engineer would write instead of touchline, in one process.

It asks for each url once, WINDOW at a time in their order, parses each answer, and writes it to SQLite, in batches every 10 ms. `scripts/bench
poll` runs it beside the daemon; usage: python3 collector.py URLS WINDOW DATABASE. URLS is a file with a url in each line.
"""

import asyncio
import sqlite3
import sys

import aiohttp
import orjson

COMMIT_S = 0.01
WHOLE_S = 300
IDLE_S = 30


class Collector:
    def __init__(self, urls, database):
        self.urls = iter(urls)
        self.rows = []
        self.db = sqlite3.connect(database, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute("CREATE TABLE documents(url TEXT PRIMARY KEY, title TEXT, body TEXT)")

    async def fetch(self, session):
        for url in self.urls:
            try:
                async with session.get(url) as answer:
                    answer.raise_for_status()
                    body = await answer.read()
                parsed = orjson.loads(body)
                self.rows.append((url, parsed["title"], orjson.dumps(parsed).decode()))
            except (aiohttp.ClientError, asyncio.TimeoutError, ValueError, KeyError) as error:
                print(f"{url}: {error!r}", file=sys.stderr)

    async def commit(self):
        while True:
            await asyncio.sleep(COMMIT_S)
            if self.rows:
                rows, self.rows = self.rows, []
                self.db.execute("BEGIN")
                self.db.executemany("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", rows)
                self.db.execute("COMMIT")


async def main():
    urls_file, window, database = sys.argv[1:]
    with open(urls_file, encoding="utf-8") as lines:
        collector = Collector([line.strip() for line in lines if line.strip()], database)
    timeout = aiohttp.ClientTimeout(total=WHOLE_S, sock_read=IDLE_S)
    connector = aiohttp.TCPConnector(limit=int(window))
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        await asyncio.gather(collector.commit(), *(collector.fetch(session) for _ in range(int(window))))


if __name__ == "__main__":
    asyncio.run(main())
