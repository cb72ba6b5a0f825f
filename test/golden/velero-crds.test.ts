// Our CustomResourceDefinitions say what Velero's say: the same members, required lists, enumerations and printer columns.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { CRD_FOLDER, definitionFacts, renderedDefinitions } from '../harness/crd-files.ts';

test("each of our definitions is equal to Velero 1.18.3's in all but its words", () => {
  const ours = definitionFacts(renderedDefinitions().map(({ text }) => parse(text) as never));
  const theirs: unknown = JSON.parse(readFileSync(new URL('velero-crds/v1.18.3.json', import.meta.url), 'utf8'));
  assert.deepEqual(ours, theirs);
});

test('the files of the tree are what the definitions become', () => {
  const rendered = renderedDefinitions();
  for (const { path, text } of rendered)
    assert.equal(readFileSync(path, 'utf8'), text, `${basename(path)} is stale: npm run crds`);
  assert.deepEqual(readdirSync(CRD_FOLDER).sort(), rendered.map(({ path }) => basename(path)).sort());
});
