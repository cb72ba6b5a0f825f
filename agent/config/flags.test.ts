import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFlags } from './flags.ts';

const environment = { NODE_NAME: 'node-1' };

test('the environment names node and namespace, flags come first', () => {
  const { nodeName, namespace } = parseFlags([], { ...environment, VELERO_NAMESPACE: 'backup' });
  assert.deepEqual([nodeName, namespace], ['node-1', 'backup']);
  const given = parseFlags(['--node-name=node-2', '--namespace=other'], environment);
  assert.deepEqual([given.nodeName, given.namespace], ['node-2', 'other']);
});

test("the command line of Velero's DaemonSet is taken as it is", () => {
  const line = ['node-agent', 'server', '--features=', '--log-format=json', '--backup-repository-configmap=repos'];
  const flags = parseFlags([...line, '--node-agent-configmap=node-agent-config'], environment);
  assert.equal(flags.nodeAgentConfigMap, 'node-agent-config');
  const minutes = [flags.resourceTimeoutMs, flags.prepareTimeoutMs, flags.operationTimeoutMs].map((ms) => ms / 60_000);
  assert.deepEqual(minutes, [10, 30, 240]);
});

test('flags of Velero that mean nothing here are taken and named, once each, but for what is so anyway', () => {
  const given = (...argv: string[]) => parseFlags(argv, environment).withoutEffect;
  assert.deepEqual(given('node-agent', 'server'), []);
  assert.deepEqual(given('--features=', '--log-format=json', '--logtostderr=true'), []);
  assert.deepEqual(given('--client-qps=200', '--client-burst', '300', '--log-format', 'text', '--client-qps=201'), [
    '--log-format',
    '--client-qps',
    '--client-burst',
  ]);
  for (const line of [['-v', '4'], ['-v=4'], ['--v=4'], ['--v', '4']]) assert.deepEqual(given(...line), ['--v']);
  assert.deepEqual(given('--colorized', '--log_dir=/tmp', '--logtostderr=false'), [
    '--colorized',
    '--log_dir',
    '--logtostderr',
  ]);
});

test('what comes after a flag without effect still counts', () => {
  const flags = parseFlags(['--colorized', '--one_output', '--node-name=node-2', '-n', 'other'], environment);
  assert.deepEqual([flags.nodeName, flags.namespace], ['node-2', 'other']);
  assert.equal(parseFlags(['--kubecontext=here'], environment).kubecontext, 'here');
});

test('a flag that nobody knows ends the command line, whatever stands beside it', (t) => {
  const written: string[] = [];
  t.mock.method(process.stderr, 'write', (text: string) => written.push(text) > 0);
  for (const flag of ['--client-qpz=1', '--log-dir=/tmp', '--restore-not-emty=fail', '-x'])
    assert.throws(() => parseFlags(['--client-qps=1', flag], environment), { name: 'CommandLineEnd', isWrong: true });
  t.mock.restoreAll();
  assert.equal(written.length, 4);
  assert.match(written[0] ?? '', /^error: unknown option '--client-qpz=1'/);
});

test('the deadline of the init container is one that it takes, and none unless it is asked for', (t) => {
  const deadlineOf = (text: string) =>
    parseFlags([`--restore-helper-deadline=${text}`], environment).restoreHelperDeadlineSeconds;
  assert.equal(parseFlags([], environment).restoreHelperDeadlineSeconds, undefined);
  assert.deepEqual(['1s', '36h', '480h'].map(deadlineOf), [1, 129_600, 1_728_000]);
  t.mock.method(process.stderr, 'write', () => true);
  for (const text of ['0', '0s', '-1h', '500ms', '1500ms', '480h1s', '3600', 'never', '']) {
    assert.throws(() => deadlineOf(text), { name: 'CommandLineEnd', isWrong: true }, text);
  }
});

test('a mover may be without progress for an hour, for a minute at least, or for ever', (t) => {
  const stallOf = (text: string) => parseFlags([`--data-mover-stall-timeout=${text}`], environment).stallTimeoutMs;
  assert.equal(parseFlags([], environment).stallTimeoutMs, 3_600_000);
  assert.deepEqual(['0', '0s', '1m', '12h'].map(stallOf), [0, 0, 60_000, 43_200_000]);
  t.mock.method(process.stderr, 'write', () => true);
  for (const text of ['59s', '-1m', '60', 'off', ''])
    assert.throws(() => stallOf(text), { name: 'CommandLineEnd', isWrong: true }, text);
});

test("Velero's names of log levels mean the nearest of ours", () => {
  const levels = ['trace', 'debug', 'info', 'warning', 'warn', 'error', 'fatal', 'panic'];
  assert.deepEqual(
    levels.map((level) => parseFlags([`--log-level=${level}`], environment).logLevel),
    ['debug', 'debug', 'info', 'warn', 'warn', 'error', 'error', 'error'],
  );
});
