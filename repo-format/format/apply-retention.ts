// Object lock as `kopia.blobcfg` wants it, on every put of what the format protects (repository format §2.6).
import { WindlassError } from '../../base/errors.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { isRetentionEnabled, type BlobConfig } from './blob-config.ts';

const NS_PER_MS = 1_000_000n;

/** From now on. A store that cannot lock is told of by `requireRetention`, before anything is written. */
export function applyRetention(storage: BlobStorage, config: BlobConfig): void {
  if (!isRetentionEnabled(config)) return;
  storage.retainPuts?.({ mode: config.retentionMode, periodMs: Number(config.retentionPeriodNs / NS_PER_MS) });
}

/** `RETENTION_UNSUPPORTED`: what is written would not be protected as everybody expects. */
export function requireRetention(storage: BlobStorage, config: BlobConfig): void {
  if (!isRetentionEnabled(config) || storage.retainPuts !== undefined) return;
  throw new WindlassError(`${storage.displayName} cannot lock blobs, but the repository wants them locked`, {
    code: 'RETENTION_UNSUPPORTED',
    context: { retentionMode: config.retentionMode },
  });
}
