// Programs that tests need and that exist as npm packages too large for everybody's `npm ci`, each pinned by
// test/peers/NAME/package.json and package-lock.json. Installed once, without install scripts.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { peerPath, peerSource, type Peer } from './peer-cache.ts';

const PIN = ['package.json', 'package-lock.json'];
const INSTALL_TIMEOUT_MS = 10 * 60_000;
// The registry may hiccup.
const ATTEMPTS = 2;

/** The folder whose `node_modules` has the program; says what is missing where it cannot be installed. */
export function installNpmProgram(name: string): Peer {
  const path = peerPath(name, PIN);
  if (existsSync(path)) return { path };
  const unfinished = `${path}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  for (const file of PIN) copyFileSync(join(peerSource(name), file), join(unfinished, file));
  console.log(`installing ${name}, once`);
  let said = '';
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const installed = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
      cwd: unfinished,
      encoding: 'utf8',
      timeout: INSTALL_TIMEOUT_MS,
    });
    if (installed.status === 0) return { path: moveInto(unfinished, path) };
    said = installed.error?.message ?? firstError(installed.stderr);
  }
  rmSync(unfinished, { recursive: true });
  return { missing: `${name} does not install: ${said}` };
}

/** Another process may have been faster: its folder is as good. */
function moveInto(unfinished: string, path: string): string {
  try {
    renameSync(unfinished, path);
  } catch (error) {
    if (!existsSync(path)) throw error;
    rmSync(unfinished, { recursive: true });
  }
  return path;
}

function firstError(stderr: string): string {
  return stderr.split('\n').find((line) => line.startsWith('npm error')) ?? stderr.trim();
}
