// Where a backup begins: the open source, and what stored policies and the caller say of the whole tree.
import { constants, fstatSync, openSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { WindlassError } from '../../base/errors.ts';
import type { Policy, SourcePolicies } from '../../repo-format/index.ts';
import type { IgnorePolicy } from '../source/ignore-rules.ts';
import type { TreeRoot } from './tree-upload.ts';

export type OpenRoot = Pick<TreeRoot, 'fd' | 'file' | 'device'>;

/** The root itself may be a symlink, as a person would expect; nothing below it is followed. */
export function openRoot(path: string, rootFd?: number): OpenRoot {
  try {
    if (rootFd !== undefined) {
      const fd = openSync(`/proc/self/fd/${rootFd}`, constants.O_RDONLY | constants.O_DIRECTORY);
      return { fd, file: undefined, device: fstatSync(fd).dev };
    }
    const real = realpathSync(path);
    const stat = statSync(real);
    if (stat.isDirectory())
      return { fd: openSync(real, constants.O_RDONLY | constants.O_DIRECTORY), file: undefined, device: stat.dev };
    if (stat.isFile()) {
      const name = basename(real);
      return {
        fd: openSync(dirname(real), constants.O_RDONLY | constants.O_DIRECTORY),
        file: { name, nameBytes: Buffer.from(name) },
        device: stat.dev,
      };
    }
    throw new WindlassError(`${path} is neither a directory nor a regular file`, {
      code: 'SOURCE_UNREADABLE',
      context: { path },
    });
  } catch (cause) {
    if (cause instanceof WindlassError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? 'UNKNOWN';
    throw new WindlassError(`cannot open ${path}: ${code}`, {
      code: 'SOURCE_UNREADABLE',
      context: { path, errno: code },
      cause,
    });
  }
}

/** Kopia stores its defaults as a policy when it creates a repository; nobody asked for those. */
const KOPIA_DEFAULT_DOT_FILES = ['.kopiaignore'];

/** What to leave out of the whole tree; undefined for nothing. */
export function rootIgnore(
  { effective }: SourcePolicies,
  options: { readonly excludes?: readonly string[]; readonly oneFileSystem?: boolean },
): IgnorePolicy | undefined {
  const files = effective.stored.files ?? {};
  const isDefault = files.ignoreDotFiles?.length === 1 && files.ignoreDotFiles[0] === KOPIA_DEFAULT_DOT_FILES[0];
  const isGlobalOnly = !effective.sources.some(
    ({ target, policy }) => target.host !== '' && policy.files?.ignoreDotFiles !== undefined,
  );
  const ignore = [...(files.ignore ?? []), ...(options.excludes ?? [])];
  const ignoreDotFiles = isDefault && isGlobalOnly ? [] : (files.ignoreDotFiles ?? []);
  const oneFileSystem = options.oneFileSystem ?? files.oneFileSystem ?? false;
  const maxFileSize = Number(files.maxFileSize ?? 0);
  if (ignore.length === 0 && ignoreDotFiles.length === 0 && !oneFileSystem && maxFileSize === 0) return undefined;
  return { ignore, ignoreDotFiles, oneFileSystem, maxFileSize };
}

/** Files above this are stored in parts of this size (snapshots §5.4); undefined for never. */
export function partBytes(policy: Policy): number | undefined {
  const size = Number(policy.upload?.parallelUploadAboveSize ?? 0);
  return size > 0 && Number.isSafeInteger(size) ? size : undefined;
}
