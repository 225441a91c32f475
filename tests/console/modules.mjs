// The console's modules as node takes them: copies beside a package.json that says that they are modules.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

process.env.TZ = 'UTC';
globalThis.requestAnimationFrame = () => {};

const folder = mkdtempSync(join(tmpdir(), 'console-'));
cpSync(fileURLToPath(new URL('../../circustwist/web/static', import.meta.url)), folder, { recursive: true });
writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
after(() => rmSync(folder, { recursive: true }));

/** One of them, by its name. */
export const load = (name) => import(pathToFileURL(join(folder, name)).href);
