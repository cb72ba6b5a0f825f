// `.storageconfig`: which storage class the blobs of a repository in S3 get (repository format §1.4). Kopia reads it and never
// writes it, and so do we.
import type { WindlassError } from '../../base/errors.ts';
import { layoutInvalid } from './blob-errors.ts';
import type { BlobId } from './storage.ts';

export const STORAGE_CONFIG_NAME = '.storageconfig';

export type StorageClasses = readonly { readonly prefix: string; readonly storageClass: string }[];

export function parseStorageClasses(bytes: Uint8Array): StorageClasses {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalid('not JSON', error);
  }
  const options = membersOf(document)['blobOptions'] ?? [];
  if (!Array.isArray(options)) throw invalid('blobOptions is no list');
  return options.map((option: unknown) => {
    const { prefix = '', storageClass = '' } = membersOf(option);
    if (typeof prefix !== 'string' || typeof storageClass !== 'string') {
      throw invalid('prefix and storageClass must be text');
    }
    return { prefix, storageClass };
  });
}

/** The first entry that fits counts, an empty class too: then none is asked for. */
export function storageClassOf(classes: StorageClasses, id: BlobId): string | undefined {
  const entry = classes.find(({ prefix }) => id.startsWith(prefix));
  return entry === undefined || entry.storageClass === '' ? undefined : entry.storageClass;
}

function invalid(reason: string, cause?: unknown): WindlassError {
  return layoutInvalid(reason, cause, STORAGE_CONFIG_NAME);
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('not an object');
  }
  return value as Readonly<Record<string, unknown>>;
}
