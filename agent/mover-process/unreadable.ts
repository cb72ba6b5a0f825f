// Which files may be missing from a backup that is called complete, and which failures mean that the volume itself is going.
import { WindlassError } from '../../base/errors.ts';
import type { ReadTree } from '../../mover/index.ts';
import type { VolumePlace } from '../datapath/job.ts';
import { pathOf } from '../host/volume-root.ts';

/** Of the file system or its server, not of one file. */
const VOLUME_FAILURES = new Set(['ESTALE', 'ENOTCONN', 'ENODEV', 'ENXIO', 'EHOSTDOWN', 'ESHUTDOWN', 'ETIMEDOUT']);
/** A bad sector is one file's; so many are a disk's. */
const MAX_IO_ERRORS = 10;

/**
 * `VOLUME_IO_ERROR` when so much failed, or failed in such a way, that nothing can be said of the volume; `VOLUME_UNREADABLE_FILES`
 * when a single file counts as failure. Otherwise what could not be read is listed beside the snapshot.
 */
export function requireReadable(
  place: Pick<VolumePlace, 'root' | 'names'>,
  { files, errors }: ReadTree,
  onUnreadable: 'report' | 'fail',
): void {
  const [first] = errors;
  if (first === undefined) return;
  const broken = errors.find(({ code }) => VOLUME_FAILURES.has(code));
  const ioErrors = errors.filter(({ code }) => code === 'EIO').length;
  if (broken !== undefined || ioErrors > MAX_IO_ERRORS || files === 0) {
    const { path, code } = broken ?? first;
    throw new WindlassError(
      `the volume at ${pathOf(place)} cannot be read: ${errors.length} failures, for example ${path}: ${code}`,
      { code: 'VOLUME_IO_ERROR', context: { failures: errors.length, path, errno: code } },
    );
  }
  if (onUnreadable === 'report') return;
  throw new WindlassError(`${errors.length} files could not be read, for example ${first.path}: ${first.code}`, {
    code: 'VOLUME_UNREADABLE_FILES',
    context: { failures: errors.length, path: first.path, errno: first.code },
  });
}
