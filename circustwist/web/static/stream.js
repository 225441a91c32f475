// The one stream of a tab: closed while nobody looks, and opened again after an end.

const SLOWEST = 10000;

export class Stream {
  constructor(store) {
    this.store = store;
    this.source = null;
    this.selection = null;
    this.onlog = () => {};
    this.onevents = () => {};
    this.onhello = () => {};
    this.pause = 500;
    this.retry = 0;
    document.addEventListener('visibilitychange', () => (document.hidden ? this.close() : this.open()));
  }

  /** Which lines are wanted; null is none. */
  follow(selection) {
    if (JSON.stringify(selection) === JSON.stringify(this.selection)) return;
    this.selection = selection;
    this.again();
  }

  again() {
    this.close();
    this.open();
  }

  open() {
    if (this.source || document.hidden) return;
    clearTimeout(this.retry);
    const query = this.selection ? `?${new URLSearchParams(this.selection)}` : '';
    const source = (this.source = new EventSource(`stream${query}`));
    const on = (kind, done) => source.addEventListener(kind, (event) => {
      this.store.heard = Date.now();
      this.store.connected = true;
      this.pause = 500;
      done(JSON.parse(event.data));
    });
    on('hello', (m) => { this.store.hello(m); this.onhello(m); });
    on('state', (m) => this.store.state(m));
    on('events', (m) => this.onevents(this.store.happened(m)));
    on('sample', (m) => this.store.sample(m));
    on('log', (m) => this.onlog(m));
    source.addEventListener('error', () => this.lost(source));
  }

  lost(source) {
    if (source !== this.source) return;
    this.close();
    this.store.connected = false;
    this.store.changed();
    this.retry = setTimeout(() => this.open(), this.pause);
    this.pause = Math.min(this.pause * 2, SLOWEST);
  }

  close() {
    clearTimeout(this.retry);
    if (this.source) this.source.close();
    this.source = null;
  }
}
