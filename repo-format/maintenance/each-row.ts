// Walks all contents of an index set, deleted ones included, and lets the rest of the process have its turn in between.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { IndexSet, SetRow } from '../index/index-set.ts';

// Some milliseconds of work between two looks at the rest of the process.
const ROWS_A_TURN = 1 << 14;

/** `visit` gets an object that is used again for the next content. */
export async function eachRow(
  indexSet: IndexSet,
  visit: (row: SetRow) => Promise<void> | undefined | void,
  deps: { readonly signal: AbortSignal; progress?(contents: number): void },
): Promise<void> {
  let seen = 0;
  for (const row of indexSet.iterateRows()) {
    const waiting = visit(row);
    if (waiting !== undefined) await waiting;
    seen++;
    if (seen % ROWS_A_TURN !== 0) continue;
    deps.signal.throwIfAborted();
    deps.progress?.(seen);
    await nextTurn();
  }
  deps.signal.throwIfAborted();
}
