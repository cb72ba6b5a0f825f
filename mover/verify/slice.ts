// Which packs a slice of a verification reads: those unverified for longest, as many as fit into its budget.
import type { BlobId } from '../../repo-format/index.ts';
import type { VerifyLedger } from './ledger.ts';

export interface SliceOptions {
  /** Stop after so many bytes of packs. */
  readonly maxBytes?: number | undefined;
  /** Stop after so long. */
  readonly maxMs?: number | undefined;
  /** Leave out packs verified less than this ago. */
  readonly olderThanMs?: number | undefined;
  readonly ledger: VerifyLedger;
}

export interface SliceReport {
  /** Read whole without a failure. */
  readonly packs: number;
  /** Due, but beyond the budget. */
  readonly packsLeft: number;
  readonly packsDamaged: number;
  /** When the longest unverified of all packs was verified, in Unix seconds; absent when one never was. */
  readonly oldestSeconds?: number;
}

/** Due packs: never verified ones first, then by age; by name among equals, so that runs go on where the last one stopped. */
export function duePacks(
  packIds: Iterable<BlobId>,
  { ledger, olderThanMs = 0 }: Pick<SliceOptions, 'ledger' | 'olderThanMs'>,
  nowSeconds: number,
): BlobId[] {
  const limit = nowSeconds - olderThanMs / 1000;
  const due = Array.from(packIds, (id) => ({ id, seconds: ledger.verifiedAt(id) })).filter(
    // A time to come is a clock that was set back: it proves nothing.
    ({ seconds }) => seconds <= limit || seconds > nowSeconds,
  );
  due.sort((a, b) => a.seconds - b.seconds || (a.id < b.id ? -1 : 1));
  return due.map(({ id }) => id);
}
