// The JSON examples of docs/format.md, read and written again: the page cannot say what the code does not do.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { splitJsonArray, splitJsonObject } from '../../base/go-json.ts';
import { encodeManifestEntry, parseManifestEntry } from '../../repo-format/manifest/manifest-entry.ts';
import { encodeIndirect, parseIndirect } from '../../repo-format/object/indirect-object.ts';
import { parseObjectId } from '../../repo-format/object/object-id.ts';
import { encodeEntry } from '../../repo-format/snapshot/directory-entry.ts';
import { compareNames, encodeDirectory, parseDirectory } from '../../repo-format/snapshot/directory-object.ts';
import { encodePolicy, parsePolicy } from '../../repo-format/snapshot/policy.ts';
import { encodeSnapshotManifest, parseSnapshotManifest } from '../../repo-format/snapshot/snapshot-manifest.ts';

const page = readFileSync(new URL('../../docs/format.md', import.meta.url), 'utf8');
const examples = [...page.matchAll(/```json\n(.*)\n```/g)].map(([, example = '']) => example);
const written = (bytes: Uint8Array): string => Buffer.from(bytes).toString().trimEnd();

function examplesWith(start: string): string[] {
  const found = examples.filter((example) => example.startsWith(start));
  assert.ok(found.length > 0, `an example that starts with ${start}`);
  return found;
}

test('index objects', () => {
  for (const example of examplesWith('{"stream":"kopia:indirect"')) {
    const pieces = parseIndirect(Buffer.from(example), parseObjectId('x00'));
    assert.equal(written(encodeIndirect(pieces)), example);
  }
});

test('directories', () => {
  for (const example of examplesWith('{"stream":"kopia:directory"')) {
    const { entries, summary, extra } = parseDirectory(Buffer.from(example));
    assert.ok(summary);
    const directories = entries.filter(({ type }) => type === 'd').sort((a, b) => compareNames(a.name, b.name));
    const others = entries.filter(({ type }) => type !== 'd').sort((a, b) => compareNames(a.name, b.name));
    const encoded = encodeDirectory({
      dirEntryTexts: directories.map(encodeEntry),
      otherEntryTexts: others.map(encodeEntry),
      summary,
      extra,
    });
    assert.equal(written(encoded), example);
  }
});

test('manifests', () => {
  for (const example of examplesWith('{"entries":[{"id"')) {
    const [member] = splitJsonObject(example);
    const entries = splitJsonArray(member?.raw ?? '').map(parseManifestEntry);
    assert.equal(`{"entries":[${entries.map(encodeManifestEntry).join(',')}]}`, example);
    for (const { id, labels, dataJson } of entries) {
      if (labels?.['type'] === 'snapshot')
        assert.equal(encodeSnapshotManifest(parseSnapshotManifest(id, dataJson)), dataJson);
    }
  }
});

test('policies', () => {
  for (const example of examplesWith('{"retention"')) assert.equal(encodePolicy(parsePolicy(example)), example);
});
