// A plain Node scanner of the same feed: what a good engineer would write instead of touchline, in one process.
//
// It reads one connection, frames it, applies loads and deltas to maps, renders each changed market as JSON and writes
// rows to SQLite every 10 ms. `scripts/bench` runs it beside the daemon; usage: node scanner.cjs HOST PORT DATABASE.
'use strict';

const net = require('node:net');
const Database = require('better-sqlite3');

const [host, port, file] = process.argv.slice(2);
const LIST = 'OVInPlay_1_3';
const LOAD = 0x14;
const DELTA = 0x15;
const PING_CLIENT = 0x19;
const SUBSCRIBE = 0x16;
const RD = 0x01;
const FD = 0x02;
const COMMIT_MS = 10;

// --- the store

const db = new Database(file);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = NORMAL');
db.exec(`
  CREATE TABLE IF NOT EXISTS odds(at INTEGER, match TEXT, market TEXT, selection TEXT, odds REAL, odds_text TEXT);
  CREATE TABLE IF NOT EXISTS events(at INTEGER, match TEXT, type TEXT, value TEXT);
`);
const insertOdds = db.prepare('INSERT INTO odds VALUES (?, ?, ?, ?, ?, ?)');
const insertEvent = db.prepare('INSERT INTO events VALUES (?, ?, ?, ?)');
let oddsRows = [];
let eventRows = [];

const commit = db.transaction((odds, events) => {
  for (let i = 0; i < odds.length; i++) {
    const row = odds[i];
    insertOdds.run(row.at, row.match, row.market, row.selection, row.odds, row.text);
  }
  for (let i = 0; i < events.length; i++) {
    const row = events[i];
    insertEvent.run(row.at, row.match, row.type, row.value);
  }
});

setInterval(() => {
  if (oddsRows.length === 0 && eventRows.length === 0) return;
  const odds = oddsRows;
  const events = eventRows;
  oddsRows = [];
  eventRows = [];
  commit(odds, events);
}, COMMIT_MS);

// --- the model: nodes by their topic id; markets and selections keep the form in which they are rendered

const nodes = new Map();
const changed = new Set();
const rendered = new Map();

function decimal(text) {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const below = +text.slice(slash + 1);
  if (!(below > 0)) return undefined;
  return Math.round((+text.slice(0, slash) / below + 1) * 10000) / 10000;
}

function attributes(segment, from, into) {
  while (from < segment.length) {
    let end = segment.indexOf(';', from);
    if (end < 0) end = segment.length;
    const equals = segment.indexOf('=', from);
    if (equals >= 0 && equals < end) into[segment.slice(from, equals)] = segment.slice(equals + 1, end);
    from = end + 1;
  }
  return into;
}

function load(topic, body) {
  const segments = body.split('|');
  if (segments[0] !== 'F') return;
  let event = null;
  let market = null;
  const found = [];
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i];
    if (segment === '') continue;
    const end = segment.indexOf(';');
    const type = end < 0 ? segment : segment.slice(0, end);
    const attrs = end < 0 ? {} : attributes(segment, end + 1, {});
    if (topic === LIST) {
      if (type === 'EV') found.push('6V' + attrs.ID);
      continue;
    }
    if (type === 'EV') {
      event = { type, id: attrs.ID, attrs };
      nodes.set(attrs.IT, event);
    } else if (type === 'MA') {
      market = {
        type,
        key: attrs.IT,
        event,
        view: { id: attrs.ID, name: attrs.NA, suspended: attrs.SU === '1', selections: {} },
      };
      nodes.set(attrs.IT, market);
      changed.add(market);
    } else if (type === 'PA' && market !== null) {
      const view = {
        id: attrs.ID,
        name: attrs.NA,
        odds: decimal(attrs.OD),
        odds_text: attrs.OD,
        handicap: attrs.HA || undefined,
        suspended: attrs.SU === '1',
        order: +attrs.OR,
      };
      market.view.selections[attrs.IT] = view;
      nodes.set(attrs.IT, { type, key: attrs.IT, market, view });
    } else if (attrs.IT !== undefined) {
      nodes.set(attrs.IT, { type, event, attrs });
    }
  }
  if (found.length > 0) subscribe(found);
}

function update(topic, body, at) {
  // `U|KEY=value;…;|`; insertions and deletions do not occur in what is measured.
  if (body.charCodeAt(0) !== 0x55) return;
  const node = nodes.get(topic);
  if (node === undefined) return;
  let from = 2;
  const stop = body.length - 1;
  while (from < stop) {
    let end = body.indexOf(';', from);
    if (end < 0) end = stop;
    const equals = body.indexOf('=', from);
    const key = body.slice(from, equals);
    const value = body.slice(equals + 1, end);
    from = end + 1;
    if (node.type === 'PA') {
      const view = node.view;
      if (key === 'OD') {
        if (view.odds_text === value) continue;
        view.odds_text = value;
        view.odds = decimal(value);
        oddsRows.push({
          at,
          match: node.market.event.id,
          market: node.market.key,
          selection: node.key,
          odds: view.odds,
          text: value,
        });
      } else if (key === 'SU') {
        view.suspended = value === '1';
      } else {
        (view.extra ??= {})[key] = value;
      }
      changed.add(node.market);
    } else if (node.type === 'MA') {
      if (key === 'SU') node.view.suspended = value === '1';
      changed.add(node);
    } else {
      if (key === 'SS' && node.attrs.SS !== value) {
        eventRows.push({ at, match: node.id, type: 'score', value });
      } else if (key === 'S1' && node.attrs.S1 !== value) {
        eventRows.push({ at, match: node.event.id, type: 'stat', value });
      }
      node.attrs[key] = value;
    }
  }
}

function render() {
  for (const market of changed) rendered.set(market.key, JSON.stringify(market.view));
  changed.clear();
}

// --- the wire

const socket = net.connect({ host, port: +port, noDelay: true }, () => {
  socket.write(Buffer.from([0x23, 0x04, 0x15, 0x00, 0x00]));
});

function frame(type, header) {
  const text = Buffer.from(header);
  const out = Buffer.allocUnsafe(7 + text.length);
  out.writeUInt32BE(out.length, 0);
  out[4] = type;
  out[5] = 0;
  text.copy(out, 6);
  out[out.length - 1] = RD;
  return out;
}

function subscribe(topics) {
  socket.write(Buffer.concat(topics.map((topic) => frame(SUBSCRIBE, topic))));
}

let pending = null;
let open = false;
const aliases = new Map();

socket.on('data', (chunk) => {
  const buffer = pending === null ? chunk : Buffer.concat([pending, chunk]);
  pending = null;
  let at = 0;
  if (!open) {
    const end = buffer.indexOf(0, 4);
    if (end < 0) {
      pending = buffer;
      return;
    }
    if (buffer[2] !== 100 && buffer[2] !== 105) throw new Error(`refused with ${buffer[2]}`);
    open = true;
    at = end + 1;
    subscribe([LIST]);
  }
  const now = Date.now();
  while (buffer.length - at >= 6) {
    const length = buffer.readUInt32BE(at);
    if (buffer.length - at < length) break;
    const end = at + length;
    const type = buffer[at + 4];
    if (type === LOAD || type === DELTA) {
      const split = buffer.indexOf(RD, at + 6);
      let header = buffer.latin1Slice(at + 6, split);
      const field = header.indexOf('\x02');
      if (field >= 0) header = header.slice(0, field);
      const mark = header.indexOf('!');
      if (mark === 0) {
        header = aliases.get(header) ?? header;
      } else if (mark > 0) {
        aliases.set(header.slice(mark), header.slice(0, mark));
        header = header.slice(0, mark);
      }
      const body = buffer.utf8Slice(split + 1, end);
      if (type === DELTA) update(header, body, now);
      else load(header, body);
    } else if (type === PING_CLIENT) {
      socket.write(buffer.subarray(at, end));
    }
    at = end;
  }
  if (at < buffer.length) pending = buffer.subarray(at);
  render();
});

socket.on('close', () => process.exit(0));
socket.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
