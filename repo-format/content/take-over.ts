// Decides which rows of a dead session's packs this session may index (see session-journal.ts).
//
// Not taken over are
// - manifests: the dead session's snapshot was never acknowledged, and other packs it needs may be missing;
// - contents that the index knows at least as recently: stored again since, or deleted, and an older row would lose;
// - contents that another pack taken over holds already.
import { hasCode } from '../../base/errors.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { PACKED_ROW_TIMESTAMP, rowSize } from '../index/index-builder.ts';
import type { IndexSet } from '../index/index-set.ts';
import type { NewContents } from './new-contents.ts';
import type { JournalRecord } from './session-journal.ts';

/** Packs of a dead session are taken over only well within the 24 h that maintenance leaves them (§9.4). */
const TAKE_OVER_WITHIN_MS = 20 * 3600 * 1000;
const MANIFEST_PREFIX_BYTE = 0x6d; // m

export interface ClaimedRows {
  readonly rows: Uint8Array;
  readonly rowCount: number;
}

/** True when the pack is still where the journal says, whole, and young enough to be safe from maintenance. */
export async function isPackUsable(
  record: JournalRecord,
  deps: { storage: BlobStorage; nowMs: number },
  signal: AbortSignal,
): Promise<boolean> {
  // A clock that was set back proves nothing about the age.
  if (Math.abs(deps.nowMs - record.storedAtMs) > TAKE_OVER_WITHIN_MS) return false;
  try {
    return (await deps.storage.getMetadata(record.packId, signal)).length === record.length;
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return false;
    throw error;
  }
}

/** The rows worth indexing, entered into the set of new contents so that lanes do not store them again. */
export function claimRows(
  record: JournalRecord,
  known: { indexSet: IndexSet; newContents: NewContents },
  keySize: number,
): ClaimedRows {
  const size = rowSize(keySize);
  const { rows } = record;
  const claimed = new Uint8Array(rows.length);
  const view = new DataView(rows.buffer, rows.byteOffset, rows.byteLength);
  let length = 0;
  for (let at = 0; at + size <= rows.length; at += size) {
    const key = rows.subarray(at, at + keySize);
    if (key[0] === MANIFEST_PREFIX_BYTE) continue;
    if (known.indexSet.winnerTimestamp(key) >= view.getUint32(at + keySize + PACKED_ROW_TIMESTAMP, true)) continue;
    if (known.newContents.insert(key) === 'present') continue;
    claimed.set(rows.subarray(at, at + size), length);
    length += size;
  }
  return { rows: claimed.subarray(0, length), rowCount: length / size };
}
