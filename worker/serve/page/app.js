// The live page: it begins here. The list of matches, one of them beside it, and the pool on a second tab; what is shown is in the address.

import { changeView, draw, drawer, element, readView, span, view, viewAddress, write } from './dom.js';
import { list, markChosen, matches, rowFor, showFilter, startList, tickList } from './list.js';
import { choose, openMatch, opened, startMatch, tickMatch } from './match.js';
import { showPool, startPool } from './pool.js';

function drawState() {
  const worst = [list, opened].filter(Boolean).find((one) => one.state !== 'live') || list;
  if (!worst) return;
  const stale = Object.values(matches()).filter((line) => line.stale).length;
  const behind = worst.state === 'live' && stale > 0;
  const text = { live: behind ? `behind: ${stale} without news` : 'live', connecting: 'connecting', lost: 'disconnected' }[worst.state];
  element('state').dataset.state = behind ? 'behind' : worst.state;
  document.body.classList.toggle('lost', worst.state === 'lost');
  write(element('state-text'), text);
  // Apart from the text that is read out: that would be read each second.
  write(element('state-since'), worst.state === 'lost' ? `for ${span((Date.now() - worst.since) / 1000)}` : '');
}

function showTab() {
  const isPool = view.tab === 'pool';
  element('columns').hidden = isPool;
  element('pool').hidden = !isPool;
  element('search').hidden = isPool;
  for (const [id, chosen] of [['tab-matches', !isPool], ['tab-pool', isPool]]) {
    if (chosen) element(id).setAttribute('aria-current', 'page');
    else element(id).removeAttribute('aria-current');
  }
  element('tab-matches').href = viewAddress({ tab: '' });
  element('tab-pool').href = viewAddress({ tab: 'pool' });
  showPool();
}

function closeMatch() {
  const row = rowFor(view.match);
  choose('');
  if (row) row.focus();
}

for (const [id, tab] of [['tab-matches', ''], ['tab-pool', 'pool']]) {
  element(id).addEventListener('click', (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    changeView({ tab });
    showTab();
  });
}
element('search').addEventListener('submit', (event) => event.preventDefault());
element('back').addEventListener('click', closeMatch);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && view.match && document.activeElement !== element('filter')) closeMatch();
  const typing = document.activeElement?.matches('input, select');
  if (event.key === '/' && !typing && view.tab !== 'pool') {
    event.preventDefault();
    element('filter').focus();
  }
});
addEventListener('popstate', () => {
  const before = view.match;
  readView();
  showFilter();
  showTab();
  if (view.match !== before) openMatch();
});

readView();
drawer('state', drawState);
startPool();
startMatch(markChosen);
startList((key) => {
  choose(key);
  if (key) element('detail').focus({ preventScroll: false });
});
showTab();
openMatch();
// Clocks tick, and so does the time that we are disconnected.
setInterval(() => {
  if (document.hidden) return;
  draw('state');
  if (view.tab === 'pool') return;
  tickList();
  tickMatch();
}, 1000);
