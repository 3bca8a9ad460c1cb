#!/usr/bin/env python3
"""Records of the Kafka topics into a table, shared among the consumers of a group, each record once.

    kafka_group.py --servers 127.0.0.1:9092 --feed inplay --table events.sqlite

The key of a record is its match, so all of a match is in one partition and in order. Start as many as you like: the group shares the
partitions among them, and those of one that dies go to the others after `--session` milliseconds.
"""

import argparse

from confluent_kafka import Consumer

from once import Table

BATCH = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default="127.0.0.1:9092")
    parser.add_argument("--prefix", default="touchline")
    parser.add_argument("--feed", required=True)
    parser.add_argument("--queue", choices=["ev", "odds", "chat"], default="ev")
    parser.add_argument("--group", default="table")
    parser.add_argument("--session", type=int, default=45_000, help="milliseconds")
    parser.add_argument("--table", required=True)
    args = parser.parse_args()

    table = Table(args.table)
    consumer = Consumer(
        {
            "bootstrap.servers": args.servers,
            "group.id": args.group,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": args.session,
            # The place in the topics moves on only once the rows are written.
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([f"{args.prefix}.{args.queue}.{args.feed}"], on_assign=lambda *_: print("ready", flush=True))
    try:
        while True:
            records = consumer.consume(BATCH, timeout=1.0)
            good = [record for record in records if record.error() is None]
            for record in records:
                if record.error() is not None:
                    print(record.error(), flush=True)
            if good:
                table.add([(dict(record.headers())["id"].decode(), record.value().decode()) for record in good])
                consumer.commit(asynchronous=False)
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
