// The second tab: who does the work. It asks /api/pool each two seconds, only while it is shown.

import { address, draw, drawer, element, make, span, view, write } from './dom.js';

const EVERY = 2000;
let pool = null;
let failed = '';
let timer = 0;

export function startPool() {
  drawer('pool', drawPool);
}

export function showPool() {
  clearTimeout(timer);
  if (view.tab === 'pool') read();
}

async function read() {
  try {
    const answer = await fetch(address('/api/pool'), { signal: AbortSignal.timeout(10000) });
    const said = await answer.json();
    if (answer.ok) pool = said;
    failed = answer.ok ? '' : said.error || `status ${answer.status}`;
  } catch {
    failed = 'the server does not answer';
  }
  draw('pool');
  if (view.tab === 'pool') timer = setTimeout(read, EVERY);
}

function drawPool() {
  write(element('pool-trouble'), failed ? `Not up to date: ${failed}` : '');
  if (!pool) return;
  const { status, workers } = pool;
  const recorder = status.recorder || {};
  drawFigures([
    ['state', status.state], ['up for', span(status.uptime_s || 0)], ['matches live', status.matches?.live],
    ['stale', status.matches?.stale], ['events', recorder.events], ['gaps open', recorder.gaps_open],
    ['workers', workers.length], ['restarts', status.workers?.restarts],
  ]);
  const most = Math.max(1, ...workers.map((worker) => Math.max(worker.cap || 0, worker.subscriptions || 0)));
  drawWorkers(workers, most);
  const deaths = status.deaths || [];
  const lines = deaths.slice(-20).reverse().map((death) => make('li', '', told(death)));
  element('deaths').replaceChildren(...(lines.length ? lines : [make('li', 'quiet', 'None.')]));
}

function told(death) {
  return Object.values(death).filter((value) => value !== null && value !== '' && typeof value !== 'object').map(String).join(' · ');
}

function drawFigures(figures) {
  const box = element('figures');
  figures.forEach(([name, value], place) => {
    let one = box.children[place];
    if (!one) {
      one = box.appendChild(make('div'));
      one.append(make('dt'), make('dd'));
    }
    write(one.firstChild, name);
    write(one.lastChild, typeof value === 'number' ? value.toLocaleString('en') : String(value ?? '–'));
  });
}

function drawWorkers(workers, most) {
  const body = element('workers');
  while (body.rows.length > workers.length) body.lastChild.remove();
  workers.forEach((worker, place) => {
    let row = body.rows[place];
    if (!row) {
      row = body.insertRow();
      row.append(Object.assign(make('th'), { scope: 'row' }));
      for (let cell = 0; cell < 7; cell += 1) row.insertCell();
      const bar = make('span', 'gauge');
      bar.setAttribute('aria-hidden', 'true');
      bar.append(make('span'));
      row.cells[2].append(make('span', 'figure'), bar);
    }
    write(row.cells[0], `${worker.worker}`);
    write(row.cells[1], [worker.feed, worker.state === 'ready' ? '' : worker.state].filter(Boolean).join(', '));
    write(row.cells[2].firstChild, String(worker.matches ?? 0));
    row.cells[2].lastChild.firstChild.style.width = `${Math.round((100 * (worker.matches || 0)) / most)}%`;
    const lag = worker.lag_us || {};
    const texts = [Math.round(worker.diffs_per_s || 0).toLocaleString('en'), `${milliseconds(lag.p50)} / ${milliseconds(lag.p99)}`,
      `${Math.round(100 * (worker.busy || 0))} %`, `${Math.round((worker.rss_bytes || 0) / 1e6)} MB`, String(worker.restarts ?? 0)];
    texts.forEach((text, cell) => write(row.cells[cell + 3], text));
    row.classList.toggle('troubled', worker.state !== 'ready' || worker.connection !== 'up');
  });
}

function milliseconds(microseconds) {
  return typeof microseconds === 'number' ? (microseconds / 1000).toFixed(1) : '–';
}
