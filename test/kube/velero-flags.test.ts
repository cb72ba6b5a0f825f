// The agent's command line against what the real node agent of Velero says of its own.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseFlags } from '../../agent/config/flags.ts';
import { buildGoPrograms } from '../harness/go-program.ts';
import { runCommand } from '../harness/run-command.ts';

/** Of types whose value must be one; others take any text. */
const VALUES: Readonly<Record<string, string>> = { duration: '7m', 'log-level': 'warning' };

test('every flag of the real node agent is taken, as it is and with its value behind a space', async () => {
  const programs = buildGoPrograms('velero');
  assert.ok('path' in programs, JSON.stringify(programs));
  const { stdout } = await runCommand([join(programs.path, 'velero'), 'node-agent', 'server', '--help']);
  const flags = [...stdout.matchAll(/^ +(?:-\w, )?--(\S+)(?: (\S+))? {2,}/gm)].map(([, name = '', type = '']) => ({
    name,
    text: VALUES[name] ?? VALUES[type] ?? 'x',
  }));
  const given = flags.filter(({ name }) => name !== 'help');
  assert.ok(given.length > 20, stdout);
  const environment = { NODE_NAME: 'node-1' };
  for (const { name, text } of given) {
    const before = parseFlags([], environment);
    const after = parseFlags([`--${name}=${text}`], environment);
    assert.notDeepEqual(after, before, `--${name} is neither heeded nor named as without effect`);
    assert.deepEqual(parseFlags([`--${name}`, text], environment), after, name);
  }
});
