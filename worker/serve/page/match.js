// One match beside the list: its board, the chart of its main prices, its incidents on a minute axis and as a list, its markets.

import { address, changeView, clockOf, draw, drawer, element, make, view, write } from './dom.js';
import { gapsOf, minuteAxis, priceChart } from './charts.js';
import { openChat } from './chat.js';
import { Followed } from './stream.js';

const WINDOW = 10 * 60 * 1000;
const POINTS = 1000;
const EVENTS = 5000;
const LINES = 200;
const UNTOLD = new Set(['stat_change', 'point', 'throw_in', 'match_listed', 'retract']);
const BIG = new Set(['goal', 'penalty', 'set', 'wicket', 'match_started', 'match_ended']);

export let opened = null;
let events = new Map();
let history = null;
const cards = new Map();
const dirtyMarkets = new Set();
let changesShown = () => {};

export function startMatch(shown) {
  changesShown = shown;
  drawer('match', drawMatch);
  drawer('timeline', drawTimeline);
  drawer('charts', drawCharts);
}

export function choose(key) {
  changeView({ match: key });
  openMatch();
}

export function openMatch() {
  if (opened) opened.close();
  opened = null;
  history = null;
  events = new Map();
  cards.clear();
  dirtyMarkets.clear();
  for (const id of ['markets', 'timeline', 'board', 'axis', 'chart', 'legend']) element(id).replaceChildren();
  delete element('board').dataset.shown;
  for (const id of ['title', 'where', 'market-count', 'chart-title']) write(element(id), '');
  element('detail').hidden = !view.match;
  document.body.classList.toggle('open', Boolean(view.match));
  changesShown();
  draw('state');
  openChat(view.match);
  if (!view.match) return;
  const key = view.match;
  opened = new Followed({ match: key }, (patch) => changed(key, patch), (event) => {
    keep(event);
    draw('timeline');
  });
  draw('timeline');
}

export function tickMatch() {
  if (!opened) return;
  draw('match');
  draw('charts');
}

function changed(key, patch) {
  const markets = (patch || opened.document).markets || {};
  Object.keys(markets).forEach((market) => dirtyMarkets.add(market));
  // After a break the stream does not say what happened meanwhile.
  if (!patch) readEvents(key);
  if (!history || !patch) openHistory(key);
  else if (history.market in markets) remember(Date.now());
  draw('match');
}

function keep(event) {
  events.set(event.seq, event);
  if (events.size > EVENTS) events.delete(events.keys().next().value);
}

async function rowsOf(path, parameters) {
  try {
    const answer = await fetch(address(path, parameters));
    return answer.ok ? await answer.json() : [];
  } catch {
    // The stream says that we are disconnected, and reads them again when it is back.
    return [];
  }
}

async function readEvents(key) {
  for (const event of await rowsOf('/api/events', { match: key, limit: 1000 })) if (key === view.match) keep(event);
  draw('timeline');
  draw('charts');
}

// The main market: the first with two to four selections that have prices.
function mainMarket(shown) {
  const markets = shown.markets || {};
  return (shown.market_order || Object.keys(markets)).find((key) => {
    const selections = Object.values(markets[key]?.selections || {}).filter((one) => one.odds !== undefined);
    return selections.length >= 2 && selections.length <= 4;
  });
}

async function openHistory(key) {
  const market = mainMarket(opened.document);
  if (!market) return;
  const mine = { market, lines: new Map() };
  history = mine;
  const rows = await rowsOf(`/api/matches/${key.split('/').map(encodeURIComponent).join('/')}/odds`, { market, limit: 1000 });
  if (history !== mine) return;
  const old = mine.lines;
  mine.lines = new Map();
  // Rows without a selection are of the market as a whole.
  for (const row of rows) if (row.selection) point(row.selection, Date.parse(row.at), row.odds, row.suspended);
  for (const [name, points] of old) for (const [time, price] of points) point(name, time, price, false);
  remember(Date.now());
}

function point(name, time, odds, suspended) {
  const points = history.lines.get(name) || [];
  const price = suspended || typeof odds !== 'number' ? null : odds;
  const last = points.at(-1);
  if (last && (last[1] === price || last[0] > time)) return;
  points.push([time, price]);
  if (points.length > POINTS) points.shift();
  history.lines.set(name, points);
}

function remember(now) {
  const market = opened?.document.markets?.[history.market];
  for (const [name, one] of Object.entries(market?.selections || {})) point(name, now, one.odds, market.suspended || one.suspended);
  draw('charts');
}

function drawMatch() {
  if (!opened) return;
  const shown = opened.document;
  write(element('title'), shown.name || shown.match || view.match);
  const where = [shown.sport, shown.competition, (shown.status || '').replaceAll('_', ' '), (shown.period || '').replaceAll('_', ' '), shown.clock ? clockOf(shown) : ''];
  write(element('where'), where.filter(Boolean).join(' · ') + (shown.stale ? ' · nothing new came for a while' : ''));
  drawBoard(shown);
  const markets = shown.markets || {};
  for (const key of dirtyMarkets) drawMarket(key, markets[key]);
  dirtyMarkets.clear();
  const order = (shown.market_order || Object.keys(markets)).filter((key) => cards.has(key));
  const box = element('markets');
  order.forEach((key, place) => {
    const card = cards.get(key).node;
    if (box.children[place] !== card) box.insertBefore(card, box.children[place] || null);
  });
  write(element('market-count'), order.length ? String(order.length) : 'none');
}

function drawBoard(shown) {
  const score = shown.score || {};
  const stats = Object.entries(shown.stats || {}).filter(([, stat]) => stat && typeof stat === 'object' && 'home' in stat).slice(0, 6);
  const heads = [...(score.periods || []).map((_, place) => String(place + 1)), ...(score.points ? ['points'] : []), 'score', ...stats.map(([name]) => name.replaceAll('_', ' '))];
  const side = (name) => [
    ...(score.periods || []).map((one) => one[name]),
    ...(score.points ? [score.points.split(/[-:]/)[name === 'home' ? 0 : 1]] : []),
    score[name] ?? (name === 'home' ? score.text : ''),
    ...stats.map(([, stat]) => stat[name]),
  ].map((figure) => String(figure ?? ''));
  const texts = JSON.stringify([shown.home, shown.away, score.serving, heads, side('home'), side('away')]);
  const board = element('board');
  if (board.dataset.shown === texts) return;
  board.dataset.shown = texts;
  const table = make('table');
  const head = table.createTHead().insertRow();
  head.append(make('td'), ...heads.map((text) => Object.assign(make('th', '', text), { scope: 'col' })));
  const body = table.createTBody();
  const total = heads.indexOf('score');
  for (const name of ['home', 'away']) {
    const team = Object.assign(make('th', score.serving === name ? 'serving' : '', shown[name] || name), { scope: 'row' });
    body.insertRow().append(team, ...side(name).map((text, place) => make('td', place === total ? 'total' : '', text)));
  }
  board.replaceChildren(table);
}

function drawMarket(key, market) {
  let card = cards.get(key);
  if (!market) {
    if (card) card.node.remove();
    cards.delete(key);
    return;
  }
  if (!card) {
    card = { node: make('article', 'market'), title: make('h4'), list: make('ul'), lines: new Map() };
    card.node.append(card.title, card.list);
    cards.set(key, card);
  }
  write(card.title, market.name || key);
  card.node.classList.toggle('suspended', Boolean(market.suspended));
  const selections = Object.entries(market.selections || {}).sort(([, a], [, b]) => (a.order ?? 0) - (b.order ?? 0));
  for (const [name, line] of card.lines) {
    if (name in (market.selections || {})) continue;
    line.node.remove();
    card.lines.delete(name);
  }
  selections.forEach(([name, selection], place) => drawSelection(card, name, selection, place));
}

function drawSelection(card, name, selection, place) {
  let line = card.lines.get(name);
  if (!line) {
    line = { node: make('li'), name: make('span'), price: make('span', 'price') };
    line.node.append(line.name, line.price);
    card.lines.set(name, line);
  }
  if (card.list.children[place] !== line.node) card.list.insertBefore(line.node, card.list.children[place] || null);
  write(line.name, [selection.column, selection.name || name, selection.handicap].filter(Boolean).join(' '));
  write(line.price, selection.odds === undefined ? '–' : selection.odds.toFixed(2));
  line.node.classList.toggle('suspended', Boolean(selection.suspended));
  if (line.odds !== undefined && selection.odds !== undefined && line.odds !== selection.odds) flash(line, selection.odds > line.odds ? 'up' : 'down');
  line.odds = selection.odds;
}

function flash(line, direction) {
  line.node.classList.remove('up', 'down');
  requestAnimationFrame(() => line.node.classList.add(direction));
  clearTimeout(line.fades);
  line.fades = setTimeout(() => line.node.classList.remove('up', 'down'), 4000);
}

// The newest revision of each event, without what was taken back.
function told() {
  const all = [...events.values()].sort((a, b) => a.seq - b.seq);
  const takenBack = new Set(all.map((event) => event.retracts).filter(Boolean));
  const newest = [...new Map(all.map((event) => [event.id, event])).values()];
  return { shown: newest.filter((event) => !UNTOLD.has(event.type)), takenBack };
}

function drawCharts() {
  if (!opened) return;
  const shown = opened.document;
  const now = Date.now();
  const width = Math.max(280, element('timeline').clientWidth);
  const gaps = gapsOf(events.values(), now);
  const { shown: all, takenBack } = told();
  const stands = all.filter((event) => !takenBack.has(event.id));
  const minute = Math.max(0, ...stands.map((event) => event.minute || 0));
  const hasMinutes = /soccer|football|rugby|hockey|handball/.test(shown.sport || '');
  element('axis').hidden = !hasMinutes;
  if (hasMinutes) element('axis').replaceChildren(minuteAxis(stands, gaps, minute, { home: shown.home, away: shown.away }, width));
  element('prices').hidden = !history;
  if (!history) return;
  const market = shown.markets?.[history.market];
  const lines = [...history.lines].filter(([name]) => market?.selections?.[name]).slice(0, 4).map(([name, points]) => ({ name: market?.selections?.[name]?.name || name, points }));
  const first = Math.min(now - 30000, ...lines.map((line) => line.points[0]?.[0] ?? now));
  write(element('chart-title'), market?.name || 'Prices');
  element('chart').replaceChildren(priceChart(lines, gaps, Math.max(first, now - WINDOW), now, width));
  element('legend').replaceChildren(...lines.map((line, place) => {
    const price = line.points.at(-1)?.[1];
    return make('li', `key-${place}`, `${line.name} ${price === null || price === undefined ? 'suspended' : price.toFixed(2)}`);
  }));
}

function drawTimeline() {
  draw('charts');
  const { shown, takenBack } = told();
  shown.sort((a, b) => b.order - a.order || b.seq - a.seq);
  const lines = shown.slice(0, LINES).map((event) => timelineLine(event, takenBack));
  if (!lines.length) lines.push(make('li', 'quiet', 'Nothing yet.'));
  element('timeline').replaceChildren(...lines);
}

function timelineLine(event, takenBack) {
  const kind = takenBack.has(event.id) ? 'taken-back' : BIG.has(event.type) ? 'big' : event.type.startsWith('gap') ? 'gap' : event.type === 'comment' ? 'said' : '';
  const line = make('li', kind);
  const hasMinute = typeof event.minute === 'number';
  const clock = hasMinute ? `${event.minute}′` : new Date(event.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false });
  const payload = event.payload || {};
  const team = event.side && opened ? opened.document[event.side] || event.side : '';
  const score = event.score && BIG.has(event.type) ? `${event.score.home}–${event.score.away}` : '';
  const type = event.type === 'comment' ? '' : event.type.replaceAll('_', ' ');
  const text = [[payload.color, type].filter(Boolean).join(' '), team, score, payload.player, payload.text, payload.reason].filter(Boolean).join(' · ');
  line.append(make('time', '', clock), make('span', '', text));
  return line;
}
