// What the command put into the page: copies of the two format blobs, and where the repository was. No password, no key.
import type { BlobId } from '../../../repo-format/blob/storage.ts';

export interface KitData {
  readonly uniqueId: string;
  readonly location: string;
  readonly madeAt: string;
  /** Base64 by blob name. */
  readonly blobs: Readonly<Record<string, string>>;
}

export function readKitData(): KitData {
  // Written by our own command beside this script.
  return JSON.parse(document.getElementById('kit')?.textContent ?? '{}') as KitData;
}

/** The kit's blobs, for a repository that has lost its own. */
export function spareBlobs({ blobs }: KitData): Map<BlobId, Uint8Array> {
  return new Map(Object.entries(blobs).map(([id, base64]) => [id as BlobId, Buffer.from(base64, 'base64')]));
}
