#!/usr/bin/env python3
"""Rows of the Redis streams into a table, shared among the consumers of a group, each row once.

    redis_group.py --feed inplay --consumer one --table events.sqlite

Start as many as you like, each with a name of its own. A consumer that dies leaves entries that were given to it and not acknowledged:
after `--idle` milliseconds any other takes them over (XAUTOCLAIM, Redis 6.2 and later), and so does this one once it is back.
"""

import argparse
import json
import time

import redis

from once import Table, key_of

SHARDS = 16
BATCH = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="redis://127.0.0.1:6379/0")
    parser.add_argument("--prefix", default="touchline")
    parser.add_argument("--feed", required=True)
    parser.add_argument("--queue", choices=["ev", "odds", "chat"], default="ev")
    parser.add_argument("--group", default="table")
    parser.add_argument("--consumer", required=True)
    parser.add_argument("--idle", type=int, default=30_000, help="milliseconds")
    parser.add_argument("--table", required=True)
    args = parser.parse_args()

    table = Table(args.table)
    streams = [f"{args.prefix}:{args.queue}:{args.feed}:{shard}" for shard in range(SHARDS)]
    while True:
        server = redis.Redis.from_url(args.url, decode_responses=True, socket_timeout=30)
        try:
            consume(server, streams, args, table)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            print(f"again in a second: {error}", flush=True)
            time.sleep(1)


def consume(server, streams, args, table):
    for stream in streams:
        make_group(server, stream, args.group)
    print("ready", flush=True)
    claim_at = 0.0
    while True:
        if time.monotonic() >= claim_at:
            claim_at = time.monotonic() + args.idle / 1000
            for stream in streams:
                claim(server, stream, args, table)
        # What no consumer of the group was given yet, of all shards at once.
        given = server.xreadgroup(args.group, args.consumer, {stream: ">" for stream in streams}, count=BATCH, block=500)
        for stream, entries in in_pairs(given):
            take(server, stream, entries, args, table)


def make_group(server, stream, group):
    """From the first entry on; `$` in place of `0` begins with what comes next."""
    try:
        server.xgroup_create(stream, group, id="0", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


def claim(server, stream, args, table):
    """Takes over what another consumer, or this one before, was given and has not acknowledged for too long."""
    start = "0-0"
    while True:
        start, entries, *_ = server.xautoclaim(stream, args.group, args.consumer, args.idle, start_id=start, count=BATCH)
        take(server, stream, entries, args, table)
        if start == "0-0":
            return


def take(server, stream, entries, args, table):
    """Writes the rows, then acknowledges them: what crashes in between comes again, and the table has it already."""
    # Of an entry that the stream's bound took away only the number is left.
    rows = [(key_of(json.loads(fields["event"]), entry), fields["event"]) for entry, fields in entries if fields]
    if rows:
        table.add(rows)
    taken = [entry for entry, _ in entries if entry]
    if taken:
        server.xack(stream, args.group, *taken)


def in_pairs(given):
    """Streams with their entries, whatever form this version of the client gives them: pairs, or a dictionary, at times of lists in lists."""
    for stream, entries in given.items() if isinstance(given, dict) else given or []:
        yield stream, entries[0] if entries and isinstance(entries[0], list) else entries


if __name__ == "__main__":
    main()
