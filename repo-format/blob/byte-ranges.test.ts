import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesOf, joinSpans, missingSpans, planRequests, type Span } from './byte-ranges.ts';

const MIB = 1 << 20;
const span = (start: number, end: number): Span => ({ start, end });
const spans = fc.array(
  fc
    .tuple(fc.nat({ max: 20 * MIB }), fc.integer({ min: 1, max: MIB }))
    .map(([start, length]) => span(start, start + length)),
  { maxLength: 30 },
);

test('neighbours are joined when the gap is small enough', () => {
  assert.deepEqual(joinSpans([span(10, 20), span(0, 5), span(20, 30)], 0), [span(0, 5), span(10, 30)]);
  assert.deepEqual(joinSpans([span(10, 20), span(0, 5)], 5), [span(0, 20)]);
  assert.deepEqual(joinSpans([span(0, 30), span(10, 20)], 0), [span(0, 30)]);
});

test('half of a pack is asked for as a whole, little of it in few pieces', () => {
  assert.deepEqual(planRequests([]), []);
  assert.deepEqual(planRequests([span(0, 5 * MIB), span(8 * MIB, 15 * MIB)]), [span(0, 15 * MIB)]);
  assert.deepEqual(planRequests([span(0, 100), span(15 * MIB, 15 * MIB + 100)]), [
    span(0, 100),
    span(15 * MIB, 15 * MIB + 100),
  ]);
  assert.deepEqual(planRequests([span(0, 100), span(MIB, MIB + 100)]), [span(0, MIB + 100)]);
});

test('what is planned covers what is wanted, in at most three requests', () => {
  fc.assert(
    fc.property(spans, (wanted) => {
      const planned = planRequests(wanted);
      assert.ok(planned.length <= 3);
      assert.deepEqual(missingSpans(joinSpans(wanted, 0), planned), []);
    }),
  );
});

test('what is missing and what is present make what is wanted', () => {
  fc.assert(
    fc.property(spans, spans, (a, b) => {
      const [wanted, present] = [joinSpans(a, 0), joinSpans(b, 0)];
      const missing = missingSpans(wanted, present);
      assert.deepEqual(missingSpans(missing, present), missing);
      assert.deepEqual(missingSpans(wanted, joinSpans([...missing, ...present], 0)), []);
      assert.ok(bytesOf(missing) <= bytesOf(wanted));
    }),
  );
});
