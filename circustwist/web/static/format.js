// Numbers and times, as people read them.

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];

/** @param {number|null|undefined} value bytes */
export function bytes(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) { value /= 1024; unit++; }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** @param {number|null|undefined} value percent of one processor */
export function percent(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  return value >= 10 ? `${Math.round(value)} %` : `${value.toFixed(1)} %`;
}

export function count(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

export function rate(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  return value >= 100 || value === 0 ? count(value) : value >= 10 ? value.toFixed(0) : value.toFixed(1);
}

/** @param {number} seconds */
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

/** The same in one unit. */
export function ago(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

const two = (n) => String(n).padStart(2, '0');

export function clock(time, fine = false) {
  const d = new Date(time * 1000);
  const found = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return fine ? `${found}.${String(d.getMilliseconds()).padStart(3, '0')}` : found;
}

export function day(time) {
  const d = new Date(time * 1000);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

export function plural(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? '' : noun.endsWith('s') ? 'es' : 's'}`;
}

/** Names as a sentence has them, at most a few. */
export function named(names, most = 4) {
  const shown = names.slice(0, most);
  const more = names.length - shown.length;
  if (more > 0) return `${shown.join(', ')} and ${more} more`;
  return shown.length > 1 ? `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}` : shown.join('');
}

/** Why something failed, with what was written before it, for those who are told. */
export function whole(reason, words) {
  return [reason, words].filter(Boolean).join('; ');
}
