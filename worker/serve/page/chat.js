// What is said in a room, as a chat: the newest lines below, read each second while the room is opened and the page is looked at.
// What has no chat is asked now and then only.

import { address, element, make } from './dom.js';

const SHOWN = 200;
const EACH = 1000;
const SELDOM = 15000;

let talk = null;

export function openChat(key) {
  if (talk) clearTimeout(talk.timer);
  talk = key ? { key, since: null, timer: 0 } : null;
  element('chat').replaceChildren();
  element('talk').hidden = true;
  if (talk) read(talk);
}

async function read(mine) {
  const rows = document.hidden ? null : await rowsOf(mine);
  if (talk !== mine) return;
  if (rows?.length) {
    mine.since = rows.at(-1).seq;
    append(rows);
  }
  // A page that nobody sees catches up when it is seen.
  mine.timer = setTimeout(() => read(mine), mine.since === null ? SELDOM : EACH);
}

async function rowsOf({ key, since }) {
  try {
    const path = `/api/matches/${key.split('/').map(encodeURIComponent).join('/')}/chat`;
    const answer = await fetch(address(path, since === null ? { limit: SHOWN } : { since, limit: 1000 }));
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

function append(rows) {
  const box = element('chat');
  element('talk').hidden = false;
  const follows = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  for (const row of rows.slice(-SHOWN)) {
    if (row.type === 'retract') takeBack(box, row.id);
    else box.append(lineOf(row));
  }
  while (box.children.length > SHOWN) box.firstChild.remove();
  if (follows) box.scrollTop = box.scrollHeight;
}

function takeBack(box, id) {
  for (const line of box.children) if (id && line.dataset.id === id) line.classList.add('taken-back');
}

function lineOf(row) {
  const line = make('li', row.type === 'comment' ? '' : 'big');
  if (row.id) line.dataset.id = row.id;
  const clock = new Date(row.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false });
  const amount = row.amount ? `${row.type.replaceAll('_', ' ')} · ${row.amount}` : row.type === 'comment' ? '' : row.type.replaceAll('_', ' ');
  const said = make('span');
  said.append(make('b', '', row.user || ''), document.createTextNode(` ${[row.text, amount].filter(Boolean).join(' · ')}`));
  line.append(make('time', '', clock), said);
  return line;
}
