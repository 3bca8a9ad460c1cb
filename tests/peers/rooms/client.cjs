// Joins rooms of a local server and prints what the client decodes, one JSON object a line, until standard input ends.
// usage: client.cjs tcp|ws PORT ROOM[,ROOM…] PROTOVER [KEY [count]]
// With `count` it prints how many commands it has decoded, once a second, and not the commands.
'use strict';

const { LiveTCP, LiveWS } = require('bilibili-live-ws');

const [transport, port, rooms, protover, key, how] = process.argv.slice(2);
const options = { protover: Number(protover), key };
const print = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);
let decoded = 0;

const join = (room) => {
    const live =
        transport === 'tcp'
            ? new LiveTCP(room, { host: '127.0.0.1', port: Number(port), ...options })
            : new LiveWS(room, { address: `ws://127.0.0.1:${port}/sub`, ...options });
    live.on('live', () => print({ event: 'live', room }));
    live.on('heartbeat', (online) => print({ event: 'heartbeat', room, online }));
    live.on('msg', (command) => {
        decoded += 1;
        if (how !== 'count') {
            print({ event: 'command', room, command });
        }
    });
    live.on('error', (error) => print({ event: 'error', room, error: String(error) }));
    live.on('close', () => process.exit(0));
    return live;
};

const joined = rooms.split(',').map((room) => join(Number(room)));
if (how === 'count') {
    setInterval(() => print({ event: 'count', decoded }), 1000);
}
process.stdin.on('end', () => joined.forEach((live) => live.close()));
process.stdin.resume();
