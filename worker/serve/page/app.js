'use strict';
// The live page: the list of matches, and one of them beside it. Both are documents that a stream keeps at the newest state by merge patches
// (RFC 7396). What came is drawn at most once a frame. Texts of feeds are set as text, never as markup.

const query = new URLSearchParams(location.search);
const token = query.get('token');
const element = (id) => document.getElementById(id);

function address(path, parameters) {
  const all = new URLSearchParams(parameters);
  if (token) all.set('token', token);
  const text = all.toString();
  return text ? path + '?' + text : path;
}

function merge(target, patch) {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const into = target !== null && typeof target === 'object' && !Array.isArray(target) ? target : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete into[key];
    else into[key] = merge(into[key], value);
  }
  return into;
}

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Only what differs is written: a write of the same text costs a layout all the same.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A document and the stream that keeps it. `changed(patch)` is called with null after a snapshot, `happened` with each event.
class Followed {
  constructor(parameters, changed, happened) {
    Object.assign(this, { parameters, changed, happened, document: {}, since: Date.now(), state: 'connecting', wait: 1000 });
    this.open();
  }

  open() {
    const had = this.id ? { last: this.id } : {};
    this.source = new EventSource(address('/stream', { ...this.parameters, ...had }));
    this.source.addEventListener('snapshot', (message) => this.take(message, (said) => {
      this.document = said.document;
      this.changed(null);
    }));
    this.source.addEventListener('patch', (message) => this.take(message, (said) => {
      this.document = merge(this.document, said.patch);
      this.changed(said.patch);
    }));
    this.source.addEventListener('event', (message) => this.take(message, (said) => this.happened(said.event)));
    this.source.addEventListener('open', () => this.become('live'));
    this.source.addEventListener('error', () => {
      this.become('lost');
      // A browser gives up on an answer that is an error; we do not.
      if (this.source.readyState === EventSource.CLOSED) {
        this.retry = setTimeout(() => this.open(), this.wait);
        this.wait = Math.min(this.wait * 2, 10000);
      }
    });
  }

  take(message, apply) {
    this.become('live');
    this.wait = 1000;
    const said = JSON.parse(message.data);
    if (said.id) this.id = said.id;
    apply(said);
  }

  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.since = Date.now();
    draw('state');
  }

  close() {
    clearTimeout(this.retry);
    this.source.close();
  }
}

// What is to be drawn at the next frame.
const due = new Set();
let frame = 0;

function draw(what) {
  due.add(what);
  if (!frame) frame = requestAnimationFrame(drawAll);
}

function drawAll() {
  frame = 0;
  const now = new Set(due);
  due.clear();
  if (now.has('list')) drawList();
  else for (const key of now) if (rows.has(key)) drawRow(key);
  if (now.has('state')) drawState();
  if (now.has('match')) drawMatch();
  if (now.has('timeline')) drawTimeline();
}

function drawState() {
  const worst = [list, opened].filter(Boolean).find((one) => one.state !== 'live') || list;
  const seconds = Math.round((Date.now() - worst.since) / 1000);
  const since = new Date(worst.since).toLocaleTimeString();
  const text = { live: 'live', connecting: 'connecting', lost: `disconnected since ${since} (${seconds} s)` }[worst.state];
  element('state').dataset.state = worst.state;
  write(element('state-text'), text);
}

// ---- the list

const rows = new Map();
let list = null;
let filter = query.get('q') || '';
let chosen = query.get('match') || '';

function words(line) {
  return [line.name, line.home, line.away, line.competition, line.sport, line.status, line.period].filter(Boolean).join(' ').toLowerCase();
}

function isShown(line) {
  const text = words(line);
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

const ORDER = { in_play: 0, break: 0, suspended: 0, not_started: 1, unknown: 1, finished: 2, abandoned: 2 };

function listChanged(patch) {
  const matches = patch && patch.matches;
  if (!matches) return draw('list');
  for (const [key, change] of Object.entries(matches)) {
    const isNew = change === null || !rows.has(key);
    if (isNew || 'competition' in change || 'sport' in change || 'status' in change || 'name' in change) return draw('list');
    draw(key);
  }
}

// Puts the rows where they belong. A row that is there is moved, not made anew.
function drawList() {
  const sports = new Map();
  const lines = Object.entries(list.document.matches || {}).filter(([, line]) => isShown(line));
  lines.sort(([a, one], [b, other]) => (ORDER[one.status] ?? 1) - (ORDER[other.status] ?? 1) || (one.name || a).localeCompare(other.name || b));
  for (const [key, line] of lines) {
    const sport = line.sport || 'other';
    const competition = line.competition || 'Other';
    if (!sports.has(sport)) sports.set(sport, new Map());
    const groups = sports.get(sport);
    if (!groups.has(competition)) groups.set(competition, []);
    groups.get(competition).push(key);
  }
  const shown = [];
  for (const [sport, groups] of [...sports].sort(([a], [b]) => a.localeCompare(b))) {
    const section = make('section', 'sport');
    section.append(make('h2', '', sport.replaceAll('_', ' ')));
    const box = make('div', 'groups');
    for (const [competition, keys] of [...groups].sort(([a], [b]) => a.localeCompare(b))) {
      const group = make('div', 'group');
      group.append(make('h3', '', competition), ...keys.map(rowOf));
      box.append(group);
    }
    section.append(box);
    shown.push(section);
  }
  const all = Object.values(list.document.matches || {});
  for (const key of rows.keys()) if (!(key in (list.document.matches || {}))) rows.delete(key);
  element('empty').hidden = shown.length > 0;
  write(element('empty'), all.length ? 'No match fits the filter.' : 'Waiting for matches.');
  const focused = document.activeElement;
  element('list').replaceChildren(...shown, element('empty'));
  if (focused && focused.classList.contains('row') && focused.isConnected) focused.focus({ preventScroll: true });
  const live = all.filter((line) => line.status === 'in_play').length;
  write(element('count'), `${all.length} matches, ${live} in play`);
  document.title = live ? `${live} live · touchline` : 'touchline';
}

function rowOf(key) {
  if (!rows.has(key)) {
    const row = make('a', 'row');
    row.href = address(location.pathname, { ...(filter && { q: filter }), match: key });
    row.addEventListener('click', (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      choose(chosen === key ? '' : key);
    });
    row.append(make('span', 'when'), make('span', 'teams'), make('span', 'figures'));
    rows.set(key, row);
  }
  drawRow(key);
  return rows.get(key);
}

function drawRow(key) {
  const line = (list.document.matches || {})[key];
  const row = rows.get(key);
  if (!line || !row) return;
  const [when, teams, figures] = row.children;
  write(when, clockOf(line));
  fill(teams, line.home && line.away ? [line.home, line.away] : [line.name || key]);
  const score = line.score || {};
  [...teams.children].forEach((team, side) => team.classList.toggle('serving', score.serving === (side ? 'away' : 'home')));
  const columns = [];
  const periods = (score.periods || []).slice(-3);
  if (score.points) columns.push(['minor', score.points.split(/[-:]/)]);
  if (line.sport && /tennis|volleyball|badminton/.test(line.sport)) periods.forEach((one) => columns.push(['minor', [one.home, one.away]]));
  if (score.home !== undefined) columns.push(['', [score.home, score.away]]);
  else if (score.text) columns.push(['', [score.text]]);
  while (figures.children.length > columns.length) figures.lastChild.remove();
  columns.forEach(([className, pair], place) => {
    const column = figures.children[place] || figures.appendChild(make('span'));
    column.className = className;
    fill(column, pair.map((figure) => String(figure ?? '')));
  });
  row.classList.toggle('running', Boolean(line.clock && line.clock.running));
  row.classList.toggle('stale', Boolean(line.stale));
  row.classList.toggle('over', line.status === 'finished' || line.status === 'abandoned');
  row.setAttribute('aria-current', String(key === chosen));
}

function fill(node, texts) {
  while (node.children.length > texts.length) node.lastChild.remove();
  texts.forEach((text, place) => write(node.children[place] || node.appendChild(make('span')), text));
}

const STATES = { not_started: 'soon', break: 'break', suspended: 'susp.', finished: 'end', abandoned: 'aband.', unknown: '' };

// The feed's clock goes on by the time since it was stated.
function clockOf(line) {
  const clock = line.clock;
  if (clock && (clock.running || line.status === 'in_play')) {
    let seconds = clock.seconds || 0;
    const passed = clock.running && clock.at ? (Date.now() - Date.parse(clock.at)) / 1000 : 0;
    if (passed > 0 && passed < 7200) seconds += clock.down ? -passed : passed;
    seconds = Math.max(0, Math.floor(seconds));
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  }
  return STATES[line.status] ?? (line.period || 'live');
}

function listHappened(event) {
  if (event.retracts || !['goal', 'penalty', 'card', 'match_started'].includes(event.type)) return;
  const row = rows.get(`${event.feed}/${event.match}`);
  if (!row) return;
  row.classList.remove('scored');
  requestAnimationFrame(() => row.classList.add('scored'));
}

// ---- one match

let opened = null;
let events = new Map();
const cards = new Map();
const dirtyMarkets = new Set();

function choose(key) {
  chosen = key;
  const url = new URL(location);
  if (key) url.searchParams.set('match', key);
  else url.searchParams.delete('match');
  history.pushState(null, '', url);
  openMatch();
}

function openMatch() {
  if (opened) opened.close();
  opened = null;
  events = new Map();
  cards.clear();
  dirtyMarkets.clear();
  for (const id of ['markets', 'timeline', 'board']) element(id).replaceChildren();
  for (const id of ['title', 'where', 'market-count']) write(element(id), '');
  element('detail').hidden = !chosen;
  document.body.classList.toggle('open', Boolean(chosen));
  rows.forEach((row, key) => row.setAttribute('aria-current', String(key === chosen)));
  draw('state');
  if (!chosen) return;
  const key = chosen;
  opened = new Followed({ match: key }, (patch) => {
    if (patch) Object.keys(patch.markets || {}).forEach((market) => dirtyMarkets.add(market));
    else {
      Object.keys(opened.document.markets || {}).forEach((market) => dirtyMarkets.add(market));
      // After a break the stream does not say what happened meanwhile.
      readEvents(key);
    }
    draw('match');
  }, (event) => {
    events.set(event.seq, event);
    draw('timeline');
  });
}

async function readEvents(key) {
  try {
    const answer = await fetch(address('/api/events', { match: key, limit: 1000 }));
    if (!answer.ok) return;
    for (const event of await answer.json()) if (key === chosen) events.set(event.seq, event);
    draw('timeline');
  } catch {
    // The stream says that we are disconnected, and reads them again when it is back.
  }
}

function drawMatch() {
  if (!opened) return;
  const shown = opened.document;
  write(element('title'), shown.name || shown.match || chosen);
  const where = [shown.sport, shown.competition, (shown.status || '').replaceAll('_', ' '), shown.period, shown.clock ? clockOf(shown) : ''];
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
  for (const name of ['home', 'away']) {
    const row = body.insertRow();
    const team = Object.assign(make('th', score.serving === name ? 'serving' : '', shown[name] || name), { scope: 'row' });
    const total = heads.indexOf('score');
    row.append(team, ...side(name).map((text, place) => make('td', place === total ? 'total' : '', text)));
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
  for (const [name, line] of card.lines) if (!(name in (market.selections || {}))) { line.node.remove(); card.lines.delete(name); }
  selections.forEach(([name, selection], place) => {
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
    if (line.odds !== undefined && selection.odds !== undefined && line.odds !== selection.odds) {
      line.node.classList.remove('up', 'down');
      const direction = selection.odds > line.odds ? 'up' : 'down';
      requestAnimationFrame(() => line.node.classList.add(direction));
      clearTimeout(line.fades);
      line.fades = setTimeout(() => line.node.classList.remove('up', 'down'), 4000);
    }
    line.odds = selection.odds;
  });
}

const UNTOLD = new Set(['stat_change', 'point', 'throw_in', 'match_listed', 'retract']);
const BIG = new Set(['goal', 'penalty', 'set', 'wicket', 'match_started', 'match_ended']);

function drawTimeline() {
  const all = [...events.values()].sort((a, b) => a.seq - b.seq);
  const takenBack = new Set(all.map((event) => event.retracts).filter(Boolean));
  const newest = new Map(all.map((event) => [event.id, event]));
  const told = [...newest.values()].filter((event) => !UNTOLD.has(event.type));
  told.sort((a, b) => b.order - a.order || b.seq - a.seq);
  const lines = told.slice(0, 200).map((event) => {
    const line = make('li', takenBack.has(event.id) ? 'taken-back' : BIG.has(event.type) ? 'big' : event.type.startsWith('gap') ? 'gap' : '');
    const clock = event.minute === null ? new Date(event.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }) : `${event.minute}′`;
    const payload = event.payload || {};
    const team = event.side && opened ? opened.document[event.side] || event.side : '';
    const score = event.score ? `${event.score.home}–${event.score.away}` : '';
    const text = [payload.color, event.type.replaceAll('_', ' '), team, score, payload.player, payload.text, payload.reason].filter(Boolean).join(' · ');
    line.append(make('time', '', clock), make('span', '', text));
    return line;
  });
  if (!lines.length) lines.push(make('li', 'quiet', 'Nothing yet.'));
  element('timeline').replaceChildren(...lines);
}

// ---- the beginning

element('filter').value = filter;
element('filter').addEventListener('input', (event) => {
  filter = event.target.value;
  const url = new URL(location);
  if (filter) url.searchParams.set('q', filter);
  else url.searchParams.delete('q');
  history.replaceState(null, '', url);
  draw('list');
});
element('search').addEventListener('submit', (event) => event.preventDefault());
element('back').addEventListener('click', (event) => {
  event.preventDefault();
  const row = rows.get(chosen);
  choose('');
  if (row) row.focus();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && chosen) choose('');
  if (event.key === '/' && document.activeElement !== element('filter')) {
    event.preventDefault();
    element('filter').focus();
  }
});
addEventListener('popstate', () => {
  const now = new URLSearchParams(location.search);
  filter = now.get('q') || '';
  chosen = now.get('match') || '';
  element('filter').value = filter;
  draw('list');
  openMatch();
});
list = new Followed({}, listChanged, listHappened);
openMatch();
// Clocks tick, and so does the time that we are disconnected.
setInterval(() => {
  if (document.hidden) return;
  for (const [key, line] of Object.entries(list.document.matches || {})) if (line.clock && line.clock.running) draw(key);
  if (opened) draw('match');
  draw('state');
}, 1000);
