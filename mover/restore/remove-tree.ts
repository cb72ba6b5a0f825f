// Removes an entry of a directory with all below it, through held handles: no link is followed and no mount is entered.
import {
  AT_REMOVEDIR,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOTDIR,
  EPERM,
  EXDEV,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  StatRecord,
  close,
  fstat,
  openat,
  unlinkat,
} from '../posix/libc.ts';
import { readDirectory } from '../source/directory-reader.ts';

/** Deeper trees than this are not removed: each level holds a handle. */
const MAX_DEPTH = 512;
const ENAMETOOLONG = 36;

/** 0 when `name` is gone (or was never there), else the negative errno of what could not be removed. */
export function removeTree(dirFd: number, name: Uint8Array): number {
  const own = new StatRecord();
  const answer = fstat(dirFd, own);
  return answer < 0 ? answer : removeBelow(dirFd, name, own.dev, 0);
}

function removeBelow(dirFd: number, name: Uint8Array, device: number, depth: number): number {
  const unlinked = unlinkat(dirFd, name);
  if (unlinked >= 0 || unlinked === -ENOENT) return 0;
  if (unlinked !== -EISDIR && unlinked !== -EPERM) return unlinked;
  if (depth >= MAX_DEPTH) return -ENAMETOOLONG;
  const fd = openat(dirFd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (fd === -ENOTDIR || fd === -ELOOP) return unlinked;
  if (fd < 0) return fd;
  try {
    const stat = new StatRecord();
    const answer = fstat(fd, stat);
    if (answer < 0) return answer;
    if (stat.dev !== device) return -EXDEV;
    const names: Uint8Array[] = [];
    const listed = readDirectory(fd, (buffer, start, end) => names.push(new Uint8Array(buffer.subarray(start, end))));
    if (listed < 0) return listed;
    for (const child of names) {
      const removed = removeBelow(fd, child, device, depth + 1);
      if (removed < 0) return removed;
    }
  } finally {
    close(fd);
  }
  const removed = unlinkat(dirFd, name, AT_REMOVEDIR);
  return removed === -ENOENT ? 0 : removed;
}
