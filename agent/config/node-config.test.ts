import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concurrencyOf, matches, readNodeConfig } from './node-config.ts';
import { parseQuantityBytes } from './quantity.ts';

const read = (value: object) => readNodeConfig({ 'node-agent.json': JSON.stringify(value) });

test('the smallest rule that matches the node counts, else the global number', () => {
  const { config, remarks } = read({
    loadConcurrency: {
      globalConfig: 5,
      prepareQueueLength: 9,
      perNodeConfig: [
        { nodeSelector: { matchLabels: { pool: 'big' } }, number: 8 },
        { nodeSelector: { matchExpressions: [{ key: 'zone', operator: 'In', values: ['a', 'b'] }] }, number: 3 },
        { nodeSelector: { matchLabels: {} }, number: 0 },
      ],
    },
  });
  assert.equal(config.prepareQueueLength, 9);
  assert.equal(remarks.length, 1);
  assert.equal(concurrencyOf(config, {}), 5);
  assert.equal(concurrencyOf(config, { pool: 'big' }), 8);
  assert.equal(concurrencyOf(config, { pool: 'big', zone: 'b' }), 3);
});

test('selectors match as those of Kubernetes', () => {
  const labels = { a: '1', b: '2' };
  const expression = (key: string, operator: string, ...values: string[]) =>
    matches({ matchExpressions: [{ key, operator, values }] }, labels);
  assert.deepEqual(
    [
      expression('a', 'In', '1', '3'),
      expression('c', 'In', '1'),
      expression('a', 'NotIn', '1'),
      expression('c', 'NotIn', '1'),
      expression('a', 'Exists'),
      expression('c', 'DoesNotExist'),
      expression('a', 'Near', '1'),
    ],
    [true, false, false, true, true, true, false],
  );
});

test('a budget counts when all of it can be read, and is said to be ignored otherwise', () => {
  const resources = { cpuRequest: '0', cpuLimit: '1500m', memoryRequest: '64Mi', memoryLimit: '512Mi' };
  assert.deepEqual(
    [read({ podResources: resources }).config].map(({ memoryLimitBytes, cpuLimit }) => [memoryLimitBytes, cpuLimit]),
    [[512 << 20, 1.5]],
  );
  for (const change of [{ memoryLimit: '' }, { cpuRequest: '2' }, { memoryRequest: '1Gi' }, { memoryLimit: 5 }]) {
    const { config, remarks } = read({ podResources: { ...resources, ...change } });
    assert.deepEqual([config.memoryLimitBytes, config.cpuLimit, remarks.length], [undefined, undefined, 1]);
  }
});

test('what only shapes hosting pods is named once; unknown members are not', () => {
  const { remarks } = read({ podLabels: { a: 'b' }, cachePVC: {}, backupPVC: {}, somethingNew: 1 });
  assert.equal(remarks.length, 3);
});

test('a map that cannot be used is an error, never half a configuration', () => {
  const code = { code: 'NODE_CONFIG_INVALID' };
  assert.throws(() => readNodeConfig(undefined), code);
  assert.throws(() => readNodeConfig({}), code);
  assert.throws(() => readNodeConfig({ a: '{}', b: '{}' }), code);
  assert.throws(() => readNodeConfig({ a: '[]' }), code);
  assert.throws(() => readNodeConfig({ a: '{"loadConcurrency": {' }), code);
  assert.equal(read({ loadConcurrency: { globalConfig: -4, prepareQueueLength: 'x' } }).config.globalConcurrency, 1);
});

test('quantities are read as Kubernetes reads them', () => {
  assert.deepEqual(
    ['0', '500m', '1.5Gi', '2e9', '3k', '.5'].map(parseQuantityBytes),
    [0, 0.5, 1610612736, 2e9, 3000, 0.5],
  );
  for (const bad of ['', '1 Gi', '1GB', '-1', 'x', '1Kib']) assert.equal(parseQuantityBytes(bad), undefined, bad);
});

test('a rule whose selector is none is skipped with a remark: matching with it would fail at every change of the node', () => {
  const bad: unknown[] = [
    'pool=big',
    [],
    { matchLabels: 'pool=big' },
    { matchLabels: { pool: 1 } },
    { matchExpressions: {} },
    { matchExpressions: [null] },
    { matchExpressions: [{ key: 'zone', operator: 'Near' }] },
    { matchExpressions: [{ key: 'zone', operator: 'In', values: 'a' }] },
    { matchExpressions: [{ operator: 'Exists' }] },
  ];
  const perNodeConfig = bad.map((nodeSelector) => ({ nodeSelector, number: 7 }));
  const { config, remarks } = read({ loadConcurrency: { globalConfig: 2, perNodeConfig } });
  assert.equal(concurrencyOf(config, { pool: 'big', zone: 'a' }), 2);
  assert.equal(config.perNodeConcurrency.length, 0);
  assert.equal(remarks.length, bad.length);
});

test('a selector that says nothing matches every node, as in Kubernetes', () => {
  for (const nodeSelector of [undefined, null, {}, { matchLabels: null, matchExpressions: null }]) {
    const { config } = read({ loadConcurrency: { perNodeConfig: [{ nodeSelector, number: 3 }] } });
    assert.equal(concurrencyOf(config, { any: 'label' }), 3);
  }
});

test('budgets that no process could be started with are brought within bounds', () => {
  const limitOf = (memoryLimit: string) =>
    read({ podResources: { memoryLimit, cpuLimit: '9e400', memoryRequest: '0', cpuRequest: '0' } }).config;
  assert.equal(limitOf('1').memoryLimitBytes, 64 * 2 ** 20);
  assert.equal(limitOf('300Mi').memoryLimitBytes, 300 * 2 ** 20);
  assert.equal(limitOf('9e400').memoryLimitBytes, 2 ** 40);
  assert.equal(limitOf('9e400').cpuLimit, 1024);
});
