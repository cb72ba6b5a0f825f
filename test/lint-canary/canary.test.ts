// Proves that every ban of the lint configuration fires: writes one small offender per ban into a scratch project that uses
// the real .oxlintrc.json, lints it once, and expects exactly the planned findings. A rule that stops firing (renamed
// option, new linter, wrong glob) fails here instead of passing silently.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const projectRoot = fileURLToPath(new URL('../../', import.meta.url));

interface Offender {
  readonly path: string;
  readonly source: string;
  /** The rule expected on this file; undefined for a file that must pass. */
  readonly rule: string | undefined;
}

const RESTRICTED = 'eslint(no-restricted-imports)';

// Lowest first; folders of one row are peers. Written out again on purpose: the configuration is checked against this table.
const REPO_FORMAT_LAYERS = [
  ['crypto', 'hash', 'splitter', 'compression', 'ecc', 'blob'],
  ['format'],
  ['epoch', 'index'],
  ['content'],
  ['object'],
  ['manifest'],
  ['snapshot', 'maintenance'],
];
const DOWNWARD = ['base', 'repo-format', 'mover', 'cli'];
const ADAPTERS = [
  ['koffi', 'repo-format/crypto/openssl.ts'],
  ['koffi', 'mover/posix/libc.ts'],
  ['@napi-rs/blake-hash', 'repo-format/hash/adapter.ts'],
  ['zstd-napi', 'repo-format/compression/adapter.ts'],
  ['pino', 'cli/logger.ts'],
  ['commander', 'cli/adapter.ts'],
  ['@kubernetes/client-node', 'kube/client/kubeconfig.ts'],
  ['pino', 'program/logger.ts'],
  ['commander', 'program/flags.ts'],
  ['commander', 'agent/config/flags.ts'],
  ['commander', 'agent/config/velero-flags.ts'],
  ['commander', 'controller/config/flags.ts'],
  ['prom-client', 'controller/metrics.ts'],
  ['chokidar', 'agent/config/folder-watch.ts'],
  ['prom-client', 'agent/metrics/registry.ts'],
] as const;

/** Folders beside the chain, and what they must not import. */
const BESIDE: Readonly<Record<string, readonly string[]>> = {
  kube: ['repo-format', 'mover', 'program', 'agent', 'controller', 'restore-helper', 'cli', 'test'],
  program: ['repo-format', 'mover', 'agent', 'controller', 'restore-helper', 'cli', 'test'],
  agent: ['controller', 'restore-helper', 'cli', 'test'],
  controller: ['agent', 'mover', 'restore-helper', 'cli', 'test'],
  'restore-helper': ['base', 'repo-format', 'mover', 'kube', 'program', 'agent', 'controller', 'cli', 'test'],
};
const INNER = [
  'repo-format/blob/s3.ts',
  'repo-format/velero/location-store.ts',
  'mover/upload/backup.ts',
  'kube/api/kinds.ts',
];
const DOORS = ['repo-format/index.ts', 'repo-format/velero/index.ts', 'kube/index.ts', 'base/errors.ts'];

const importOf = (specifier: string): string => `export * from '${specifier}';\n`;

function upwardInsideRepoFormat(): Offender[] {
  const offenders: Offender[] = [];
  REPO_FORMAT_LAYERS.forEach((lower, rank) => {
    const above = REPO_FORMAT_LAYERS.slice(rank + 1).flat();
    for (const low of lower) {
      for (const high of above) {
        const path = `repo-format/${low}/uses-${high}.ts`;
        offenders.push({ path, source: importOf(`../${high}/target.ts`), rule: RESTRICTED });
        const allowed = `repo-format/${high}/may-use-${low}.ts`;
        offenders.push({ path: allowed, source: importOf(`../${low}/target.ts`), rule: undefined });
      }
      const nested = `repo-format/${low}/nested/uses-facade.ts`;
      offenders.push({ path: nested, source: importOf('../../index.ts'), rule: RESTRICTED });
    }
  });
  return offenders;
}

function upwardBetweenFolders(): Offender[] {
  const offenders: Offender[] = [];
  DOWNWARD.forEach((low, rank) => {
    for (const high of [...DOWNWARD.slice(rank + 1), 'program', 'agent', 'controller', 'test']) {
      if (low === high) continue;
      offenders.push({
        path: `${low}/deep/uses-${high}.ts`,
        source: importOf(`../../${high}/target.ts`),
        rule: RESTRICTED,
      });
    }
  });
  const layer = REPO_FORMAT_LAYERS.flat();
  for (const name of layer) {
    const source = importOf('../../mover/target.ts');
    offenders.push({ path: `repo-format/${name}/uses-mover.ts`, source, rule: RESTRICTED });
    const inner = importOf(`../../repo-format/${name}/target.ts`);
    offenders.push({ path: `mover/upload/uses-inner-${name}.ts`, source: inner, rule: RESTRICTED });
  }
  offenders.push({
    path: 'mover/upload/uses-door.ts',
    source: importOf('../../repo-format/index.ts'),
    rule: undefined,
  });
  offenders.push({ path: 'base/uses-library.ts', source: importOf('lru-cache'), rule: RESTRICTED });
  offenders.push({ path: 'base/uses-node.ts', source: importOf('node:path'), rule: undefined });
  for (const specifier of ['../base/target.ts', '../mover/target.ts', '../test/target.ts', 'yaml'])
    offenders.push({
      path: `restore-helper/uses-${specifier.replace(/\W/g, '')}.ts`,
      source: importOf(specifier),
      rule: RESTRICTED,
    });
  offenders.push({ path: 'restore-helper/uses-node.ts', source: importOf('node:path'), rule: undefined });
  offenders.push({ path: 'restore-helper/uses-own.ts', source: importOf('./uses-node.ts'), rule: undefined });
  offenders.push({ path: 'base/upward.test.ts', source: importOf('../mover/target.ts'), rule: RESTRICTED });
  offenders.push({ path: 'repo-format/upward.test.ts', source: importOf('../mover/target.ts'), rule: RESTRICTED });
  offenders.push({ path: 'mover/upward.test.ts', source: importOf('../cli/target.ts'), rule: RESTRICTED });
  return offenders;
}

function besideTheChain(): Offender[] {
  const offenders: Offender[] = [];
  for (const [folder, banned] of Object.entries(BESIDE)) {
    for (const other of banned) {
      const source = importOf(`../../${other}/target.ts`);
      offenders.push({ path: `${folder}/deep/uses-${other}.ts`, source, rule: RESTRICTED });
    }
  }
  for (const folder of ['agent', 'controller']) {
    INNER.forEach((inner, at) => {
      const source = importOf(`../../${inner}`);
      offenders.push({ path: `${folder}/deep/uses-inner-${at}.ts`, source, rule: RESTRICTED });
    });
    DOORS.forEach((door, at) => {
      const source = importOf(`../../${door}`);
      offenders.push({ path: `${folder}/deep/uses-door-${at}.ts`, source, rule: undefined });
    });
  }
  const [kubeDoor, kubeInner] = [importOf('../../kube/index.ts'), importOf('../../kube/api/kinds.ts')];
  offenders.push({ path: 'program/deep/uses-kube.ts', source: kubeDoor, rule: undefined });
  offenders.push({ path: 'program/deep/uses-inner-kube.ts', source: kubeInner, rule: RESTRICTED });
  for (const folder of ['agent', 'controller'])
    offenders.push({
      path: `${folder}/deep/uses-program.ts`,
      source: importOf('../../program/target.ts'),
      rule: undefined,
    });
  offenders.push({ path: 'kube/deep/uses-base.ts', source: importOf('../../base/errors.ts'), rule: undefined });
  return offenders;
}

function libraries(): Offender[] {
  const offenders: Offender[] = [];
  for (const [library, adapter] of ADAPTERS)
    offenders.push({ path: adapter, source: importOf(library), rule: undefined });
  for (const library of new Set(ADAPTERS.map(([name]) => name))) {
    for (const layer of [
      'repo-format/object',
      'mover/upload',
      'cli/commands',
      'kube/deep',
      'program/deep',
      'agent/deep',
    ]) {
      if (layer.startsWith('cli') && library === 'commander') continue;
      const slug = library.replace(/\W/g, '');
      offenders.push({ path: `${layer}/uses-${slug}.ts`, source: importOf(library), rule: RESTRICTED });
    }
  }
  offenders.push({ path: 'mover/uses-fast-check.ts', source: importOf('fast-check'), rule: RESTRICTED });
  return offenders;
}

const HABITS: readonly Offender[] = [
  {
    path: 'mover/cycle-a.ts',
    source: "import type { B } from './cycle-b.ts';\nexport type A = readonly B[];\n",
    rule: 'import(no-cycle)',
  },
  {
    path: 'mover/cycle-b.ts',
    source: "import type { A } from './cycle-a.ts';\nexport type B = readonly A[];\n",
    rule: 'import(no-cycle)',
  },
  {
    path: 'mover/floating.ts',
    source: 'export function start(work: () => Promise<void>): void {\n  work();\n}\n',
    rule: 'typescript(no-floating-promises)',
  },
  {
    path: 'mover/misused.ts',
    source: 'export function arm(work: () => Promise<void>): void {\n  setImmediate(work);\n}\n',
    rule: 'typescript(no-misused-promises)',
  },
  {
    path: 'mover/not-exhaustive.ts',
    source:
      "export function f(x: 'a' | 'b'): number {\n  switch (x) {\n    case 'a':\n      return 1;\n  }\n  return 0;\n}\n",
    rule: 'typescript(switch-exhaustiveness-check)',
  },
  {
    path: 'mover/throws-text.ts',
    source: "export function f(): never {\n  throw 'x';\n}\n",
    rule: 'eslint(no-throw-literal)',
  },
  {
    path: 'mover/returns-too-early.ts',
    source:
      'export async function f(open: () => AsyncDisposable, work: () => Promise<void>): Promise<void> {\n' +
      '  await using _held = open();\n  return work();\n}\n',
    rule: 'typescript(return-await)',
  },
  { path: 'mover/any.ts', source: 'export const x: any = 1;\n', rule: 'typescript(no-explicit-any)' },
  { path: 'mover/reads-environment.ts', source: 'export const x = process.env;\n', rule: 'node(no-process-env)' },
  {
    path: 'mover/reads-clock.ts',
    source: 'export const x = (): number => Date.now();\n',
    rule: 'eslint(no-restricted-properties)',
  },
  {
    path: 'mover/reads-chance.ts',
    source: 'export const x = (): number => Math.random();\n',
    rule: 'eslint(no-restricted-properties)',
  },
  {
    path: 'mover/prints.ts',
    source: "export function f(): void {\n  console.log('x');\n}\n",
    rule: 'eslint(no-console)',
  },
  { path: 'mover/default-export.ts', source: 'export default 1;\n', rule: 'import(no-default-export)' },
  {
    path: 'mover/empty-catch.ts',
    source: 'export function f(g: () => void): void {\n  try {\n    g();\n  } catch {}\n}\n',
    rule: 'eslint(no-empty)',
  },
];

interface Finding {
  readonly filename: string;
  readonly code: string;
}

async function lint(directory: string): Promise<readonly Finding[]> {
  const oxlint = join(projectRoot, 'node_modules/oxlint/bin/oxlint');
  const folders = ['base', 'repo-format', 'mover', 'kube', 'program', 'agent', 'controller', 'restore-helper', 'cli'];
  const text = await new Promise<string>((resolve, reject) => {
    const child = execFile(
      process.execPath,
      [oxlint, '-f', 'json', ...folders],
      { cwd: directory, maxBuffer: 1 << 26 },
      (error, stdout, stderr) => {
        // Findings make it exit non-zero; no output at all is a failure to run.
        if (stdout === '') reject(new Error(`oxlint printed nothing: ${stderr}`, { cause: error }));
        else resolve(stdout);
      },
    );
    child.stdin?.end();
  });
  // The shape is oxlint's; a change of it fails the assertions below.
  const report = JSON.parse(text) as { diagnostics: Finding[] };
  return report.diagnostics;
}

test('every ban of the lint configuration fires on its offender and on nothing else', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'windlass-canary-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  for (const file of ['.oxlintrc.json', 'tsconfig.json', 'package.json'])
    await cp(join(projectRoot, file), join(directory, file));
  await symlink(join(projectRoot, 'node_modules'), join(directory, 'node_modules'));
  const offenders = [
    ...upwardInsideRepoFormat(),
    ...upwardBetweenFolders(),
    ...besideTheChain(),
    ...libraries(),
    ...HABITS,
  ];
  for (const { path, source } of offenders) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), source);
  }
  assert.equal(new Set(offenders.map((o) => o.path)).size, offenders.length, 'two offenders share a path');
  const findings = await lint(directory);
  const found = new Set(findings.map(({ filename, code }) => `${filename}: ${code}`));
  const planned = offenders.filter((o) => o.rule !== undefined).map((o) => `${o.path}: ${o.rule}`);
  assert.deepEqual([...found].sort(), planned.sort());
});
