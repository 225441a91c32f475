// Requests.  Whatever changes something says that it comes from here.

export class Refused extends Error {
  constructor(status, name, said) {
    super(said);
    this.status = status;
    this.kind = name;
  }
}

async function post(path, value) {
  let found;
  try {
    found = await fetch(path, {
      method: 'POST', credentials: 'same-origin', cache: 'no-store', redirect: 'error',
      headers: { 'Content-Type': 'application/json', 'X-Circustwist': '1' }, body: JSON.stringify(value),
    });
  } catch {
    throw new Refused(0, 'Unreachable', 'The supervisor does not answer.');
  }
  let answer = {};
  try {
    answer = await found.json();
  } catch { /* A proxy may answer something else. */ }
  if (!found.ok) {
    const error = answer.error || {};
    throw new Refused(found.status, error.name || 'Error', error.text || `HTTP ${found.status}`);
  }
  return answer;
}

/** Give a command of the table. */
export async function command(name, args = {}) {
  return (await post('command', { command: name, arguments: args })).answer;
}

export const login = (value) => post('login', value);
export const logout = () => post('logout', {});
