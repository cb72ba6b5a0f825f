// docs/configuration.md has every flag, docs/operations.md every metric, and neither has one that is no more.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createMetrics as createControllerMetrics } from '../controller/metrics.ts';
import { FLAGS_WITHOUT_EFFECT } from './config/velero-flags.ts';
import { createMetrics } from './metrics/registry.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const textOf = (file: string): string => readFileSync(`${root}${file}`, 'utf8');
const FLAG = /--[a-z][a-z_-]*/g;

function flagsIn(file: string): Set<string> {
  const options = textOf(file).matchAll(/(?:option|Option|helpOption)\(\s*'([^']+)'/gi);
  return new Set([...options].flatMap(([, option = '']) => option.match(FLAG) ?? []));
}

/** In the first cells of tables, of one part. */
function documentedFlags(part: string): Set<string> {
  const cells = [...part.matchAll(/^\| ([^|]+) \|/gm)].map(([, cell = '']) => cell);
  return new Set(cells.filter((cell) => cell.startsWith('`--')).flatMap((cell) => cell.match(FLAG) ?? []));
}

async function metricNames(): Promise<Set<string>> {
  const ofController = createControllerMetrics({
    repositories: () => [],
    runningJobs: () => 0,
    isLeading: () => false,
  });
  const texts = [await createMetrics('node-1', () => 0).text(), await ofController.text()];
  return new Set([...texts.join('\n').matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name));
}

const [ofAgent = '', ofController = ''] = textOf('docs/configuration.md').split('## The controller');

test('every flag of the agent is in docs/configuration.md, and no other', () => {
  const withoutEffect = FLAGS_WITHOUT_EFFECT.map((flag) => flag.replace('?', ''));
  const flags = new Set([...flagsIn('agent/config/flags.ts'), ...withoutEffect]);
  assert.ok(flags.has('--namespace') && flags.has('--help') && flags.has('--restore-not-empty'));
  assert.deepEqual([...documentedFlags(ofAgent)].sort(), [...flags].sort());
});

test('every flag of the controller is in docs/configuration.md, and no other', () => {
  const flags = flagsIn('controller/config/flags.ts');
  assert.ok(flags.has('--max-maintenance-jobs'));
  const ofJobs = (ofController.match(/^A Job is given .*$/m)?.[0] ?? '').match(FLAG) ?? [];
  assert.deepEqual([...documentedFlags(ofController), ...ofJobs].sort(), [...flags].sort());
});

test('every metric of agent and controller is in docs/operations.md, and every one there is one', async () => {
  const names = await metricNames();
  const text = textOf('docs/operations.md');
  const documented = new Set(
    [...text.matchAll(/^\| ([^|]+) \|/gm)].flatMap(
      ([, cell = '']) => cell.match(/(?:windlass|podVolume|velero_repo)_\w+/g) ?? [],
    ),
  );
  assert.deepEqual([...names].filter((name) => !documented.has(name)).sort(), []);
  // Alerts speak of them, too.
  const mentioned = new Set(text.match(/\b(?:windlass|podVolume|velero_repo)_\w+/g));
  assert.deepEqual([...mentioned].filter((name) => !names.has(name)).sort(), []);
});

test('what alerts count begins at 0', async () => {
  const text = await createMetrics('node-1', () => 0).text();
  for (const phase of ['Completed', 'Failed', 'Canceled'])
    assert.ok(text.includes(`windlass_volumes_total{node="node-1",kind="backup",phase="${phase}"} 0`), phase);
  assert.ok(text.includes('windlass_data_movers_total{node="node-1",outcome="failed"} 0'));
});
