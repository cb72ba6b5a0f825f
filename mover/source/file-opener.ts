// Opens the regular file that was seen in a listing and nothing else: no symlink, not another file put in its place, and
// never waiting on a FIFO swapped in (a device swapped in is opened for a moment and left). Leaves the access time alone
// where this process may.

import {
  EINVAL,
  ELOOP,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  O_NOATIME,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  type PathName,
  type StatRecord,
  close,
  fstat,
  openat,
  sameFile,
} from '../posix/libc.ts';

// O_NONBLOCK: a FIFO swapped in must not hold us; for regular files it changes nothing.
const FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

/** Answer of {@link openFileAt} when the name now leads to something else than what was listed. */
export const FILE_REPLACED = -1_000_001;

/** Opens `name` in `dirFd` for reading, whatever it is, following no symlink. A descriptor or a negative errno. HOT. */
export function openForReading(dirFd: number, name: PathName, ownerUid: number): number {
  if (mayKeepAccessTime(ownerUid)) {
    const fd = openat(dirFd, name, FLAGS | O_NOATIME);
    // Root in a container without CAP_FOWNER is refused.
    if (fd !== -EPERM) return fd;
  }
  return openat(dirFd, name, FLAGS);
}

let effectiveUid: number | undefined;

/** O_NOATIME is for the owner and for root; asking in vain would cost a call for each file. */
function mayKeepAccessTime(ownerUid: number): boolean {
  effectiveUid ??= process.geteuid?.() ?? -1;
  return effectiveUid === 0 || effectiveUid === ownerUid;
}

/**
 * Opens the regular file `name` of `dirFd` that `listed` describes and fills `opened` with what it is now.
 *
 * A descriptor; {@link FILE_REPLACED} when the name leads to another file or is no regular file any more; else a
 * negative errno (-ENOENT when it vanished). Attributes may have changed: compare `opened` with `listed`. HOT.
 */
export function openFileAt(dirFd: number, name: PathName, listed: StatRecord, opened: StatRecord): number {
  const fd = openForReading(dirFd, name, listed.uid);
  if (fd < 0) {
    // A symlink (ELOOP), a socket or a device without driver (ENXIO), or something that cannot be opened at all.
    return fd === -ELOOP || fd === -ENXIO || fd === -EOPNOTSUPP || fd === -EINVAL ? FILE_REPLACED : fd;
  }
  const answer = fstat(fd, opened);
  if (answer === 0 && opened.isRegular && sameFile(opened, listed)) return fd;
  close(fd);
  return answer < 0 ? answer : FILE_REPLACED;
}
