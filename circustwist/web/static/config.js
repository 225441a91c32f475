// The configuration in force: every option with its place; and what the one on disk would change.

import { command } from './api.js';
import { h, text } from './dom.js';
import { plural } from './format.js';

const WORDS = { add: 'is added', remove: 'is removed', now: 'changes at once', reload: 'is reloaded', replace: 'is replaced', restart: 'changes at the next start' };

export class Config {
  constructor(app) {
    this.app = app;
    this.sections = null;
    this.items = null;
    this.asked = '';
    this.only = h('input', { type: 'checkbox', onchange: () => app.replace('config', { ...app.query, all: this.only.checked ? '' : '1' }) });
    this.says = h('p.note-line', { role: 'status' });
    this.diff = h('section');
    this.body = h('div.config');
    this.node = h('div.view', {}, this.diff,
      h('section', {}, h('div.bar', {}, h('h2', {}, 'In force'), h('label.check', {}, this.only, 'Only what the files say')), this.says, this.body));
  }

  async look() {
    const { store } = this.app;
    const key = `${store.you.name} ${store.you.role}`;
    if (this.asked === key) return;
    this.asked = key;
    this.items = this.error = null;
    try {
      this.sections = (await command('config')).sections;
    } catch (error) {
      this.error = error.message;
    }
    if (store.may('plan')) await this.check();
    this.drawn = '';
    store.changed();
  }

  async check() {
    try {
      this.items = (await command('plan')).items;
      this.wrong = '';
    } catch (error) {
      this.items = null;
      this.wrong = error.message;
    }
    this.drawn = '';
    this.app.store.changed();
  }

  drawDiff() {
    const { actions, store } = this.app;
    if (!store.may('plan')) return this.diff.replaceChildren();
    const changes = (item) => item.changes.map((one) => h('tr', {}, h('th', { scope: 'row' }, one.option), h('td.old', {}, one.old || '(default)'), h('td.new', {}, one.new || '(default)')));
    const said = this.wrong ? h('p.problem', {}, this.wrong)
      : !this.items ? h('p.muted', {}, 'Reading …')
        : !this.items.length ? h('p.muted', {}, 'The files say what is in force.')
          : h('ul.plan', {}, this.items.map((item) => h('li', {}, h('strong', {}, `${item.kind} ${item.name}`), ` ${WORDS[item.action] || item.action}${item.why ? `, since ${item.why}` : ''}`,
            item.changes.length ? h('table.diff', {}, h('thead', {}, h('tr', {}, ['Option', 'In force', 'On disk'].map((title) => h('th', { scope: 'col' }, title)))), h('tbody', {}, changes(item))) : null)));
    return this.diff.replaceChildren(h('div.bar', {}, h('h2', {}, 'On disk'),
      h('button', { type: 'button', onclick: () => this.check() }, 'Check again'),
      h('button.primary', { type: 'button', 'data-action': 'reloadconfig', disabled: !store.may('reloadconfig') || Boolean(this.wrong), title: store.may('reloadconfig') ? null : 'needs the role admin', onclick: async () => { await actions.apply(this.items || []); } }, 'Apply')), said);
  }

  draw() {
    this.look();
    const { query, filter, store } = this.app;
    this.only.checked = !query.all;
    const key = JSON.stringify([query, filter, Boolean(this.sections), this.error, this.items, this.wrong, store.you]);
    if (key === this.drawn) return;
    this.drawn = key;
    this.drawDiff();
    if (this.error) { text(this.says, this.error); this.body.replaceChildren(); return; }
    const wanted = filter.toLowerCase();
    let shown = 0;
    this.body.replaceChildren(...(this.sections || []).filter((section) => !query.of || section.title.endsWith(`:${query.of}`)).map((section) => {
      const rows = section.options.filter((one) => (query.all || one.place) && (!wanted || `${section.title} ${one.name} ${one.value}`.toLowerCase().includes(wanted)));
      shown += rows.length;
      return rows.length ? h('section', {}, h('h3', {}, `[${section.title}]`),
        h('table.options', {}, h('caption.hidden', {}, section.title), h('thead.hidden', {}, h('tr', {}, ['Option', 'Value', 'Place'].map((title) => h('th', { scope: 'col' }, title)))),
          h('tbody', {}, rows.map((one) => h('tr', { class: one.place ? '' : 'default' }, h('th', { scope: 'row' }, one.name), h('td', {}, one.value === '' ? '(empty)' : one.value), h('td.place', {}, one.place || 'default')))))) : '';
    }));
    text(this.says, this.sections ? `${plural(shown, 'option')}${query.of ? ` of ${query.of}` : ''}` : '');
  }
}
