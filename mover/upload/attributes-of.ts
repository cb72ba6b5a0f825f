// Extended attributes with their failure as a number, as a walk wants it.
import { PosixError } from '../posix/libc.ts';
import type { Xattr } from '../source/xattrs.ts';

/** Attributes, or the errno of the failure to read them. */
export function attributesOf(read: () => readonly Xattr[] | undefined): {
  attributes: readonly Xattr[] | undefined;
  errno: number;
} {
  try {
    return { attributes: read(), errno: 0 };
  } catch (error) {
    if (error instanceof PosixError) return { attributes: undefined, errno: error.errno };
    throw error;
  }
}
