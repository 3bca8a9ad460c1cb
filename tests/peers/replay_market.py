"""Replays a recorded exchange stream and prints the book it ends in.

usage: replay_market.py FILE

One message a line. Of each runner the ladders are dictionaries by price, in which a size of zero removes; an image replaces the market.
"""

import json
import sys


def apply(market, change):
    if change.get("img"):
        market.clear()
    if "marketDefinition" in change:
        market["status"] = change["marketDefinition"]["status"]
    runners = market.setdefault("runners", {})
    for told in change.get("rc", ()):
        runner = runners.setdefault(told["id"], {"atb": {}, "atl": {}, "trd": {}})
        for name in ("atb", "atl", "trd"):
            ladder = runner[name]
            for price, size in told.get(name, ()):
                if size == 0:
                    ladder.pop(price, None)
                else:
                    ladder[price] = size
        if "ltp" in told:
            runner["ltp"] = told["ltp"]


def main():
    market, lines = {}, 0
    with open(sys.argv[1], encoding="utf-8") as file:
        for line in file:
            message = json.loads(line)
            changes = message.get("mc", ())
            lines += bool(changes)
            for change in changes:
                apply(market, change)
    runners = {
        str(runner): {
            name: sorted(map(list, value.items())) if isinstance(value, dict) else value
            for name, value in told.items()
        }
        for runner, told in market["runners"].items()
    }
    json.dump({"lines": lines, "status": market["status"], "runners": runners}, sys.stdout)


if __name__ == "__main__":
    main()
