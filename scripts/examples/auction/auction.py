#!/usr/bin/env python3
"""An auction before two gateways: bids come by HTTP, wait in a Redis list, and are published to every page.

    auction.py serve   --redis redis://127.0.0.1:6379 --listen 127.0.0.1:8000 --gateway ws://127.0.0.1:8090 [--gateway ...] --item 100 --ends 60
    auction.py publish --redis redis://127.0.0.1:6379 --gateway http://127.0.0.1:8091 [--gateway ...] --secret-file secret

`serve` has the page and takes bids: one script in Redis compares a bid with the leading one and puts it into the queue, so the order of the
queue is the order of the auction, whoever takes bids. `publish` takes the head of the queue, publishes it at one gateway after the other until one
says ok, and only then takes it out. A bid has a number, which is its idempotency key: a retry, at whichever gateway, is not published twice.
One publisher at a time keeps the order: a second one waits for the first one's lock. Needs the package `redis`.
"""
import argparse
import http.server
import json
import pathlib
import time
import urllib.error
import urllib.request

import redis

QUEUE, LOCK = "auction:queue", "auction:publisher"
LOCK_SECONDS = 10
# Answers [1, bid] for a bid that leads now, [0, why] for another.
BID = """
local ends, leading = tonumber(redis.call('HGET', KEYS[1], 'ends')), tonumber(redis.call('HGET', KEYS[1], 'price') or '0')
local now = redis.call('TIME')
if tonumber(now[1]) + now[2] / 1e6 >= ends then return {0, 'the auction is over'} end
if tonumber(ARGV[3]) <= leading then return {0, 'the leading bid is ' .. leading} end
local number = redis.call('HINCRBY', KEYS[1], 'number', 1)
redis.call('HSET', KEYS[1], 'price', ARGV[3], 'bidder', ARGV[2])
local bid = cjson.encode({item = ARGV[1], number = number, price = tonumber(ARGV[3]), bidder = ARGV[2], ends = ends})
redis.call('LPUSH', KEYS[2], bid)
return {1, bid}
"""


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/":
            return self.answer(404, "text/plain", b"not here\n")
        page = pathlib.Path(__file__).with_name("page.html").read_text()
        settings = {"gateways": self.server.gateways, "item": self.server.item, "ends": self.server.ends}
        # Nothing in it can end the script that it stands in.
        page = page.replace("/*settings*/", json.dumps(settings).replace("<", "\\u003c"))
        self.answer(200, "text/html; charset=utf-8", page.encode())

    def do_POST(self):
        try:
            bid = json.loads(self.rfile.read(min(int(self.headers["Content-Length"]), 10_000)))
            price, bidder = int(bid["price"]), str(bid["bidder"])[:40]
        except (KeyError, TypeError, ValueError):
            return self.answer(400, "text/plain", b'expected {"price": WHOLE NUMBER, "bidder": NAME}\n')
        item = self.server.item
        leads, text = self.server.bid(keys=[f"auction:item:{item}", QUEUE], args=[item, bidder, price])
        self.answer(200 if leads else 409, "application/json" if leads else "text/plain", text)

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(args):
    store = redis.Redis.from_url(args.redis)
    host, port = args.listen.rsplit(":", 1)
    server = http.server.ThreadingHTTPServer((host, int(port)), Page)
    server.gateways, server.item = args.gateway, args.item
    store.hsetnx(f"auction:item:{args.item}", "ends", time.time() + args.ends)
    server.ends = float(store.hget(f"auction:item:{args.item}", "ends"))
    server.bid = store.register_script(BID)
    print("serving", flush=True)
    server.serve_forever()


def publish(args):
    secret = pathlib.Path(args.secret_file).read_text().splitlines()[0]
    while True:
        try:
            publish_in_turn(args, secret, redis.Redis.from_url(args.redis))
        except (redis.exceptions.RedisError, redis.exceptions.LockError) as error:
            # Redis is away, or another took over meanwhile: back into the line.
            print(f"waiting: {error}", flush=True)
            time.sleep(0.5)


def publish_in_turn(args, secret, store):
    lock, at, told = store.lock(LOCK, timeout=LOCK_SECONDS), 0, False
    lock.acquire()
    print("publishing", flush=True)
    while True:
        lock.reacquire()
        # Waits up to half a second for the first; the oldest stands at the end.
        if not (bid := store.lindex(QUEUE, -1)):
            store.blmove(QUEUE, QUEUE, 0.5, "RIGHT", "RIGHT")
            continue
        try:
            post(args.gateway[at % len(args.gateway)], secret, json.loads(bid))
            # This one, whatever stands there by now: one that slept may not be alone.
            store.lrem(QUEUE, -1, bid)
            told = False
        except (urllib.error.URLError, OSError) as error:
            if not told:
                print(f"{args.gateway[at % len(args.gateway)]} does not take it: {error}", flush=True)
            at, told = at + 1, True
            time.sleep(0.05)


def post(gateway, secret, bid):
    body = json.dumps({"itemId": bid["item"], "channel": "bid", "message": bid, "retain": True})
    headers = {
        "Authorization": f"Bearer {secret}",
        "Content-Type": "application/json",
        "Idempotency-Key": f"auction-{bid['item']}-{bid['number']}",
    }
    urllib.request.urlopen(urllib.request.Request(f"{gateway}/pub", body.encode(), headers), timeout=2).read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    roles = parser.add_subparsers(dest="role", required=True)
    for name in ("serve", "publish"):
        role = roles.add_parser(name)
        role.add_argument("--redis", required=True)
        role.add_argument("--gateway", action="append", required=True)
    roles.choices["serve"].add_argument("--listen", required=True)
    roles.choices["serve"].add_argument("--item", required=True)
    roles.choices["serve"].add_argument("--ends", type=float, required=True, help="seconds from now")
    roles.choices["publish"].add_argument("--secret-file", required=True)
    args = parser.parse_args()
    {"serve": serve, "publish": publish}[args.role](args)


main()
