// Joins a room of a local server and prints what the client decodes, one JSON object a line, until standard input ends.
// usage: client.cjs tcp|ws PORT ROOM PROTOVER [KEY]
'use strict';

const { LiveTCP, LiveWS } = require('bilibili-live-ws');

const [transport, port, room, protover, key] = process.argv.slice(2);
const options = { protover: Number(protover), key };
const live =
    transport === 'tcp'
        ? new LiveTCP(Number(room), { host: '127.0.0.1', port: Number(port), ...options })
        : new LiveWS(Number(room), { address: `ws://127.0.0.1:${port}/sub`, ...options });

const print = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);
live.on('live', () => print({ event: 'live' }));
live.on('heartbeat', (online) => print({ event: 'heartbeat', online }));
live.on('msg', (command) => print({ event: 'command', command }));
live.on('error', (error) => print({ event: 'error', error: String(error) }));
live.on('close', () => process.exit(0));
process.stdin.on('end', () => live.close());
process.stdin.resume();
