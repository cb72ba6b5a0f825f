// The first run: makes a repository in a scratch folder, backs a directory up twice, restores it, compares every byte and attribute with
// the source, and leaves the commands to go on with. `npm run quickstart [-- DIRECTORY] [--repository URL]`. Removes nothing.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { zstdBackend } from '../repo-format/index.ts';
import { formatCount, formatDuration, formatRate, formatSize, table } from '../cli/terminal/format.ts';
import { describeTree } from '../test/harness/describe-tree.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const windlassPath = join(root, 'bin/windlass');
const MAX_DIFFERENCES_SHOWN = 10;

interface Scratch {
  readonly folder: string;
  readonly repository: string;
  readonly passwordFile: string;
  readonly restored: string;
}

interface Step {
  readonly name: string;
  readonly elapsedMs: number;
  readonly sizeBytes: number | undefined;
  readonly note: string;
}

/** What the quickstart reads of the documents of `windlass --json`. */
interface Documents {
  readonly id: string;
  readonly errors: readonly { readonly path: string; readonly error: string }[];
  readonly bytesUploaded: number;
  readonly rootEntry: { readonly summ: { readonly size: number; readonly files: number; readonly symlinks: number } };
  readonly stats: { readonly cachedFiles: number };
  readonly restored: {
    readonly files: number;
    readonly symlinks: number;
    readonly hardLinks: number;
    readonly bytes: number;
  };
  readonly verified: { readonly files: number; readonly mismatches: number } | undefined;
  readonly attributes: readonly { readonly attribute: string; readonly errno: string; readonly count: number }[];
  readonly failed: { readonly count: number };
}

// Exit code 3: finished, with something to tell. The table tells it.
const GOOD_EXITS = [0, 3];

function windlass(scratch: Scratch, args: readonly string[]): { document: Documents; elapsedMs: number } {
  const started = performance.now();
  const environment = {
    ...process.env,
    WINDLASS_REPOSITORY: scratch.repository,
    WINDLASS_CACHE_DIR: join(scratch.folder, 'cache'),
  };
  const options = ['--password-file', scratch.passwordFile, '--json'];
  const result = spawnSync(windlassPath, [...options, ...args], {
    env: environment,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 30,
  });
  const elapsedMs = performance.now() - started;
  if (!GOOD_EXITS.includes(result.status ?? -1))
    throw new Error(`windlass ${args.join(' ')} ended with ${result.status ?? result.signal}`);
  // Our own command's documents; the shape is tested with it.
  return { document: JSON.parse(result.stdout) as Documents, elapsedMs };
}

function backUp(scratch: Scratch, name: string, source: string): { step: Step; id: string; failures: number } {
  console.log(`… ${name}: ${source}`);
  const { document, elapsedMs } = windlass(scratch, ['snapshot', 'create', source]);
  const { summ } = document.rootEntry;
  const unread = document.errors.length === 0 ? '' : `, ${document.errors.length} NOT READ`;
  const symlinks = summ.symlinks === 0 ? '' : `${formatCount(summ.symlinks)} symlinks, `;
  const note = `${formatCount(summ.files)} files, ${symlinks}${formatCount(document.stats.cachedFiles)} unchanged, ${formatSize(document.bytesUploaded)} stored${unread}`;
  return { step: { name, elapsedMs, sizeBytes: summ.size, note }, id: document.id, failures: document.errors.length };
}

function restore(scratch: Scratch, id: string): { step: Step; problems: string[] } {
  console.log(`… restore: ${scratch.restored}`);
  const { document, elapsedMs } = windlass(scratch, ['snapshot', 'restore', id, scratch.restored]);
  const { restored, attributes, failed } = document;
  const problems = attributes.map(
    ({ attribute, errno, count }) => `${attribute} did not take on ${count} entries (${errno})`,
  );
  if (failed.count > 0) problems.push(`${failed.count} entries could not be restored`);
  const counts = [
    `${formatCount(restored.files)} files`,
    ...(restored.symlinks === 0 ? [] : [`${formatCount(restored.symlinks)} symlinks`]),
    ...(restored.hardLinks === 0 ? [] : [`${formatCount(restored.hardLinks)} hard links`]),
  ];
  const note = counts.join(', ');
  return { step: { name: 'restore', elapsedMs, sizeBytes: restored.bytes, note }, problems };
}

/** Reads both trees without any of the engine's own checks: types, modes, owners, times, sizes, bytes, targets, xattrs, hard links. */
function compare(source: string, restored: string): { step: Step; differences: string[] } {
  console.log('… compare: every byte and attribute of both trees');
  const started = performance.now();
  const [before, after] = [describeTree(source, { omit: ['holes'] }), describeTree(restored, { omit: ['holes'] })];
  const differences: string[] = [];
  for (const path of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [a, b] = [JSON.stringify(before[path]), JSON.stringify(after[path])];
    if (a !== b) differences.push(`${path}: ${a ?? 'not in the source'} restored as ${b ?? 'nothing'}`);
  }
  const sizeBytes = Object.values(before).reduce((sum, entry) => sum + (entry.size ?? 0), 0);
  const note =
    differences.length === 0
      ? `${formatCount(Object.keys(before).length)} entries equal`
      : `${differences.length} DIFFERENCES`;
  return { step: { name: 'compare', elapsedMs: performance.now() - started, sizeBytes, note }, differences };
}

function printTable(steps: readonly Step[]): void {
  const rows = steps.map(({ name, elapsedMs, sizeBytes, note }) => [
    name,
    formatDuration(elapsedMs),
    sizeBytes === undefined ? '' : formatSize(sizeBytes),
    sizeBytes === undefined ? '' : formatRate(sizeBytes, elapsedMs),
    note,
  ]);
  console.log('');
  for (const line of table([['step', 'time', 'data', 'rate', ''], ...rows], [1, 2, 3])) console.log(line.trimEnd());
}

function printNextSteps(scratch: Scratch, source: string, id: string): void {
  const here = relative(process.cwd(), windlassPath);
  const command = here.startsWith('..') ? windlassPath : `./${here}`;
  console.log(`
${whatIsWhere(scratch)} To go on:

  export WINDLASS_REPOSITORY='${scratch.repository}'
  export WINDLASS_CACHE_DIR=${join(scratch.folder, 'cache')}
  export WINDLASS_PASSWORD=$(cat ${scratch.passwordFile})
  ${command} snapshot list
  ${command} ls -l ${id.slice(0, 8)}
  ${command} snapshot create ${source}
  ${command} snapshot restore latest ./restored-again
  ${command} snapshot verify
  ${command} --help`);
}

/** `repository`: a place in an object store, whose credentials come from the environment as always. */
async function makeScratch(repository: string | undefined): Promise<Scratch> {
  const folder = await mkdtemp(join(tmpdir(), 'windlass-quickstart-'));
  const passwordFile = join(folder, 'password');
  await writeFile(passwordFile, `${randomBytes(18).toString('base64url')}\n`, { mode: 0o600 });
  return {
    folder,
    passwordFile,
    repository: repository ?? join(folder, 'repository'),
    restored: join(folder, 'restored'),
  };
}

function whatIsWhere({ folder, repository }: Scratch): string {
  if (repository.startsWith(folder)) return `Everything is in ${folder}; delete that folder when you are done.`;
  return `The repository is at ${repository}, all else in ${folder}; delete both when you are done.`;
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { repository: { type: 'string', short: 'r' } },
    allowPositionals: true,
  });
  // npm runs scripts in the project's folder and says where it was called.
  const here = process.env['INIT_CWD'] ?? process.cwd();
  const [directory] = positionals;
  const source = directory === undefined ? join(root, 'node_modules') : resolve(here, directory);
  const { repository } = values;
  const isPath = repository !== undefined && !repository.includes('://');
  const scratch = await makeScratch(isPath ? resolve(here, repository) : repository);
  if (zstdBackend() === 'node')
    console.log("note: zstd-napi did not install; Node's own zstd serves instead, a little slower");
  const created = windlass(scratch, ['repository', 'create']);
  const first = backUp(scratch, 'first backup', source);
  const second = backUp(scratch, 'backup again', source);
  const restored = restore(scratch, second.id);
  const compared = compare(source, scratch.restored);
  const create: Step = {
    name: 'create repository',
    elapsedMs: created.elapsedMs,
    sizeBytes: undefined,
    note: 'encrypted, its key derived from the password',
  };
  printTable([create, first.step, second.step, restored.step, compared.step]);
  for (const problem of [...restored.problems, ...compared.differences.slice(0, MAX_DIFFERENCES_SHOWN)])
    console.log(`  ${problem}`);
  printNextSteps(scratch, source, second.id);
  const good = first.failures + second.failures + restored.problems.length + compared.differences.length === 0;
  console.log(good ? '\nquickstart: passed, the restored tree equals the source' : '\nquickstart: FAILED, see above');
  return good ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
