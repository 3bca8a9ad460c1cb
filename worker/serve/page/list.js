// The list of matches, grouped by sport and competition, filtered by words, sport and state. A row that nobody sees is not drawn.

import { changeView, clockOf, draw, drawer, element, fill, make, view, viewAddress, write } from './dom.js';
import { Followed } from './stream.js';

const rows = new Map();
const dirty = new Set();
// What an observer of the window says is seen, or nearly.
const seen = new Set();
let opens = () => {};
export let list = null;

const ORDER = { in_play: 0, break: 0, suspended: 0, not_started: 1, unknown: 1, finished: 2, abandoned: 2 };
const STATE_OF = { in_play: 'play', break: 'play', suspended: 'play', finished: 'over', abandoned: 'over' };

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const key = entry.target.dataset.key;
    if (entry.isIntersecting) {
      seen.add(key);
      dirty.add(key);
    } else seen.delete(key);
  }
  draw('rows');
}, { rootMargin: '200px' });

export function startList(open) {
  opens = open;
  drawer('list', drawList);
  drawer('rows', drawRows);
  element('filter').addEventListener('input', (event) => refine({ q: event.target.value }));
  element('sport').addEventListener('change', (event) => refine({ sport: event.target.value }));
  element('played').addEventListener('change', (event) => refine({ state: event.target.value }));
  element('clear').addEventListener('click', () => {
    refine({ q: '', sport: '', state: '' });
    showFilter();
    element('filter').focus();
  });
  showFilter();
  list = new Followed({}, listChanged, listHappened);
}

export function showFilter() {
  element('filter').value = view.q;
  element('played').value = view.state;
  fillSports();
  draw('list');
}

export function tickList() {
  for (const key of seen) if (matches()[key]?.clock?.running) dirty.add(key);
  draw('rows');
}

export function rowFor(key) {
  return rows.get(key);
}

export function markChosen() {
  rows.forEach((row, key) => mark(row, key));
}

export function matches() {
  return list?.document.matches || {};
}

function refine(changes) {
  changeView(changes, 'same');
  draw('list');
}

function isShown(line) {
  if (view.sport && (line.sport || 'other') !== view.sport) return false;
  if (view.state && (STATE_OF[line.status] || 'soon') !== view.state) return false;
  if (!view.q) return true;
  const text = [line.name, line.home, line.away, line.competition, line.sport, line.status, line.period].filter(Boolean).join(' ').toLowerCase();
  return view.q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function listChanged(patch) {
  const changes = patch && patch.matches;
  if (!changes) return draw(patch ? 'state' : 'list');
  for (const [key, change] of Object.entries(changes)) {
    const moves = change === null || !rows.has(key) || ['competition', 'sport', 'status', 'name'].some((name) => name in change);
    if (moves) soon('list', 1000);
    if (seen.has(key)) dirty.add(key);
    if (change && 'stale' in change) draw('state');
  }
  if (dirty.size) soon('rows', 100);
}

// Matches are suspended and resumed all the time: the order may lag by a second, figures by a tenth, which nobody sees.
const waiting = new Set();

function soon(name, milliseconds) {
  if (waiting.has(name)) return;
  waiting.add(name);
  setTimeout(() => {
    waiting.delete(name);
    draw(name);
  }, rows.size ? milliseconds : 0);
}

function grouped(lines) {
  const sports = new Map();
  for (const [key, line] of lines) {
    const sport = line.sport || 'other';
    const competition = line.competition || 'Other';
    if (!sports.has(sport)) sports.set(sport, new Map());
    const groups = sports.get(sport);
    if (!groups.has(competition)) groups.set(competition, []);
    groups.get(competition).push(key);
  }
  return sports;
}

// Puts the rows where they belong. A row that is there is moved, not made anew.
function drawList() {
  const all = matches();
  const lines = Object.entries(all).filter(([, line]) => isShown(line));
  lines.sort(([a, one], [b, other]) => (ORDER[one.status] ?? 1) - (ORDER[other.status] ?? 1) || (one.name || a).localeCompare(other.name || b));
  const shown = [];
  for (const [sport, groups] of [...grouped(lines)].sort(([a], [b]) => a.localeCompare(b))) {
    const section = make('section', 'sport');
    const count = [...groups.values()].reduce((sum, keys) => sum + keys.length, 0);
    const title = make('h2', '', sport.replaceAll('_', ' '));
    title.append(make('span', 'quiet', ` ${count}`));
    const box = make('div', 'groups');
    for (const [competition, keys] of [...groups].sort(([a], [b]) => a.localeCompare(b))) {
      const group = make('div', 'group');
      group.append(make('h3', '', competition), ...keys.map(rowOf));
      box.append(group);
    }
    section.append(title, box);
    shown.push(section);
  }
  for (const [key, row] of rows) if (!(key in all)) forget(key, row);
  const focused = document.activeElement;
  element('empty').hidden = shown.length > 0;
  write(element('empty-text'), Object.keys(all).length ? 'No match fits the filter.' : 'Waiting for matches.');
  element('clear').hidden = !(view.q || view.sport || view.state);
  element('sports').replaceChildren(...shown);
  if (focused && focused.classList.contains('row') && focused.isConnected) focused.focus({ preventScroll: true });
  fillSports();
  drawCount(Object.values(all), lines.length);
}

function drawCount(all, shown) {
  const live = all.filter((line) => line.status === 'in_play').length;
  const part = shown < all.length ? `${shown} of ` : '';
  write(element('count'), `${part}${all.length} matches, ${live} in play`);
  document.title = live ? `${live} live · touchline` : 'touchline';
}

function fillSports() {
  const names = new Set(Object.values(matches()).map((line) => line.sport || 'other'));
  if (view.sport) names.add(view.sport);
  const wanted = ['', ...[...names].sort()];
  const select = element('sport');
  if ([...select.options].map((option) => option.value).join('\n') !== wanted.join('\n')) {
    select.replaceChildren(...wanted.map((name) => new Option(name ? name.replaceAll('_', ' ') : 'All sports', name)));
  }
  select.value = view.sport;
}

function forget(key, row) {
  observer.unobserve(row);
  rows.delete(key);
  seen.delete(key);
}

function rowOf(key) {
  const known = rows.get(key);
  if (known) {
    mark(known, key);
    if (seen.has(key)) dirty.add(key);
    draw('rows');
    return known;
  }
  const row = make('a', 'row');
  row.dataset.key = key;
  row.addEventListener('click', (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    opens(view.match === key ? '' : key);
  });
  row.append(make('span', 'when'), make('span', 'teams'), make('span', 'figures'));
  rows.set(key, row);
  observer.observe(row);
  mark(row, key);
  drawRow(key);
  return row;
}

function drawRows() {
  for (const key of dirty) drawRow(key);
  dirty.clear();
}

function mark(row, key) {
  row.href = viewAddress({ match: key });
  if (key === view.match) row.setAttribute('aria-current', 'true');
  else row.removeAttribute('aria-current');
}

function drawRow(key) {
  const line = matches()[key];
  const row = rows.get(key);
  if (!line || !row) return;
  const [when, teams, figures] = row.children;
  write(when, clockOf(line));
  fill(teams, line.home && line.away ? [line.home, line.away] : [line.name || key]);
  const score = line.score || {};
  [...teams.children].forEach((team, side) => team.classList.toggle('serving', score.serving === (side ? 'away' : 'home')));
  const columns = columnsOf(line, score);
  while (figures.children.length > columns.length) figures.lastChild.remove();
  columns.forEach(([className, pair], place) => {
    const column = figures.children[place] || figures.appendChild(make('span'));
    if (column.className !== className) column.className = className;
    fill(column, pair.map((figure) => String(figure ?? '')));
  });
  row.classList.toggle('running', Boolean(line.clock && line.clock.running) || (line.status === 'in_play' && !line.clock));
  row.classList.toggle('stale', Boolean(line.stale));
  row.classList.toggle('over', line.status === 'finished' || line.status === 'abandoned');
}

function columnsOf(line, score) {
  const columns = [];
  if (score.points) columns.push(['minor', score.points.split(/[-:]/)]);
  if (line.sport && /tennis|volleyball|badminton/.test(line.sport)) {
    (score.periods || []).slice(-3).forEach((one) => columns.push(['minor', [one.home, one.away]]));
  }
  if (score.home !== undefined) columns.push(['', [score.home, score.away]]);
  else if (score.text) columns.push(['', [score.text]]);
  return columns;
}

function listHappened(event) {
  if (event.retracts || !['goal', 'penalty', 'card', 'match_started'].includes(event.type)) return;
  const row = rows.get(`${event.feed}/${event.match}`);
  if (!row) return;
  // No animation: with many matches one would always run, and have the whole page painted each frame.
  row.classList.add('scored');
  setTimeout(() => row.classList.remove('scored'), 4000);
}
