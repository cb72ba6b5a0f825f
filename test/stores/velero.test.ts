// Velero's locations: repositories that real Velero wrote, served by a real S3 server and restored by the command; and what the command
// makes in such a place.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findKopia, KopiaClient } from '../harness/kopia-client.ts';
import { describeResult, runCommand, type CommandResult } from '../harness/run-command.ts';
import { startS3Server, type S3Server } from '../harness/s3-server.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { unpackTarGz } from '../harness/tar.ts';
import { WINDLASS_PATH } from '../harness/windlass-command.ts';

const GOLDEN = fileURLToPath(new URL('../golden/velero/', import.meta.url));
const PASSWORD = 'static-passw0rd';
const WEB_DATA = 'snapshot-pod-volume/kopia/demo/web-56b4df96fd-xk9bw/data';
const STOCK = 'snapshot-data-upload-download/kopia/shop/stock';

let server: S3Server;

before(async () => {
  server = await startS3Server();
});
after(() => server.stop());

interface Place {
  readonly folder: string;
  windlass(...args: string[]): Promise<CommandResult>;
  ok(...args: string[]): Promise<string>;
}

/** The command with a location file for `bucket`, as one gets it from a cluster but for the address. */
function place(t: TestContext, bucket: string, namespace: string, spec: Record<string, unknown> = {}): Place {
  const folder = memoryFolder(t, 'velero');
  const location = join(folder, 'location.yaml');
  const text = readFileSync(join(GOLDEN, 'location.yaml'), 'utf8')
    .replace(/s3Url: .*/, `s3Url: ${server.endpoint}`)
    .replace(/bucket: .*/, `bucket: ${bucket}`)
    .replace(/^ {4}provider: aws$/m, `    provider: aws\n${yamlOf(spec)}`);
  writeFileSync(location, text);
  const windlass = (...args: string[]): Promise<CommandResult> =>
    runCommand([WINDLASS_PATH, '--backup-storage-location', location, '--volume-namespace', namespace, ...args], {
      env: { WINDLASS_PASSWORD: PASSWORD, HOME: folder, ...server.environment },
    });
  const ok = async (...args: string[]): Promise<string> => {
    const result = await windlass(...args);
    assert.equal(result.code, 0, describeResult(args, result));
    return result.stdout;
  };
  return { folder, windlass, ok };
}

function yamlOf(spec: Record<string, unknown>): string {
  return Object.entries(spec)
    .map(([key, value]) => `    ${key}: ${JSON.stringify(value)}`)
    .join('\n');
}

interface TruthLine {
  readonly path: string | { readonly hex: string };
  readonly type: string;
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: string;
  readonly size?: number;
  readonly sha256?: string;
  readonly target?: string | { readonly hex: string };
}

function truth(name: string): TruthLine[] {
  const lines = readFileSync(join(GOLDEN, `${name}.jsonl`), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => JSON.parse(line) as TruthLine);
}

const IS_ROOT = process.getuid?.() === 0;

/** As far as Kopia's format goes: no special files, no times of folders, and names that are not UTF-8 in its spelling. */
function assertRestored(folder: string, line: TruthLine): void {
  const name = typeof line.path === 'string' ? line.path : Buffer.from(line.path.hex, 'hex').toString('utf8');
  const path = join(folder, name);
  if (!['file', 'dir', 'symlink'].includes(line.type)) {
    assert.ok(!existsSync(path), `${name} is a ${line.type}`);
    return;
  }
  const found = lstatSync(path, { bigint: true });
  const type = found.isDirectory() ? 'dir' : found.isSymbolicLink() ? 'symlink' : found.isFile() ? 'file' : 'other';
  assert.equal(type, line.type, name);
  if (IS_ROOT) assert.deepEqual([Number(found.uid), Number(found.gid)], [line.uid, line.gid], name);
  if (line.type === 'symlink') {
    const target = line.target;
    if (typeof target === 'string') assert.equal(readlinkSync(path), target, name);
    return;
  }
  assert.equal((found.mode & 0o7777n).toString(8).padStart(4, '0'), line.mode.slice(-4), name);
  if (line.type === 'dir') return;
  assert.equal(String(found.mtimeNs), line.mtimeNs, name);
  assert.equal(Number(found.size), line.size, name);
  if (!IS_ROOT && (found.mode & 0o400n) === 0n) return;
  assert.equal(createHash('sha256').update(readFileSync(path)).digest('hex'), line.sha256, name);
}

async function serve(name: string, bucket: string): Promise<void> {
  await server.createBucket(bucket);
  unpackTarGz(join(GOLDEN, `${name}.tar.gz`), join(server.folder, bucket));
}

describe('repositories that Velero wrote', () => {
  for (const [name, namespace, source, files] of [
    ['pod-volumes', 'demo', WEB_DATA, 500],
    ['data-movement', 'shop', STOCK, 20],
  ] as const) {
    test(`${name}: listed, looked at, verified and restored`, async (t) => {
      await serve(name, name);
      const { ok, folder } = place(t, name, namespace);
      const list = JSON.parse(await ok('snapshot', 'list', source, '--json')) as { tags: unknown; pins: unknown }[];
      assert.equal(list.length, 1);
      assert.deepEqual(list[0]?.pins, ['velero-pin']);
      assert.ok((await ok('ls', 'latest', '--source', source)).length > 0);
      const target = join(folder, 'restored');
      await ok('snapshot', 'restore', 'latest', target, '--source', source);
      const lines = truth(name);
      assert.ok(lines.length > files);
      for (const line of lines) assertRestored(target, line);
      await ok('snapshot', 'verify');
    });
  }

  test('a backup goes on where Velero stopped, and is marked as Velero marks its own', async (t) => {
    await serve('pod-volumes', 'continued');
    const { ok, windlass, folder } = place(t, 'continued', 'demo');
    const tree = join(folder, 'tree');
    await ok('snapshot', 'restore', 'latest', tree, '--source', WEB_DATA);
    const first = JSON.parse(await ok('snapshot', 'create', tree, '--source', WEB_DATA, '--json')) as Made;
    // What Velero stored is taken over as it is.
    assert.ok(first.stats.cachedFiles > 500, JSON.stringify(first.stats));
    assert.deepEqual(first.source, { host: 'default', userName: 'default', path: WEB_DATA });
    assert.deepEqual(first.tags, { 'snapshot-requester': 'snapshot-pod-volume', 'snapshot-uploader': 'kopia' });
    assert.deepEqual([first.pins, first.description], [['velero-pin'], 'Kopia Uploader']);
    const all = JSON.parse(await ok('snapshot', 'list', WEB_DATA, '--json')) as Made[];
    assert.equal(all.length, 2);
    const policy = JSON.parse(await ok('policy', 'show', `default@default:${WEB_DATA}`, '--json')) as unknown;
    assert.ok(JSON.stringify(policy).includes('2147483647'));
    for (const args of [
      ['snapshot', 'create', tree],
      ['snapshot', 'create', tree, '--source', '/somewhere'],
      ['snapshot', 'create', '--stdin', 'x', '--source', WEB_DATA],
    ]) {
      const refused = await windlass(...args);
      assert.equal(refused.code, 2, describeResult(args, refused));
    }
    const refused = await windlass('maintenance', 'run');
    assert.match(refused.stderr, /\[MAINTENANCE_BY_VELERO\]/);
  });

  test('nothing is changed in a location that is read-only', async (t) => {
    await serve('data-movement', 'only-read');
    const { ok, windlass, folder } = place(t, 'only-read', 'shop', { accessMode: 'ReadOnly' });
    assert.match(await ok('snapshot', 'list'), /snapshot-data-upload-download/);
    mkdirSync(join(folder, 'tree'));
    for (const args of [
      ['snapshot', 'create', join(folder, 'tree'), '--source', STOCK],
      ['snapshot', 'delete', '62a6a7a4c1cbdf643291a7f3dd84d355'],
      ['repository', 'create'],
    ]) {
      const refused = await windlass(...args);
      assert.match(refused.stderr, /\[BLOB_READ_ONLY\]/);
    }
  });
});

interface Made {
  readonly source: unknown;
  readonly tags: unknown;
  readonly pins: unknown;
  readonly description: string;
  readonly stats: { readonly cachedFiles: number };
}

describe('repositories that we make for Velero', () => {
  test("are where Velero looks, and set up as Velero's", async (t) => {
    await server.createBucket('fresh');
    const { ok, windlass, folder } = place(t, 'fresh', 'my-ns');
    const status = JSON.parse(await ok('repository', 'create', '--json')) as {
      uniqueIDHex: string;
      contentFormat: { hash: string };
      storage: { type: string };
    };
    assert.equal(status.storage.type, 's3');
    assert.equal(status.contentFormat.hash, 'BLAKE3-256-128');
    const blob = JSON.parse(readFileSync(join(server.folder, 'fresh/kopia/my-ns/udmrepo.Repository'), 'utf8')) as {
      uniqueID: string;
    };
    assert.equal(Buffer.from(blob.uniqueID, 'base64').toString('hex'), status.uniqueIDHex);
    const info = JSON.parse(await ok('maintenance', 'info', '--json')) as { owner: string };
    assert.equal(info.owner, 'default@default');
    assert.match((await windlass('repository', 'create')).stderr, /\[REPOSITORY_EXISTS\]/);
    const tree = join(folder, 'tree');
    mkdirSync(tree);
    writeFileSync(join(tree, 'a.txt'), 'some text');
    await ok('snapshot', 'create', tree, '--source', 'snapshot-pod-volume/kopia/my-ns/web-0/data');
    const program = findKopia();
    if (program === undefined) return;
    // Velero's own client is Kopia under Velero's name.
    const repository = ['s3', '--bucket=fresh', '--prefix=kopia/my-ns/', `--endpoint=${new URL(server.endpoint).host}`];
    const kopia = new KopiaClient({
      program,
      folder: join(folder, 'kopia'),
      repository: [...repository, '--disable-tls'],
      password: PASSWORD,
      environment: server.environment,
    });
    await kopia.connect();
    const [snapshot, ...others] = (await kopia.json('snapshot', 'list', '--all')) as Made[];
    assert.equal(others.length, 0);
    assert.deepEqual(snapshot?.tags, { 'snapshot-requester': 'snapshot-pod-volume', 'snapshot-uploader': 'kopia' });
    assert.equal(((await kopia.json('maintenance', 'info')) as { owner: string }).owner, 'default@default');
    await kopia.ok('snapshot', 'verify', '--verify-files-percent=100');
  });
});
