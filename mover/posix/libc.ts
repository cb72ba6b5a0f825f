// The door to the system calls that Node lacks, or has only by path. Importing it loads nothing; the first call loads the
// binding of its thread. Calls answer ≥ 0 or a negative errno (`check` turns that into a PosixError); descriptors are
// plain numbers that every thread of the process may use. Where Linux is missing every call throws SYSCALL_UNSUPPORTED.

export * from './constants.ts';
export * from './errors.ts';
export { hasSystemCalls } from './binding.ts';
export {
  type PathName,
  close,
  fchmod,
  fchmodat,
  fchown,
  fchownat,
  futimens,
  hasOpenat2,
  linkat,
  mkdirat,
  mknodat,
  openat,
  openat2,
  readlinkInto,
  readlinkat,
  renameat,
  renameat2,
  symlinkat,
  unlinkat,
  utimensat,
} from './entries.ts';
export {
  addressOf,
  fadvise,
  fallocate,
  fdatasync,
  flock,
  fsync,
  ftruncate,
  lseek,
  openFileLimit,
  pwriteFrom,
  readAt,
  readFully,
  readInto,
  syncfs,
} from './data.ts';
export {
  StatRecord,
  fstat,
  inodeText,
  makeDevice,
  mtimeNs,
  sameFile,
  sameVersion,
  statAt,
  statAtFollowing,
} from './stat.ts';
export {
  fgetxattr,
  flistxattr,
  fremovexattr,
  fsetxattr,
  getxattrAt,
  listxattrAt,
  removexattrAt,
  setxattrAt,
} from './xattr.ts';
