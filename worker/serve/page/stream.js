// A document and the stream that keeps it at the newest state, by merge patches (RFC 7396). It connects again by itself, from where it was.

import { address, draw } from './dom.js';

const LONGEST_WAIT = 10000;

function merge(target, patch) {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const into = target !== null && typeof target === 'object' && !Array.isArray(target) ? target : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete into[key];
    else into[key] = merge(into[key], value);
  }
  return into;
}

// `changed(patch)` is called with null after a snapshot, `happened` with each event.
export class Followed {
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
        this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
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
