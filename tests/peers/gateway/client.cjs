// Connects to a local gateway and prints what the client makes of it, one JSON object a line, until standard input ends. Each line of standard
// input is an event to send, a JSON array; with `ack` as its name's end it waits for the acknowledgement.
// usage: client.cjs URL TRANSPORTS [AUTH], such as client.cjs 'http://127.0.0.1:8090?itemId=100' polling,websocket '{"token":"t"}'
'use strict';

const readline = require('node:readline');
const { io } = require('socket.io-client');

const [url, transports, auth] = process.argv.slice(2);
const print = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);
const socket = io(url, {
    transports: transports.split(','),
    auth: auth ? JSON.parse(auth) : undefined,
    reconnectionDelay: 100,
    reconnectionDelayMax: 500,
});

socket.io.on('open', () => {
    const { engine } = socket.io;
    print({ event: 'open', transport: engine.transport.name });
    engine.once('upgrade', (transport) => print({ event: 'upgrade', transport: transport.name }));
});
socket.on('connect', () => print({ event: 'connect' }));
socket.on('disconnect', (reason) => print({ event: 'disconnect', reason }));
socket.on('connect_error', (error) => print({ event: 'connect_error', message: error.message }));
socket.onAny((name, ...args) => print({ event: 'event', name, args, at: Date.now() }));

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
    const [name, ...args] = JSON.parse(line);
    if (name.endsWith('ack')) {
        socket.timeout(5000).emit(name, ...args, (error, ...answer) => {
            print({ event: 'ack', error: error && String(error), answer });
        });
    } else {
        socket.emit(name, ...args);
    }
});
lines.on('close', () => {
    socket.close();
    process.exit(0);
});
