// Two drawings of one match, as SVG: its incidents on a minute axis, and its main prices over time. Times of gaps are shaded in both.
// Pure: they take rows and give elements; whoever calls them puts those in the page.

import { make, shape } from './dom.js';

const AXIS = { height: 112, left: 12, right: 12, middle: 52 };
const CHART = { height: 190, left: 42, right: 12, top: 10, bottom: 24 };
const MARKED = new Set(['goal', 'penalty', 'card', 'corner']);
const OFFSETS = { corner: 12, card: 24, goal: 38, penalty: 38 };

// Spans of gaps in milliseconds; one that is open ends now.
export function gapsOf(events, now) {
  const gaps = [];
  for (const event of [...events].sort((a, b) => a.seq - b.seq)) {
    if (event.type === 'gap_start') gaps.push({ from: Date.parse(event.at), to: null, minute: event.minute, until: null });
    const open = gaps.at(-1);
    if (event.type === 'gap_end' && open && open.to === null) Object.assign(open, { to: Date.parse(event.at), until: event.minute });
  }
  return gaps.map((gap) => ({ ...gap, to: gap.to ?? now }));
}

export function minuteAxis(told, gaps, now, names, width) {
  const marked = told.filter((event) => MARKED.has(event.type) && typeof event.minute === 'number');
  const last = Math.max(90, now, ...marked.map((event) => event.minute));
  const length = Math.ceil(last / 15) * 15;
  const at = (minute) => AXIS.left + (minute / length) * (width - AXIS.left - AXIS.right);
  const made = shape('svg', { viewBox: `0 0 ${width} ${AXIS.height}`, class: 'axis', role: 'img' });
  const counts = [...MARKED].map((type) => [type, marked.filter((event) => event.type === type).length]).filter(([, count]) => count);
  made.setAttribute('aria-label', `Minutes 0 to ${length}: ${counts.map(([type, count]) => `${count} ${type}`).join(', ') || 'nothing yet'}. All of it is in the list below.`);
  for (const gap of gaps) {
    if (typeof gap.minute !== 'number') continue;
    const to = at(Math.max(gap.until ?? now, gap.minute));
    made.append(shape('rect', { class: 'gap', x: at(gap.minute), y: 4, width: Math.max(3, to - at(gap.minute)), height: 92 }));
  }
  made.append(shape('line', { class: 'rule', x1: at(0), x2: at(length), y1: AXIS.middle, y2: AXIS.middle }));
  made.append(shape('line', { class: 'played', x1: at(0), x2: at(Math.min(now, length)), y1: AXIS.middle, y2: AXIS.middle }));
  for (let minute = 0; minute <= length; minute += width < 420 ? 30 : 15) {
    const anchor = minute === 0 ? 'start' : minute + 15 > length ? 'end' : 'middle';
    made.append(shape('text', { class: 'tick', x: at(minute), y: AXIS.height - 2, 'text-anchor': anchor }, `${minute}′`));
  }
  for (const event of marked) made.append(markOf(event, at(event.minute), names));
  return made;
}

// The home side's above the line, the away side's below.
function markOf(event, x, names) {
  const up = event.side === 'away' ? 1 : -1;
  const y = AXIS.middle + up * OFFSETS[event.type];
  const group = shape('g', { class: `mark ${event.type}` });
  const color = event.payload?.color;
  const what = [`${event.minute}′`, color, event.type, names[event.side] || ''].filter(Boolean).join(' ');
  group.append(shape('title', {}, what));
  if (event.type === 'card') group.append(shape('rect', { class: color === 'red' ? 'red' : 'yellow', x: x - 3.5, y: y - 5, width: 7, height: 10, rx: 1 }));
  else if (event.type === 'corner') group.append(shape('path', { d: `M${x - 4} ${y + 4}V${y - 4}L${x + 4} ${y + 4}Z` }));
  else group.append(shape('circle', { cx: x, cy: y, r: 6 }));
  return group;
}

// `lines`: name and points [milliseconds, price] of each; a price of null is a pause.
export function priceChart(lines, gaps, from, to, width) {
  const prices = lines.flatMap((line) => line.points.map(([, price]) => price)).filter((price) => price !== null);
  if (!prices.length) return make('p', 'quiet', 'No price moved yet.');
  const low = Math.log(Math.min(...prices) / 1.04);
  const high = Math.log(Math.max(...prices) * 1.04);
  const right = width - CHART.right;
  const foot = CHART.height - CHART.bottom;
  const x = (time) => CHART.left + ((Math.min(Math.max(time, from), to) - from) / Math.max(1, to - from)) * (right - CHART.left);
  const y = (price) => CHART.top + ((high - Math.log(price)) / (high - low)) * (foot - CHART.top);
  const made = shape('svg', { viewBox: `0 0 ${width} ${CHART.height}`, class: 'chart', role: 'img' });
  made.setAttribute('aria-label', `Prices: ${lines.map((line) => `${line.name} ${line.points.at(-1)?.[1]?.toFixed(2) ?? 'none'}`).join(', ')}`);
  for (const gap of gaps.filter((gap) => gap.to > from && gap.from < to)) {
    made.append(shape('rect', { class: 'gap', x: x(gap.from), y: CHART.top, width: Math.max(2, x(gap.to) - x(gap.from)), height: foot - CHART.top }));
  }
  for (let step = 0; step <= 3; step += 1) {
    const price = Math.exp(low + ((high - low) * step) / 3);
    made.append(shape('line', { class: 'rule', x1: CHART.left, x2: right, y1: y(price), y2: y(price) }));
    made.append(shape('text', { class: 'tick', x: CHART.left - 6, y: y(price) + 4, 'text-anchor': 'end' }, price.toFixed(2)));
  }
  const steps = width < 420 ? 2 : 3;
  for (let step = 0; step <= steps; step += 1) {
    const time = from + ((to - from) * step) / steps;
    const anchor = step === 0 ? 'start' : step === steps ? 'end' : 'middle';
    const text = new Date(time).toLocaleTimeString([], { hour12: false });
    made.append(shape('text', { class: 'tick', x: x(time), y: CHART.height - 6, 'text-anchor': anchor }, text));
  }
  lines.forEach((line, place) => made.append(shape('path', { class: `line line-${place}`, d: pathOf(line.points, x, y, to) })));
  return made;
}

// A price holds until the next one: steps, not slopes.
function pathOf(points, x, y, to) {
  let path = '';
  let drawn = null;
  for (const [time, price] of points) {
    if (drawn !== null) path += `H${x(time).toFixed(1)}`;
    if (price !== null) path += `${drawn === null ? `M${x(time).toFixed(1)} ` : 'V'}${y(price).toFixed(1)}`;
    drawn = price;
  }
  return drawn === null ? path : `${path}H${x(to).toFixed(1)}`;
}
