// A server of Socket.IO with the classic Redis adapter, and an emitter, until standard input ends. Prints where it listens and what came of each
// line of standard input, one JSON object a line. Lines are arrays: ["server", ROOM, NAME, ARG] emits by the server, ["emitter", ROOM, NAME, ARG]
// by the emitter, ["join"|"leave", ROOM, OTHER] and ["disconnect", ROOM] ask all servers, ["fetch"] and ["rooms"] ask them what they have.
// usage: server.cjs redis://127.0.0.1:6379
'use strict';

const http = require('node:http');
const readline = require('node:readline');
const { Server } = require('socket.io');
const { createAdapter } = require('@socket.io/redis-adapter');
const { Emitter } = require('@socket.io/redis-emitter');
const { createClient } = require('redis');

const print = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);

async function main() {
    const clients = [0, 1, 2].map(() => createClient({ url: process.argv[2] }));
    for (const client of clients) {
        client.on('error', (error) => print({ event: 'redis_error', message: error.message }));
        await client.connect();
    }
    const server = http.createServer();
    const io = new Server(server, { adapter: createAdapter(clients[0], clients[1], { requestsTimeout: 3000 }) });
    const emitter = new Emitter(clients[2]);
    io.on('connection', (socket) => {
        const rooms = socket.handshake.query.itemId;
        if (rooms) socket.join(rooms.split(','));
    });
    server.listen(0, '127.0.0.1', () => print({ event: 'listening', port: server.address().port }));
    const acts = {
        server: (room, name, arg) => io.to(room).emit(name, arg),
        emitter: (room, name, arg) => emitter.to(room).emit(name, arg),
        volatile: (room, name, arg) => emitter.to(room).volatile.emit(name, arg),
        binary: (room, name) => emitter.to(room).emit(name, Buffer.from([1, 2, 3])),
        join: (room, other) => emitter.in(room).socketsJoin(other),
        leave: (room, other) => emitter.in(room).socketsLeave(other),
        disconnect: (room) => emitter.in(room).disconnectSockets(),
        fetch: async () => (await io.fetchSockets()).length,
        rooms: async () => [...(await io.of('/').adapter.allRooms())].filter((room) => room.length < 20).sort(),
    };
    readline.createInterface({ input: process.stdin }).on('line', async (line) => {
        const [act, ...args] = JSON.parse(line);
        try {
            const result = await acts[act](...args);
            print({ event: 'done', act, result: typeof result === 'object' && !Array.isArray(result) ? true : result });
        } catch (error) {
            print({ event: 'failed', act, message: String(error) });
        }
    }).on('close', () => process.exit(0));
}

main();
