// Exit codes and last words, with a process of our own making; then of the three programs themselves.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { LogFields, Logger } from '../base/logger.ts';
import { WindlassError } from '../base/errors.ts';
import type { KubeClient } from '../kube/index.ts';
import { runCommand } from '../test/harness/run-command.ts';
import { scratchFolder } from '../test/harness/scratch.ts';
import { programCommand, type ProgramFlags } from './flags.ts';
import { exitCodeOf, type Host, type Program } from './run-program.ts';

interface Ended {
  readonly code: number;
  readonly errors: readonly (readonly [string, LogFields | undefined])[];
  readonly told: readonly string[];
  readonly closed: number;
}

const aborted = (reason: string): DOMException => new DOMException(reason, 'AbortError');

async function ended(
  program: Partial<Program<ProgramFlags>>,
  { signalled = false, connectFails = undefined as Error | undefined } = {},
): Promise<Ended> {
  const errors: [string, LogFields | undefined][] = [];
  const told: string[] = [];
  let closed = 0;
  const silent = (): void => undefined;
  const logger: Logger = {
    debug: silent,
    info: silent,
    warn: silent,
    error: (text, more) => errors.push([text, more]),
  };
  const client = { close: () => Promise.resolve(void closed++) } as unknown as KubeClient;
  const host: Host = {
    argv: [],
    environment: {},
    onSignal: (name, listener) => {
      if (signalled && name === 'SIGTERM') setImmediate(listener);
    },
    connect: () => (connectFails === undefined ? Promise.resolve(client) : Promise.reject(connectFails)),
    createLogger: () => logger,
  };
  const whole: Program<ProgramFlags> = {
    userAgent: 'test',
    kind: 'service',
    parse: () => ({ logLevel: 'info', kubeconfig: undefined }),
    fields: () => ({}),
    run: () => Promise.resolve(),
    onFailure: (text, code) => told.push(`${text} [${code}]`),
    ...program,
  };
  return { code: await exitCodeOf(whole, host), errors, told, closed };
}

const untilAborted: Program<ProgramFlags>['run'] = (_flags, _deps, signal) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

test('a program that ends well ends with 0, and leaves no connection', async () => {
  assert.deepEqual(await ended({}), { code: 0, errors: [], told: [], closed: 1 });
});

test('a failure is told with its causes and its code, and the client is closed', async () => {
  const cause = new Error('EADDRINUSE');
  const error = new WindlassError('cannot listen on :8085', { code: 'LISTEN_FAILED', cause });
  const { code, errors, told, closed } = await ended({ run: () => Promise.reject(error) });
  assert.deepEqual([code, closed], [1, 1]);
  assert.deepEqual(errors, [['cannot listen on :8085: EADDRINUSE', { code: 'LISTEN_FAILED' }]]);
  assert.deepEqual(told, ['cannot listen on :8085: EADDRINUSE [LISTEN_FAILED]']);
});

test('what fails before there is a client is told, too', async () => {
  const connectFails = new Error('no kubeconfig', { cause: new Error('ENOENT') });
  const { code, told, closed } = await ended({}, { connectFails });
  assert.deepEqual([code, told, closed], [1, ['no kubeconfig: ENOENT [UNKNOWN]'], 0]);
  const parse = (): never => {
    throw new TypeError('unforeseen');
  };
  assert.deepEqual((await ended({ parse })).told, ['unforeseen [UNKNOWN]']);
});

test('a signal ends a service well, and a task not', async () => {
  assert.deepEqual(await ended({ run: untilAborted }, { signalled: true }), {
    code: 0,
    errors: [],
    told: [],
    closed: 1,
  });
  const task = await ended({ kind: 'task', run: untilAborted }, { signalled: true });
  assert.equal(task.code, 1);
  assert.match(task.told[0] ?? '', /^stopped by SIGTERM/);
});

test('an abort that nobody asked for is a failure', async () => {
  const { code, told } = await ended({ run: () => Promise.reject(aborted('some deadline')) });
  assert.equal(code, 1);
  assert.match(told[0] ?? '', /^some deadline/);
});

test('a wrong command line ends with 2 and without a log line, --help with 0', async (t) => {
  const written: string[] = [];
  for (const stream of ['stdout', 'stderr'] as const)
    t.mock.method(process[stream], 'write', (text: unknown) => {
      written.push(String(text));
      return true;
    });
  const parsing = (argv: string[]) => (): ProgramFlags => {
    programCommand('windlass-x').parse(argv, { from: 'user' });
    return { logLevel: 'info', kubeconfig: undefined };
  };
  const wrong = await ended({ parse: parsing(['--unheard-of']) });
  const help = await ended({ parse: parsing(['--help']) });
  t.mock.restoreAll();
  assert.deepEqual([wrong.code, wrong.errors], [2, []]);
  assert.match(written.join(''), /error: unknown option '--unheard-of'/);
  assert.deepEqual([help.code, help.errors], [0, []]);
});

const PROGRAMS: readonly (readonly [string, readonly string[]])[] = [
  ['agent/main.ts', ['--node-name=node-1']],
  ['controller/main.ts', []],
  ['controller/repo-maintenance.ts', ['--repo-name=demo', '--backup-storage-location=default']],
];

for (const [program, flags] of PROGRAMS) {
  test(`${program}: a wrong line ends with 2, an unreadable kubeconfig with 1 and its cause`, async (t) => {
    const path = fileURLToPath(new URL(`../${program}`, import.meta.url));
    const wrong = await runCommand([process.execPath, path, ...flags, '--unheard-of']);
    assert.equal(wrong.code, 2, wrong.stderr);
    assert.match(wrong.stderr, /^error: unknown option '--unheard-of'$/m);

    const kubeconfig = join(scratchFolder(t, 'kubeconfig'), 'config');
    writeFileSync(kubeconfig, 'apiVersion: [');
    const failed = await runCommand([process.execPath, path, ...flags, `--kubeconfig=${kubeconfig}`]);
    assert.equal(failed.code, 1, failed.stderr);
    const lines = failed.stderr.trim().split('\n');
    const line = JSON.parse(lines.at(-1) ?? '') as { level: string; msg: string; code: string };
    assert.equal(line.level, 'error');
    assert.equal(line.code, 'KUBE_CONFIG');
    // What the file lacks is the cause's to say.
    assert.match(line.msg, /^[^:]+: .+/);
  });
}
