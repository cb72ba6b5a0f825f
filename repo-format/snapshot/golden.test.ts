// Bytes by the real kopia, read and written again: every one must be the same, or object ids no longer match kopia's.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { encodeMaintenanceSettings } from '../manifest/maintenance-settings.ts';
import { encodeManifestEntry } from '../manifest/manifest-entry.ts';
import { parseManifestContent } from '../manifest/manifest-content.ts';
import { encodeIndirect, parseIndirect } from '../object/indirect-object.ts';
import { parseObjectId } from '../object/object-id.ts';
import { encodeEntry } from './directory-entry.ts';
import { compareNames, encodeDirectory, parseDirectory } from './directory-object.ts';
import { encodePolicy, parsePolicy } from './policy.ts';
import { PreviousDirectory } from './previous-directory.ts';
import { encodeSnapshotManifest, parseSnapshotManifest, rewriteSnapshotManifest } from './snapshot-manifest.ts';
import { SummaryBuilder } from './summary.ts';

const folder = new URL('../../test/golden/snapshot-contents/', import.meta.url);

function contents(prefix: string): { id: string; bytes: Buffer }[] {
  const ids = readdirSync(folder).filter((name) => name.startsWith(prefix));
  assert.ok(ids.length > 0, `golden contents with prefix ${prefix}`);
  return ids.map((id) => ({ id, bytes: readFileSync(new URL(id, folder)) }));
}

test('directories by kopia come out with the same bytes', () => {
  for (const { id, bytes } of contents('k')) {
    const { entries, summary } = parseDirectory(bytes);
    assert.ok(summary);
    const isDirectory = ({ type }: { type: string }): boolean => type === 'd';
    const encoded = encodeDirectory({
      dirEntryTexts: entries.filter(isDirectory).map(encodeEntry),
      otherEntryTexts: entries.filter((entry) => !isDirectory(entry)).map(encodeEntry),
      summary,
    });
    assert.equal(Buffer.from(encoded).toString(), bytes.toString(), id);
  }
});

test('entries by kopia are in the order of compareNames', () => {
  for (const { bytes } of contents('k')) {
    for (const type of ['d', 'other']) {
      const { entries } = parseDirectory(bytes);
      const names = entries.filter((entry) => (entry.type === 'd') === (type === 'd')).map(({ name }) => name);
      assert.deepEqual([...names].sort(compareNames), names);
    }
  }
});

test('summaries by kopia are what the builder adds up', () => {
  for (const { bytes } of contents('k')) {
    const { entries, summary } = parseDirectory(bytes);
    const builder = new SummaryBuilder();
    for (const { type, size, mtimeSeconds, mtimeNanos, summary: below } of entries) {
      if (type === 'f') builder.addFile(size, mtimeSeconds, mtimeNanos);
      else if (type === 's') builder.addSymlink(mtimeSeconds, mtimeNanos);
      else if (below !== undefined) builder.addDirectory(below, mtimeSeconds, mtimeNanos);
    }
    // An empty directory shows its own time, which only its parent's entry tells.
    const { seconds, nanos } = entries.length > 0 ? { seconds: 0, nanos: 0 } : timeOf(summary?.maxTimeNs ?? 0n);
    assert.deepEqual(builder.build(seconds, nanos), summary);
  }
});

function timeOf(ns: bigint): { seconds: number; nanos: number } {
  const nanos = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { seconds: Number((ns - nanos) / 1_000_000_000n), nanos: Number(nanos) };
}

test('every entry by kopia is found again by name and recognised as unchanged', () => {
  for (const { bytes } of contents('k')) {
    const previous = PreviousDirectory.parse(bytes);
    for (const entry of parseDirectory(bytes).entries) {
      const index = previous.find(entry.name);
      assert.ok(index >= 0);
      if (entry.type !== 'd') assert.ok(previous.isUnchanged(index, entry), entry.name);
      assert.equal(previous.isUnchanged(index, { ...entry, mtimeNanos: entry.mtimeNanos ^ 1 }), false);
      assert.equal(previous.isUnchanged(index, { ...entry, size: entry.size + 1 }), false);
      assert.equal(previous.isUnchanged(index, { ...entry, mode: entry.mode ^ 0o1000 }), false);
      assert.equal(previous.isUnchanged(index, { ...entry, uid: entry.uid + 1 }), false);
      assert.equal(previous.isUnchanged(index, { ...entry, gid: entry.gid + 1 }), false);
      assert.equal(previous.objectId(index), entry.objectId);
    }
    assert.equal(parseDirectory(bytes).entries.length, previous.entryCount);
  }
});

test('index objects by kopia come out with the same bytes', () => {
  for (const { id, bytes } of contents('x')) {
    const encoded = encodeIndirect(parseIndirect(bytes, parseObjectId(id)));
    assert.equal(Buffer.from(encoded).toString(), bytes.toString());
  }
});

test('manifests by kopia come out with the same bytes', () => {
  const types = new Set<string>();
  for (const { bytes } of contents('m')) {
    const entries = parseManifestContent(bytes);
    assert.equal(`{"entries":[${entries.map(encodeManifestEntry).join(',')}]}\n`, gunzipSync(bytes).toString());
    for (const { id, labels, dataJson } of entries) {
      const type = labels?.['type'] ?? 'tombstone';
      types.add(type);
      if (type === 'snapshot') {
        assert.equal(encodeSnapshotManifest(parseSnapshotManifest(id, dataJson)), dataJson);
        assert.equal(rewriteSnapshotManifest(dataJson, {}), dataJson);
      }
      if (type === 'maintenance') assert.equal(encodeMaintenanceSettings('user@host'), dataJson);
      if (type === 'policy') assert.equal(encodePolicy(parsePolicy(dataJson)), dataJson);
    }
  }
  assert.deepEqual([...types].sort(), ['maintenance', 'policy', 'snapshot', 'tombstone']);
});
