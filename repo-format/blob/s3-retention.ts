// Renews the lock of one object.
import type { ObjectLockMode, S3Client } from '@aws-sdk/client-s3';
import type { S3Library } from './s3-client.ts';
import { s3ErrorFacts } from './s3-errors.ts';

/** As the members of a put. */
export interface Lock {
  readonly ObjectLockMode: ObjectLockMode;
  readonly ObjectLockRetainUntilDate: Date;
}

export type { ObjectLockMode };

interface Store {
  readonly client: S3Client;
  readonly library: S3Library;
}

interface Place {
  readonly Bucket: string;
  readonly Key: string;
}

/** A store refuses to shorten a lock: one that is longer already is what was wanted. */
export async function extendLock(store: Store, place: Place, lock: Lock, signal: AbortSignal): Promise<void> {
  const { client, library } = store;
  const retention = { Mode: lock.ObjectLockMode, RetainUntilDate: lock.ObjectLockRetainUntilDate };
  // Stores demand a checksum of this request, whatever the client is set to.
  const command = new library.PutObjectRetentionCommand({ ...place, Retention: retention, ChecksumAlgorithm: 'CRC32' });
  try {
    await client.send(command, { abortSignal: signal });
  } catch (error) {
    if (s3ErrorFacts(error).httpStatus !== 403 || !(await isLockedUntil(store, place, lock, signal))) throw error;
  }
}

async function isLockedUntil(
  { client, library }: Store,
  place: Place,
  lock: Lock,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const answer = await client.send(new library.GetObjectRetentionCommand(place), { abortSignal: signal });
    const until = answer.Retention?.RetainUntilDate;
    return until !== undefined && until >= lock.ObjectLockRetainUntilDate;
  } catch {
    // The refusal at hand is what matters.
    return false;
  }
}
