#!/usr/bin/env python3
"""Messages of a RabbitMQ queue into a table, each once.

    rabbitmq_queue.py --key 'inplay.priority.*' --table events.sqlite

The queue outlives broker and consumer. Start it once before the daemon: the exchange keeps nothing for a queue that is still to come.
Keys are `feed.lane.type`; `*` stands for one word, `#` for any number of them.
"""

import argparse
import time

import pika
import pika.exceptions

from once import Table

BATCH = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="amqp://guest:guest@127.0.0.1:5672/%2F")
    parser.add_argument("--exchange", default="touchline")
    parser.add_argument("--queue", default="table")
    parser.add_argument("--key", action="append", help="a binding; all rows without one")
    parser.add_argument("--table", required=True)
    args = parser.parse_args()

    table = Table(args.table)
    while True:
        try:
            consume(args, table)
        except pika.exceptions.AMQPError as error:
            print(f"again in a second: {error!r}", flush=True)
            time.sleep(1)


def consume(args, table):
    connection = pika.BlockingConnection(pika.URLParameters(args.url))
    channel = connection.channel()
    channel.exchange_declare(args.exchange, exchange_type="topic", durable=True)
    channel.queue_declare(args.queue, durable=True)
    for key in args.key or ["#"]:
        channel.queue_bind(args.queue, args.exchange, routing_key=key)
    channel.basic_qos(prefetch_count=2 * BATCH)
    print("ready", flush=True)
    rows, last = [], None
    # Without a message for so long it gives three times None.
    for method, properties, body in channel.consume(args.queue, inactivity_timeout=0.2):
        if method is not None:
            # Each row has a message id of its own; copies have the same.
            rows.append((properties.message_id, body.decode()))
            last = method.delivery_tag
        if rows and (method is None or len(rows) >= BATCH):
            table.add(rows)
            # Only now: what crashes before comes again, and the table has it already.
            channel.basic_ack(last, multiple=True)
            rows = []


if __name__ == "__main__":
    main()
