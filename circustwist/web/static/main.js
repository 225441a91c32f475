// The frame around the views: header, addresses, keys, login.

import { login, logout } from './api.js';
import { Actions, ask, Notes } from './actions.js';
import { recolour } from './chart.js';
import { RANGES } from './charting.js';
import { Config } from './config.js';
import { Daemon } from './daemon.js';
import { attr, h, text } from './dom.js';
import { Events } from './events.js';
import { span } from './format.js';
import { Keys } from './keys.js';
import { Logs } from './logs.js';
import { Overview } from './overview.js';
import { Sockets } from './sockets.js';
import { health, Store } from './store.js';
import { Stream } from './stream.js';
import { Watcher } from './watcher.js';

const VIEWS = [['', 'Overview', 'o'], ['sockets', 'Sockets', 's'], ['logs', 'Logs', 'l'], ['events', 'Events', 'e'], ['config', 'Configuration', 'c'], ['daemon', 'Supervisor', 'd']];
const MADE = { '': Overview, sockets: Sockets, logs: Logs, events: Events, config: Config, daemon: Daemon };
const THEMES = ['auto', 'light', 'dark'];
const LATE = 5000;

class App {
  constructor() {
    this.store = new Store();
    this.notes = new Notes();
    this.actions = new Actions(this.store, this.notes);
    this.stream = new Stream(this.store);
    this.stream.onevents = (events) => this.actions.happened(events);
    this.stream.onhello = () => this.fresh();
    this.query = {};
    this.filter = '';
    this.view = null;
    this.path = null;
    this.build();
    this.keys = new Keys(this);
    this.theme(this.saved('theme') || 'auto');
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.repaint());
    addEventListener('hashchange', () => this.route());
    addEventListener('resize', () => this.store.changed());
    this.store.listen(() => this.draw());
    setInterval(() => { if (!document.hidden) this.store.changed(); }, 1000);
  }

  async begin() {
    const token = location.hash.match(/^#login=([\w-]+)$/);
    if (token) {
      history.replaceState(null, '', location.pathname + location.search);
      try {
        await login({ token: token[1] });
      } catch (error) {
        this.notes.say(`The login link did not work: ${error.message}. circustwist console prints another one.`, { kind: 'bad', lasts: 0 });
      }
    }
    this.stream.open();
    this.route();
  }

  build() {
    this.title = h('a.stack', { href: '#/' }, 'circustwist');
    this.nav = h('nav', { 'aria-label': 'Views' }, h('ul', {}, VIEWS.map(([path, label]) => h('li', {}, h('a', { href: `#/${path}`, 'data-view': path }, label)))));
    this.find = h('input.find', { type: 'search', placeholder: 'Filter', 'aria-label': 'Filter', spellcheck: 'false', oninput: () => { this.filter = this.find.value; this.replace(null, { ...this.query, find: this.filter }, true); this.store.changed(); } });
    this.link = h('span.link', { role: 'status' });
    this.themer = h('button.quiet', { type: 'button', onclick: () => this.theme(THEMES[(THEMES.indexOf(this.chosen) + 1) % 3], true) });
    this.who = h('button', { type: 'button', onclick: () => (this.store.loggedIn ? this.leave() : this.enter()) });
    this.help = h('button.quiet', { type: 'button', 'aria-label': 'Keys', onclick: () => this.keys.help() }, '?');
    this.stale = h('p.stale', { role: 'alert', hidden: true });
    this.main = h('main', { id: 'main', tabindex: '-1' });
    document.getElementById('app').replaceWith(
      h('a.skip', { href: '#main', onclick: (event) => { event.preventDefault(); this.main.focus(); } }, 'To the content'),
      h('header.top', {}, this.title, this.nav, h('div.tools', {}, this.find, this.link, this.themer, this.help, this.who)), this.stale, this.main, this.notes.node);
  }

  // Addresses

  /** Go to a view; the browser's back button comes back. */
  go(path) {
    location.hash = `#/${path}`;
  }

  /** The same view with other settings. */
  replace(path, query, quiet = false) {
    const pairs = Object.entries(query).filter(([, value]) => value !== '' && value !== null && value !== undefined);
    const base = path === null ? location.hash.replace(/^#\/?/, '').split('?')[0] : path;
    const search = new URLSearchParams(pairs).toString();
    history.replaceState(null, '', `#/${base}${search ? `?${search}` : ''}`);
    this.query = Object.fromEntries(pairs);
    if (!quiet) this.store.changed();
  }

  route() {
    const [path, search = ''] = location.hash.replace(/^#\/?/, '').split('?');
    this.query = Object.fromEntries(new URLSearchParams(search));
    this.filter = this.query.find || '';
    this.find.value = this.filter;
    const [kind, ...rest] = path.split('/');
    let name = rest.join('/');
    try { name = decodeURIComponent(name); } catch { /* As it is. */ }
    const key = kind === 'watcher' ? `watcher/${name}` : kind;
    if (key !== this.path || !this.view) {
      if (this.view?.leave) this.view.leave();
      this.path = key;
      const Made = MADE[kind] || Overview;
      this.view = kind === 'watcher' ? new Watcher(this, name) : new Made(this);
      this.label = kind === 'watcher' ? name : (VIEWS.find(([one]) => one === kind) || VIEWS[0])[1];
      this.main.replaceChildren(...(kind === 'watcher' ? [] : [h('h1.hidden', {}, this.label)]), this.view.node);
      scrollTo(0, 0);
    }
    for (const link of this.nav.querySelectorAll('a')) attr(link, 'aria-current', link.dataset.view === kind || (kind === 'watcher' && link.dataset.view === '') ? 'page' : null);
    this.store.changed();
  }

  /** The choice of how far back charts go. */
  ranges() {
    const buttons = RANGES.map(([key, label]) => h('button.small', { type: 'button', 'data-range': key, onclick: () => this.replace(null, { ...this.query, range: key === '2m' ? '' : key }) }, label));
    return {
      node: h('div.segments', { role: 'group', 'aria-label': 'Range' }, buttons),
      draw: () => { for (const button of buttons) attr(button, 'aria-pressed', (this.query.range || '2m') === button.dataset.range); },
    };
  }

  // Who

  async enter() {
    const says = ['circustwist console prints a link that logs you in.'];
    if (!this.store.passwords) {
      await ask({ title: 'Log in', says: [...says, 'A [user:NAME] section with a password_hash lets you in by a password.'], go: 'Close' });
      return;
    }
    const given = await ask({ title: 'Log in', says: [`Or: ${says[0]}`], go: 'Log in', fields: [{ name: 'name', label: 'Name' }, { name: 'password', label: 'Password', kind: 'password' }] });
    if (!given) return;
    try {
      await login(given);
      this.stream.again();
    } catch (error) {
      this.notes.fault(error);
    }
  }

  async leave() {
    const yes = await ask({ title: 'Log out?', says: [`You are ${this.store.you.name}, ${this.store.you.role}.`], go: 'Log out' });
    if (!yes) return;
    await logout().catch((error) => this.notes.fault(error));
    this.stream.again();
  }

  /** After each greeting: another version of the page may be there. */
  fresh() {
    if (this.version && this.version !== this.store.assets) location.reload();
    this.version = this.store.assets;
  }

  // Looks

  saved(name) {
    try { return localStorage.getItem(`circustwist-${name}`); } catch { return null; }
  }

  theme(chosen, tell = false) {
    this.chosen = chosen;
    try { localStorage.setItem('circustwist-theme', chosen); } catch { /* Then not. */ }
    attr(document.documentElement, 'data-theme', chosen === 'auto' ? null : chosen);
    text(this.themer, { auto: '◐', light: '☀', dark: '☾' }[chosen]);
    attr(this.themer, 'aria-label', `Colours: ${chosen}`);
    attr(this.themer, 'title', `Colours: ${chosen}`);
    if (tell) this.notes.say(`Colours: ${chosen}`, { lasts: 1500 });
    this.repaint();
  }

  repaint() {
    recolour();
    this.store.changed();
  }

  draw() {
    const { store } = this;
    this.connection();
    if (!store.ready) return;
    text(this.title, store.stack.name);
    const bad = [...store.watchers.values()].filter((one) => health(one, store.now()).rank >= 3).length;
    document.title = `${bad ? `(${bad}) ` : ''}${this.label && this.label !== 'Overview' ? `${this.label} · ` : ''}${store.stack.name} - circustwist`;
    text(this.who, store.loggedIn ? store.you.role : 'Log in');
    attr(this.who, 'title', store.you.name);
    if (this.view) this.view.draw();
    for (const button of document.querySelectorAll('[data-action]')) {
      const may = store.may(button.dataset.action);
      button.hidden = !may && !store.loggedIn;
      if (!may) { button.disabled = true; attr(button, 'title', `needs the role ${store.roles[button.dataset.action]}`); } else if (button.dataset.action !== 'reloadconfig') button.disabled = !store.connected;
    }
    for (const one of document.querySelectorAll('[data-needs]')) one.hidden = !store.may(one.dataset.needs);
  }

  connection() {
    const { store } = this;
    const silent = Date.now() - store.heard;
    const lost = store.ready && !store.connected;
    const late = store.ready && store.daemon && silent > LATE;
    attr(this.link, 'data-kind', lost ? 'bad' : late ? 'warn' : store.ready ? 'good' : 'busy');
    text(this.link, lost ? 'offline' : late ? 'late' : store.ready ? 'live' : 'connecting');
    document.body.classList.toggle('old', lost);
    this.stale.hidden = !(lost || late);
    if (lost || late) text(this.stale, `${lost ? 'The supervisor does not answer' : 'No news'} for ${span(silent / 1000)}; what you see is as old. Trying again.`);
  }
}

const app = new App();
app.begin();
