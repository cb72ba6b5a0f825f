// Linux numbers that `fs.constants` lacks. Those that differ between x64 and arm64 (O_DIRECTORY, O_NOFOLLOW, O_DIRECT)
// are taken from Node, which was built with the right headers; elsewhere they are 0 and nothing here is called.

import { constants } from 'node:fs';

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_NO_AUTOMOUNT = 0x800;
export const AT_EMPTY_PATH = 0x1000;

export const O_RDONLY = constants.O_RDONLY;
export const O_WRONLY = constants.O_WRONLY;
export const O_RDWR = constants.O_RDWR;
export const O_CREAT = constants.O_CREAT;
export const O_EXCL = constants.O_EXCL;
export const O_TRUNC = constants.O_TRUNC;
export const O_NONBLOCK = constants.O_NONBLOCK;
export const O_DIRECTORY = constants.O_DIRECTORY;
export const O_NOFOLLOW = constants.O_NOFOLLOW;
/** Absent on macOS, where Node leaves it undefined whatever its types say. */
export const O_NOATIME = (constants.O_NOATIME as number | undefined) ?? 0;
export const O_CLOEXEC = 0x80000;
export const O_PATH = 0x200000;
export const O_TMPFILE = 0x400000 | constants.O_DIRECTORY;

export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;
/** What a path from a snapshot may be opened with: it never leaves the directory it starts in. */
export const RESOLVE_CONFINED = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;

export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const SEEK_END = 2;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;

export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;

export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;
/** The kernel's limit for one value and for one list of names. */
export const XATTR_SIZE_MAX = 65_536;

export const POSIX_FADV_SEQUENTIAL = 2;
export const POSIX_FADV_DONTNEED = 4;

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

/** `d_type` of directory entries; DT_UNKNOWN means: stat it. */
export const DT_UNKNOWN = 0;
export const DT_FIFO = 1;
export const DT_CHR = 2;
export const DT_DIR = 4;
export const DT_BLK = 6;
export const DT_REG = 8;
export const DT_LNK = 10;
export const DT_SOCK = 12;
