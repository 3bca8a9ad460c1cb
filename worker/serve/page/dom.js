// What all parts of the page draw with: elements whose texts are set as text, never as markup, and one drawing a frame at most.
// A part registers what it draws under a name (`drawer`); whoever changed something asks for it (`draw`).

export const query = new URLSearchParams(location.search);
const token = query.get('token');
export const element = (id) => document.getElementById(id);

export function address(path, parameters) {
  const all = new URLSearchParams(parameters);
  if (token) all.set('token', token);
  const text = all.toString();
  return text ? path + '?' + text : path;
}

export function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function shape(tag, attributes, text) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

// Only what differs is written: a write of the same text costs a layout all the same.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function fill(node, texts) {
  while (node.children.length > texts.length) node.lastChild.remove();
  texts.forEach((text, place) => write(node.children[place] || node.appendChild(make('span')), text));
}

const drawers = new Map();
const due = new Set();
let frame = 0;

export function drawer(name, drawn) {
  drawers.set(name, drawn);
}

export function draw(name) {
  due.add(name);
  if (!frame) frame = requestAnimationFrame(drawAll);
}

function drawAll() {
  frame = 0;
  const now = [...drawers.keys()].filter((name) => due.has(name));
  due.clear();
  for (const name of now) drawers.get(name)();
}

// What the page shows, as its address says it.
export const view = { q: '', sport: '', state: '', match: '', tab: '' };

export function readView() {
  const now = new URLSearchParams(location.search);
  for (const name of Object.keys(view)) view[name] = now.get(name) || '';
}

export function viewAddress(changes) {
  const wanted = { ...view, ...changes };
  return address(location.pathname, Object.entries(wanted).filter(([, value]) => value));
}

// A step is one that the browser's back button takes back.
export function changeView(changes, kind = 'step') {
  Object.assign(view, changes);
  history[kind === 'step' ? 'pushState' : 'replaceState'](null, '', viewAddress({}));
}

const STATES = { not_started: 'soon', break: 'break', suspended: 'susp.', finished: 'end', abandoned: 'aband.', unknown: '' };

// The feed's clock goes on by the time since it was stated.
export function clockOf(line) {
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

export function span(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
