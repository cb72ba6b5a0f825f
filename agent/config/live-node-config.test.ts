import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigMap } from '../../kube/index.ts';
import { LiveNodeConfig } from './live-node-config.ts';

function mapOf(...texts: readonly string[]): ConfigMap {
  const metadata = { name: 'c', namespace: 'velero', uid: 'u', resourceVersion: '1', creationTimestamp: '' };
  const data = Object.fromEntries(texts.map((text, i) => [`key-${i}`, text]));
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
}

const limit = (globalConfig: number): string => JSON.stringify({ loadConcurrency: { globalConfig } });

function followed() {
  const said: string[] = [];
  const current: boolean[] = [];
  let changes = 0;
  const say = (message: string): void => void said.push(message);
  const live = new LiveNodeConfig({
    logger: { debug: say, info: say, warn: say, error: say },
    onChange: () => changes++,
    onCurrent: (isCurrent) => current.push(isCurrent),
  });
  return { live, said, current, changes: () => changes };
}

test('a value that cannot be used leaves the one before in force, and says so', () => {
  const { live, said, current, changes } = followed();
  live.take(mapOf(limit(5)));
  for (const bad of [mapOf('{"loadConcurrency": {'), mapOf(limit(7), limit(8)), mapOf(), mapOf('[]')]) {
    live.take(bad);
    assert.equal(live.config.globalConcurrency, 5);
  }
  assert.deepEqual(current, [true, false, false, false, false]);
  assert.equal(said.filter((text) => text.endsWith('the configuration before stays in force')).length, 4);
  assert.equal(changes(), 1);
  live.take(mapOf(limit(6)));
  assert.deepEqual([live.config.globalConcurrency, current.at(-1), changes()], [6, true, 2]);
});

test('a map that is taken away leaves the defaults', () => {
  const { live, current } = followed();
  assert.equal(live.config.globalConcurrency, 1);
  live.take(mapOf(limit(5)));
  live.take(undefined);
  assert.deepEqual([live.config.globalConcurrency, current], [1, [true, true]]);
});

test('what has no effect is said once, however often the map changes', () => {
  const { live, said } = followed();
  const text = (n: number): string => JSON.stringify({ podLabels: {}, loadConcurrency: { globalConfig: n } });
  for (const n of [1, 2, 3]) live.take(mapOf(text(n)));
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /podLabels has no effect/);
});
