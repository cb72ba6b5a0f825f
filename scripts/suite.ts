// Runs one named group of test files with Node's own runner: `node scripts/suite.ts NAME [FILE…]`. `npm test` is the group
// `unit`: everything beside the sources and the golden tests, fast and without any other program. The slower groups have a folder each.
import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clusterMissing } from '../test/cluster/programs.ts';
import { preparePeers, type PeerName } from '../test/harness/peers.ts';

interface Suite {
  readonly files: readonly string[];
  /** Test files at a time. Two for the fast ones; the slow ones measure or kill and get the machine for themselves. */
  readonly concurrency: number;
  readonly timeoutMs: number;
  /** Programs that it cannot do without. */
  readonly peers?: readonly PeerName[];
  /** Says what else cannot be had. */
  readonly missing?: () => string | undefined;
  /** A file that runs the command given to it in surroundings that all test files share, and the first word of the command. */
  readonly within?: readonly string[];
}

const MINUTE = 60_000;
const SUITES: Readonly<Record<string, Suite>> = {
  unit: {
    files: [
      '{base,repo-format,mover,kube,program,agent,controller,restore-helper,cli}/**/*.test.ts',
      'test/{golden,harness,lint-canary,bench}/**/*.test.ts',
    ],
    concurrency: 2,
    timeoutMs: 2 * MINUTE,
  },
  kopia: { files: ['test/kopia/**/*.test.ts'], concurrency: 1, timeoutMs: 20 * MINUTE },
  // Servers share the machine with what is tested against them: two files at a time would only wait for each other.
  stores: {
    files: ['test/stores/**/*.test.ts'],
    concurrency: 1,
    timeoutMs: 20 * MINUTE,
    peers: ['azurite', 'fake-gcs-server', 'versitygw'],
  },
  kube: {
    files: ['test/kube/**/*.test.ts'],
    concurrency: 1,
    timeoutMs: 10 * MINUTE,
    peers: ['etcd', 'kubernetes', 'velero'],
  },
  compat: { files: ['test/compat/**/*.test.ts'], concurrency: 1, timeoutMs: 10 * MINUTE },
  // Our restore helper and Velero's in containers made by hand, the chart against helm.
  chart: {
    files: ['test/{restore-helper,chart}/**/*.test.ts'],
    concurrency: 1,
    timeoutMs: 10 * MINUTE,
    peers: ['etcd', 'helm', 'kubernetes', 'velero'],
  },
  kit: { files: ['test/kit/**/*.test.ts'], concurrency: 1, timeoutMs: 10 * MINUTE },
  // One cluster for all files: each is a minute or two of a real Velero's time.
  cluster: {
    files: ['test/cluster/**/*.test.ts'],
    concurrency: 1,
    timeoutMs: 20 * MINUTE,
    peers: ['helm'],
    missing: clusterMissing,
    within: ['test/cluster/with-cluster.ts', process.execPath],
  },
  crash: { files: ['test/crash/**/*.test.ts'], concurrency: 1, timeoutMs: 20 * MINUTE },
  stress: { files: ['test/stress/**/*.test.ts'], concurrency: 1, timeoutMs: 20 * MINUTE },
};

/** Each test file is a process that loads much of the engine: a quarter of their time is saved when the types are stripped once. */
const COMPILE_CACHE = join('node_modules', '.cache', 'windlass-tests', 'compile');

function kopiaVersion(): string | undefined {
  const program = process.env['KOPIA'] || 'kopia';
  const probe = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return probe.status === 0 ? `${probe.stdout}${probe.stderr}`.trim() : undefined;
}

function isCi(): boolean {
  return !['', '0', 'false'].includes(process.env['CI'] ?? '');
}

function run(name: string, chosen: readonly string[]): number {
  const suite = SUITES[name];
  if (suite === undefined) {
    console.error(`no suite ${name}; there are ${Object.keys(SUITES).join(', ')}`);
    return 2;
  }
  const files = chosen.length > 0 ? chosen : globSync([...suite.files]).sort();
  if (files.length === 0) {
    console.error(`suite ${name}: no test files match ${suite.files.join(' ')}`);
    return 1;
  }
  if (name === 'kopia') {
    const version = kopiaVersion();
    if (version === undefined) {
      console.log('suite kopia: skipped, there is no kopia on PATH and none named by KOPIA');
      return 0;
    }
    console.log(`suite kopia: against kopia ${version}`);
  }
  const missing = suite.missing?.() ?? preparePeers(suite.peers ?? []);
  if (missing !== undefined) {
    // Nobody may take a run without its servers for one that passed where they are expected.
    const isExpected = isCi();
    console.log(`suite ${name}: ${isExpected ? 'FAILED' : 'skipped'}, ${missing}`);
    return isExpected ? 1 : 0;
  }
  if (!existsSync('node_modules/zstd-napi/build/Release')) {
    console.log("note: zstd-napi did not install; Node's own zstd serves instead, a little slower");
  }
  const options = [`--test-concurrency=${suite.concurrency}`, `--test-timeout=${suite.timeoutMs}`];
  const env = { NODE_COMPILE_CACHE: resolve(COMPILE_CACHE), ...process.env };
  const result = spawnSync(process.execPath, [...(suite.within ?? []), '--test', ...options, ...files], {
    stdio: 'inherit',
    env,
  });
  const passed = result.status === 0;
  console.log(`suite ${name}: ${passed ? 'passed' : 'FAILED'} (${files.length} files)`);
  return passed ? 0 : 1;
}

process.chdir(fileURLToPath(new URL('../', import.meta.url)));
process.exitCode = run(process.argv[2] ?? 'unit', process.argv.slice(3));
