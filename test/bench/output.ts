// Where reports go.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { withSection, type SectionName } from './section.ts';

export const CLONE = fileURLToPath(new URL('../../', import.meta.url));

export function writeReport(out: string, text: string): void {
  writeFileSync(out, text);
  spawnSync(join(CLONE, 'node_modules/.bin/prettier'), ['--write', '--log-level', 'warn', out], { stdio: 'inherit' });
  console.log(`wrote ${out}`);
}

export function writeSection(out: string, name: SectionName, section: string): void {
  writeReport(out, withSection(existsSync(out) ? readFileSync(out, 'utf8') : '', name, section));
}

export function build(): void {
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: CLONE, stdio: 'inherit' });
  if (status !== 0) throw new Error('npm run build failed');
}

export function today(): string {
  return new Date().toISOString().slice(0, 10);
}
