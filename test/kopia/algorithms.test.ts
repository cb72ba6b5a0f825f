// Every hash, encryption, splitter, compressor, format version and some grades of error correction: what either program
// writes the other restores and verifies, and both give the same tree the same root object id.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { scanTree } from '../harness/scan-tree.ts';
import {
  algorithmRows,
  COMPRESSORS,
  ENCRYPTIONS,
  HASHES,
  rowTitle,
  SPLITTERS,
  type AlgorithmRow,
} from './algorithm-rows.ts';
import {
  backUpByKopia,
  backUpByWindlass,
  createByKopia,
  createByWindlass,
  kopiaVerifiesAll,
  listByKopia,
  listByWindlass,
  openPair,
  type Pair,
  type SnapshotJson,
} from './pair.ts';
import { changePlainTree, makePlainTree } from './source-tree.ts';

const ROWS = algorithmRows();

test('the rows cover every algorithm and both creators of every version', () => {
  const all = <K extends keyof AlgorithmRow>(key: K): Set<AlgorithmRow[K]> => new Set(ROWS.map((row) => row[key]));
  assert.deepEqual(all('hash'), new Set(HASHES));
  assert.deepEqual(all('encryption'), new Set(ENCRYPTIONS));
  assert.deepEqual(all('splitter'), new Set(SPLITTERS));
  assert.deepEqual(all('compressor'), new Set(COMPRESSORS));
  assert.equal(new Set(ROWS.map((row) => `${row.formatVersion} ${row.creator}`)).size, 6);
  assert.ok(ROWS.filter((row) => row.eccPercent > 0).length >= 4);
});

for (const [index, row] of ROWS.entries()) {
  test(rowTitle(row), async (t) => {
    const pair = openPair(t);
    makePlainTree(pair.tree, index);
    await openBoth(pair, row);
    const [first, second] =
      row.creator === 'windlass' ? ([byWindlass, byKopia] as const) : ([byKopia, byWindlass] as const);
    const a = await first(pair, row);
    const b = await second(pair, row);
    assert.equal(b.rootEntry.obj, a.rootEntry.obj, 'the same tree has the same root object id');
    await bothRestore(t, pair, a, 'unchanged');
    changePlainTree(pair.tree, index);
    const c = await second(pair, row);
    const d = await first(pair, row);
    assert.equal(d.rootEntry.obj, c.rootEntry.obj, 'and still after a change');
    assert.notEqual(c.rootEntry.obj, a.rootEntry.obj);
    await bothRestore(t, pair, c, 'changed');
    await bothListAndVerify(pair, [a, b, c, d]);
  });
}

async function openBoth(pair: Pair, row: AlgorithmRow): Promise<void> {
  if (row.creator === 'windlass') {
    await createByWindlass(pair.windlass, row);
    await pair.kopia.connect();
    await pair.kopia.disableMaintenance();
  } else {
    await createByKopia(pair.kopia, row);
  }
  await pair.kopia.ok('policy', 'set', '--global', `--compression=${row.compressor}`, '--ignore-cache-dirs=false');
}

const byWindlass = (pair: Pair, row: AlgorithmRow): Promise<SnapshotJson> =>
  backUpByWindlass(pair.windlass, pair.tree, '--compression', row.compressor);

const byKopia = (pair: Pair): Promise<SnapshotJson> => backUpByKopia(pair.kopia, pair.tree);

async function bothRestore(t: TestContext, pair: Pair, snapshot: SnapshotJson, label: string): Promise<void> {
  const [ours, theirs] = [pair.target(`windlass-${label}`), pair.target(`kopia-${label}`)];
  await pair.windlass.ok('snapshot', 'restore', snapshot.id, ours, '--verify');
  assert.deepEqual(scanTree(ours), scanTree(pair.tree), 'restored by windlass');
  await pair.kopia.quiet('snapshot', 'restore', snapshot.id, theirs);
  // Kopia gives folders the newest time found below them.
  const options = { directoryTimes: false };
  assert.deepEqual(scanTree(theirs, options), scanTree(pair.tree, options), 'restored by kopia');
  t.diagnostic(`${label}: ${scanTree(ours).length} entries`);
}

async function bothListAndVerify(pair: Pair, snapshots: readonly SnapshotJson[]): Promise<void> {
  const ids = snapshots.map((snapshot) => snapshot.id).sort();
  const ours = await listByWindlass(pair.windlass);
  const theirs = await listByKopia(pair.kopia);
  assert.deepEqual(ours.map((snapshot) => snapshot.id).sort(), ids);
  assert.deepEqual(theirs.map((snapshot) => snapshot.id).sort(), ids);
  assert.deepEqual(
    ours.map((snapshot) => snapshot.rootEntry),
    theirs.map((snapshot) => snapshot.rootEntry),
  );
  await pair.windlass.ok('snapshot', 'verify');
  await kopiaVerifiesAll(pair.kopia);
}
