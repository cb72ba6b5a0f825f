// Repositories by the real kopia 0.23 (kopia-algorithms/README.md), read whole: their snapshots, every entry of the last
// one down to its bytes; and manifests, policies and directory objects written again byte for byte. A failure here means
// that backups made by kopia, or by an older windlass, can no longer be read or continued.
import assert from 'node:assert/strict';
import { createHash, type Hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import type { Repository } from '../../repo-format/index.ts';
import { parseObjectId } from '../../repo-format/object/object-id.ts';
import { encodeEntry, type DirectoryEntry } from '../../repo-format/snapshot/directory-entry.ts';
import { encodeDirectory, parseDirectory } from '../../repo-format/snapshot/directory-object.ts';
import { encodePolicy, parsePolicy } from '../../repo-format/snapshot/policy.ts';
import { encodeSnapshotManifest, parseSnapshotManifest } from '../../repo-format/snapshot/snapshot-manifest.ts';
import { KOPIA_ALGORITHMS_FOLDER, kopiaAlgorithmNames, openKopiaAlgorithm } from '../harness/golden-repository.ts';
import { scratchFolder } from '../harness/scratch.ts';

const READ_BYTES = 1 << 20;
/** As many hex digits of SHA-256 as the tree files hold. */
const SHOWN_DIGITS = 24;

/** A snapshot as `kopia snapshot list --json` prints it. */
interface ListedSnapshot {
  readonly id: string;
  readonly rootEntry: { readonly obj: string };
  /** Computed when listing, not stored. */
  readonly retentionReason?: readonly string[];
}

test('there is a repository for every hash function and some more', () => {
  assert.equal(kopiaAlgorithmNames().length, 15);
});

for (const name of kopiaAlgorithmNames()) {
  test(`the repository ${name} reads whole and encodes back to the same bytes`, async (t) => {
    const folder = scratchFolder(t, 'golden');
    const repository = await openKopiaAlgorithm(t, name, { folder, readOnly: true });
    const listed = JSON.parse(readFileSync(join(KOPIA_ALGORITHMS_FOLDER, `${name}.snapshots.json`), 'utf8'));
    const last = await compareSnapshots(repository, listed as ListedSnapshot[], t.signal);
    await comparePolicies(repository, t.signal);
    const walk = new TreeWalk(repository, t.signal);
    await walk.entry(last, '.');
    const tree = readFileSync(join(KOPIA_ALGORITHMS_FOLDER, `${name}.tree.txt`), 'utf8');
    assert.deepEqual(walk.lines.sort(), tree.trimEnd().split('\n').sort());
  });
}

/** Answers the root entry of the last snapshot. */
async function compareSnapshots(
  repository: Repository,
  listed: readonly ListedSnapshot[],
  signal: AbortSignal,
): Promise<DirectoryEntry> {
  const stored = await repository.manifests.find({ type: 'snapshot' }, signal);
  const parsed = stored.map(({ id, dataJson }) => ({ dataJson, snapshot: parseSnapshotManifest(id, dataJson) }));
  parsed.sort((a, b) => (a.snapshot.startTimeNs < b.snapshot.startTimeNs ? -1 : 1));
  for (const { dataJson, snapshot } of parsed) assert.equal(encodeSnapshotManifest(snapshot), dataJson);
  assert.deepEqual(
    parsed.map(({ dataJson, snapshot }) => ({ ...(JSON.parse(dataJson) as object), id: `${snapshot.id}` })),
    listed.map(({ retentionReason: _, ...persisted }) => persisted),
  );
  const root = parsed.at(-1)?.snapshot.rootEntry;
  assert.ok(root);
  return root;
}

async function comparePolicies(repository: Repository, signal: AbortSignal): Promise<void> {
  const stored = await repository.manifests.find({ type: 'policy' }, signal);
  assert.ok(stored.length > 0, 'kopia gave the repository a global policy');
  for (const { dataJson } of stored) assert.equal(encodePolicy(parsePolicy(dataJson)), dataJson);
}

/** Lists a tree in the form of the tree files. */
class TreeWalk {
  readonly lines: string[] = [];
  readonly #repository: Repository;
  readonly #signal: AbortSignal;

  constructor(repository: Repository, signal: AbortSignal) {
    this.#repository = repository;
    this.#signal = signal;
  }

  async entry(entry: DirectoryEntry, path: string): Promise<void> {
    const owner = `${entry.uid}:${entry.gid}`;
    const mode = entry.mode.toString(8).padStart(4, '0');
    if (entry.type === 'd') {
      this.lines.push(`d ${mode} ${owner} ${entry.mtimeNs}  ${path}`);
      await this.#directory(entry, path);
    } else if (entry.type === 's') {
      const target = Buffer.from(await this.#repository.readObject(parseObjectId(entry.objectId), this.#signal));
      this.lines.push(`l ${mode} ${owner}  -> ${target.toString()} ${path}`);
    } else {
      const { length, digest } = await this.#hash(entry);
      assert.equal(length, entry.size, path);
      this.lines.push(`f ${mode} ${owner} ${entry.mtimeNs} ${length} ${digest} ${path}`);
    }
  }

  async #directory(entry: DirectoryEntry, path: string): Promise<void> {
    const bytes = await this.#repository.readObject(parseObjectId(entry.objectId), this.#signal);
    const { entries, summary } = parseDirectory(bytes);
    assert.ok(summary !== undefined);
    assert.deepEqual(summary, entry.summary, `the summary of ${path} is the one in its entry`);
    const texts = (isDirectory: boolean): string[] =>
      entries.filter((child) => (child.type === 'd') === isDirectory).map((child) => encodeEntry(child));
    const again = encodeDirectory({ dirEntryTexts: texts(true), otherEntryTexts: texts(false), summary });
    assert.equal(Buffer.from(again).toString(), Buffer.from(bytes).toString());
    for (const child of entries) await this.entry(child, path === '.' ? child.name : `${path}/${child.name}`);
  }

  async #hash(entry: DirectoryEntry): Promise<{ length: number; digest: string }> {
    const reader = await this.#repository.openObject(parseObjectId(entry.objectId), this.#signal);
    const hash: Hash = createHash('sha256');
    for (let at = 0; at < reader.length; at += READ_BYTES) hash.update(await reader.read(at, READ_BYTES, this.#signal));
    return { length: reader.length, digest: hash.digest('hex').slice(0, SHOWN_DIGITS) };
  }
}
