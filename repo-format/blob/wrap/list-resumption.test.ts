import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../../base/errors.ts';
import type { BlobId } from '../storage.ts';
import { ListResumption } from './list-resumption.ts';

/** Lists `names`, breaking off after each count of `breaks`, and then to the end. */
function tell(runs: readonly (readonly string[])[], limit: number): string[] {
  const resumption = new ListResumption(limit);
  const told: string[] = [];
  for (const [run, names] of runs.entries()) {
    if (run > 0) resumption.startAgain(new Error('broke off'));
    for (const name of names) if (resumption.isNew(name as BlobId)) told.push(name);
  }
  return told;
}

const nameSets = fc.uniqueArray(fc.stringMatching(/^[a-d]{1,3}$/), { maxLength: 30 });

test('each blob is told exactly once, wherever an ordered list breaks off', () => {
  fc.assert(
    fc.property(nameSets, fc.array(fc.nat(30), { maxLength: 4 }), fc.nat(20), (names, breaks, limit) => {
      const ordered = names.toSorted();
      const told = tell([...breaks.map((count) => ordered.slice(0, count)), ordered], limit);
      assert.deepEqual(told, ordered);
    }),
  );
});

test('a list in no order, another one each time even, is told exactly once while it is remembered', () => {
  const orders = fc.tuple(nameSets, fc.infiniteStream(fc.nat())).map(([names, keys]) => {
    const shuffled = (): string[] => {
      const keyed = names.map((name) => [keys.next().value ?? 0, name] as const);
      return keyed.sort((a, b) => a[0] - b[0]).map(([, name]) => name);
    };
    return [shuffled(), shuffled(), shuffled()];
  });
  fc.assert(
    fc.property(
      orders,
      fc.nat(30),
      fc.nat(30),
      fc.nat(35),
      ([one = [], two = [], three = []], first, second, limit) => {
        const runs = [one.slice(0, first), two.slice(0, second), three];
        let told: string[];
        try {
          told = tell(runs, limit);
        } catch (error) {
          // Never with holes: refused, and only where too many would have to be remembered.
          assert.ok(hasCode(error, 'BLOB_LIST_UNORDERED'));
          assert.ok(limit < three.length);
          return;
        }
        if (limit >= three.length) assert.deepEqual(told.toSorted(), three.toSorted());
      },
    ),
  );
});

test('a long list in one unchanging order without order is told whole or refused', () => {
  fc.assert(
    fc.property(nameSets, fc.nat(30), fc.nat(10), (names, count, limit) => {
      try {
        assert.deepEqual(tell([names.slice(0, count), names], limit), names);
      } catch (error) {
        assert.ok(hasCode(error, 'BLOB_LIST_UNORDERED'), String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

test('the refusal carries what broke the list', () => {
  const resumption = new ListResumption(1);
  for (const name of ['b', 'c', 'a']) assert.ok(resumption.isNew(name as BlobId));
  const failure = new Error('broke off');
  assert.throws(() => resumption.startAgain(failure), { code: 'BLOB_LIST_UNORDERED', cause: failure });
});
