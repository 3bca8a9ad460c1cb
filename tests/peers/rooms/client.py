"""Joins rooms of a local server over WebSocket and prints how many commands the client has decoded, once a second, until standard input ends.

usage: client.py PORT ROOM[,ROOM...] PROTOVER
"""
import asyncio
import json
import logging
import sys

import aiohttp
import blivedm
from blivedm.clients.ws_base import Operation

decoded = 0


class Client(blivedm.BLiveClient):
    """One room of the local server, in place of the site's."""

    def __init__(self, room, port, protover, session):
        super().__init__(room, uid=0, session=session)
        self.room, self.port, self.protover = room, port, protover

    async def init_room(self):
        self._room_id, self._uid = self.room, 0
        self._host_server_list, self._host_server_token = [], ""
        return True

    def _get_ws_url(self, retry_count):
        return f"ws://127.0.0.1:{self.port}/sub"

    async def _send_auth(self):
        join = {"uid": 0, "roomid": self.room, "protover": self.protover, "platform": "web", "type": 2, "key": ""}
        await self._websocket.send_bytes(self._make_packet(join, Operation.AUTH))


class Handler(blivedm.BaseHandler):
    """Decodes as the library does, and counts."""

    def handle(self, client, command):
        global decoded
        decoded += 1
        super().handle(client, command)


async def main(port, rooms, protover):
    # The library's own connector has room for a hundred.
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    handler = Handler()
    for room in rooms:
        client = Client(room, port, protover, session)
        client.set_handler(handler)
        client.start()
    loop = asyncio.get_running_loop()
    end = loop.run_in_executor(None, sys.stdin.buffer.read)
    while not end.done():
        await asyncio.wait([end], timeout=1)
        print(json.dumps({"event": "count", "decoded": decoded}), flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(main(int(sys.argv[1]), [int(room) for room in sys.argv[2].split(",")], int(sys.argv[3])))
