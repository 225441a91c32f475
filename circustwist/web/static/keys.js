// Everything by keys.

import { h } from './dom.js';

const HELP = [
  ['/', 'filter'], ['j k', 'next, previous row'], ['Enter', 'open'], ['x', 'choose the row'], ['s', 'start'], ['t', 'stop'], ['r', 'restart'], ['L', 'reload'], ['l', 'logs'],
  ['+ −', 'more, fewer workers'], ['g o', 'overview'], ['g s', 'sockets'], ['g l', 'logs'], ['g e', 'events'], ['g c', 'configuration'], ['g d', 'supervisor'], ['Esc', 'back, or leave the field'], ['?', 'this help'],
];
const GOES = { o: '', s: 'sockets', l: 'logs', e: 'events', c: 'config', d: 'daemon', w: '' };

export class Keys {
  constructor(app) {
    this.app = app;
    this.before = '';
    addEventListener('keydown', (event) => this.pressed(event));
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    const field = event.target.closest('input:not([type=checkbox]), select, textarea');
    if (field) {
      if (event.key === 'Escape') { field.blur(); event.preventDefault(); }
      return;
    }
    const going = this.before === 'g';
    this.before = event.key;
    if (going && event.key in GOES) { event.preventDefault(); this.app.go(GOES[event.key]); this.before = ''; return; }
    if (event.target.closest('button, a, summary') && (event.key === 'Enter' || event.key === ' ')) return;
    const done = this.command(event.key);
    if (done) event.preventDefault();
  }

  command(key) {
    const { app } = this;
    const table = app.view?.table;
    const watcher = this.watcher();
    const { actions, store } = app;
    switch (key) {
      case '/': (app.view?.search || app.find).focus(); return true;
      case '?': this.help(); return true;
      case 'j': case 'ArrowDown': table?.move(1); return Boolean(table);
      case 'k': case 'ArrowUp': table?.move(-1); return Boolean(table);
      case 'Enter': if (table?.current && table.open) table.open(table.current); return Boolean(table?.current);
      case 'x': if (table?.current && table.select) table.choose(table.cursor, !table.chosen.has(table.cursor)); return true;
      case 'Escape': if (app.filter) { app.filter = app.find.value = ''; app.replace(null, { ...app.query, find: '' }); } else if (app.path) app.go(''); return true;
      case 'l': if (watcher || app.path === '') { app.go(watcher ? `logs?of=${encodeURIComponent(watcher)}` : 'logs'); return true; } return false;
      case ' ': if (app.view?.hold) { app.view.hold(!app.view.paused); return true; } return false;
      default:
    }
    const named = { s: 'start', t: 'stop', r: 'restart', L: 'reload' }[key];
    const chosen = table?.chosen?.size ? [...table.chosen] : watcher ? [watcher] : [];
    if (named && chosen.length && store.may(named)) { actions[named](chosen); return true; }
    if ((key === '+' || key === '-') && watcher && store.may('incr')) { actions.resize(watcher, key === '+' ? 1 : -1); return true; }
    return false;
  }

  /** The watcher that is meant: that of the page, or of the row. */
  watcher() {
    const { app } = this;
    if (app.path?.startsWith('watcher/')) return app.view.name;
    return app.path === '' ? app.view?.table?.current?.name || null : null;
  }

  help() {
    const dialog = h('dialog.keys', { 'aria-labelledby': 'keys-title' }, h('h2', { id: 'keys-title' }, 'Keys'),
      h('dl', {}, HELP.map(([keys, does]) => h('div', {}, h('dt', {}, keys.split(' ').map((key) => h('kbd', {}, key))), h('dd', {}, does)))),
      h('div.buttons', {}, h('button', { type: 'button', onclick: () => dialog.close() }, 'Close')));
    dialog.addEventListener('close', () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }
}
