// Opens the regular file that was seen in a listing and nothing else: no symlink, not another file put in its place, and
// never waiting on a FIFO swapped in (a device swapped in is opened for a moment and left). Leaves the access time alone
// where this process may.

import {
  AT_FDCWD,
  EAGAIN,
  EINVAL,
  ELOOP,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  O_NOATIME,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
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
  return openKeepingAccessTime(dirFd, name, FLAGS, ownerUid);
}

/** `openat` with O_NOATIME where this process may ask for it. */
export function openKeepingAccessTime(dirFd: number, name: PathName, flags: number, ownerUid: number): number {
  effectiveUid ??= process.geteuid?.() ?? -1;
  // It is for the owner and for root; asking in vain would cost a call for each file.
  if (effectiveUid === 0 || effectiveUid === ownerUid) {
    const fd = openat(dirFd, name, flags | O_NOATIME);
    // Root in a container without CAP_FOWNER is refused.
    if (fd !== -EPERM) return fd;
  }
  return openat(dirFd, name, flags);
}

let effectiveUid: number | undefined;

/**
 * Opens the regular file `name` of `dirFd` that `listed` describes and fills `opened` with what it is now.
 *
 * A descriptor; {@link FILE_REPLACED} when the name leads to another file or is no regular file any more; else a
 * negative errno (-ENOENT when it vanished). Attributes may have changed: compare `opened` with `listed`. HOT.
 */
export function openFileAt(dirFd: number, name: PathName, listed: StatRecord, opened: StatRecord): number {
  let fd = openForReading(dirFd, name, listed.uid);
  if (fd === -EAGAIN) fd = openLeased(dirFd, name, opened);
  if (fd < 0) {
    // A symlink (ELOOP), a socket or a device without driver (ENXIO), or something that cannot be opened at all.
    return fd === -ELOOP || fd === -ENXIO || fd === -EOPNOTSUPP || fd === -EINVAL ? FILE_REPLACED : fd;
  }
  const answer = fstat(fd, opened);
  if (answer === 0 && opened.isRegular && sameFile(opened, listed)) return fd;
  close(fd);
  return answer < 0 ? answer : FILE_REPLACED;
}

/** Somebody holds a lease (a file server does): wait for it, but only for what is known to be a regular file. */
function openLeased(dirFd: number, name: PathName, stat: StatRecord): number {
  const handle = openat(dirFd, name, O_PATH | O_NOFOLLOW);
  if (handle < 0) return handle;
  try {
    const answer = fstat(handle, stat);
    if (answer < 0) return answer;
    return stat.isRegular ? openat(AT_FDCWD, `/proc/self/fd/${handle}`, O_RDONLY) : FILE_REPLACED;
  } finally {
    close(handle);
  }
}
