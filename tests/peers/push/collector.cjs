// A plain Node collector of a JSON push server: what a good engineer would write instead of touchline, in one process.
//
// It shards the topics over connections of at most CAP subscriptions, applies images and deltas to maps keyed by runner and price, and
// writes a row for each last price that changed to SQLite, in batches every 10 ms. `scripts/bench push` runs it beside the daemon;
// usage: node collector.cjs URL TOPICS_URL CAP DATABASE. It prints how many deltas it has applied, once a second.
'use strict';

const Database = require('better-sqlite3');
const WebSocket = require('ws');

const [url, list, cap, file] = process.argv.slice(2);
const BATCH = 50;
const COMMIT_MS = 10;

const db = new Database(file);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = NORMAL');
db.exec('CREATE TABLE IF NOT EXISTS odds(at INTEGER, market TEXT, runner INTEGER, price REAL)');
const insert = db.prepare('INSERT INTO odds VALUES (?, ?, ?, ?)');
let rows = [];
const commit = db.transaction((batch) => {
  for (const row of batch) insert.run(row[0], row[1], row[2], row[3]);
});
setInterval(() => {
  if (rows.length === 0) return;
  const batch = rows;
  rows = [];
  commit(batch);
}, COMMIT_MS);

const markets = new Map();
let deltas = 0;

function climb(ladder, told) {
  for (const [price, size] of told) {
    if (size === 0) ladder.delete(price);
    else ladder.set(price, size);
  }
}

function apply(change, at) {
  let market = markets.get(change.id);
  if (market === undefined || change.img) {
    market = { definition: undefined, runners: new Map() };
    markets.set(change.id, market);
  } else {
    deltas += 1;
  }
  if (change.marketDefinition !== undefined) market.definition = change.marketDefinition;
  if (change.rc === undefined) return;
  for (const told of change.rc) {
    let runner = market.runners.get(told.id);
    if (runner === undefined) {
      runner = { price: undefined, back: new Map(), lay: new Map() };
      market.runners.set(told.id, runner);
    }
    if (told.atb !== undefined) climb(runner.back, told.atb);
    if (told.atl !== undefined) climb(runner.lay, told.atl);
    if (told.ltp !== undefined && told.ltp !== runner.price) {
      runner.price = told.ltp;
      rows.push([at, change.id, told.id, told.ltp]);
    }
  }
}

function connect(topics) {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  let id = 0;
  socket.on('open', () => {
    for (let at = 0; at < topics.length; at += BATCH) {
      id += 1;
      const marketIds = topics.slice(at, at + BATCH);
      socket.send(JSON.stringify({ op: 'marketSubscription', id, marketFilter: { marketIds } }));
    }
  });
  socket.on('message', (data) => {
    const message = JSON.parse(data);
    if (message.mc === undefined) return;
    for (const change of message.mc) apply(change, message.pt);
  });
  socket.on('error', (error) => {
    console.error(String(error));
    process.exit(1);
  });
  setInterval(() => {
    id += 1;
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ op: 'heartbeat', id }));
  }, 5000);
}

async function main() {
  const answer = await fetch(list);
  const topics = (await answer.json()).topics.map((topic) => topic.id);
  for (let at = 0; at < topics.length; at += Number(cap)) connect(topics.slice(at, at + Number(cap)));
  setInterval(() => console.log(JSON.stringify({ deltas })), 1000);
}

main();
