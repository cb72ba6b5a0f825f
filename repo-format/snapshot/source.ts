// Who backs up what: `user@host:/path`, formed and read as kopia does, so that both find each other's snapshots.
import { isAbsolute, normalize, resolve } from 'node:path';
import { WindlassError } from '../../base/errors.ts';
import { quoteGoString } from '../../base/go-json.ts';

export interface SnapshotSource {
  readonly host: string;
  readonly userName: string;
  /** Absolute and clean for local directories; any text for others. */
  readonly path: string;
}

/** `user@host:path`; `user@host` without a path; `(global)` for none of them. */
export function formatSource({ host, userName, path }: SnapshotSource): string {
  if (host === '' && userName === '' && path === '') return '(global)';
  return path === '' ? `${userName}@${host}` : `${userName}@${host}:${path}`;
}

/** What a bare path is completed with. */
export interface SourceDefaults {
  readonly host: string;
  readonly userName: string;
  readonly workingDirectory: string;
  /** Paths that are names of their own and no files': taken as they are. */
  readonly isNamedPath?: (path: string) => boolean;
}

/**
 * Reads `user@host:path`, `user@host`, `@host`, `(global)` or a local path. `SOURCE_INVALID` otherwise.
 *
 * As in kopia a bare path that holds `@` before `:` is taken for a full source.
 */
export function parseSource(text: string, defaults: SourceDefaults): SnapshotSource {
  if (text === '(global)') return { host: '', userName: '', path: '' };
  const at = text.indexOf('@');
  const colon = text.indexOf(':');
  if (at > 0 && colon > at) {
    return { userName: text.slice(0, at), host: text.slice(at + 1, colon), path: text.slice(colon + 1) };
  }
  if (at >= 0 && colon < 0) {
    if (at + 1 < text.length) return { userName: text.slice(0, at), host: text.slice(at + 1), path: '' };
    throw new WindlassError(`source ${JSON.stringify(text)} has no host`, { code: 'SOURCE_INVALID' });
  }
  const isName = defaults.isNamedPath?.(text) === true;
  const path = isName ? text : localSourcePath(text, defaults.workingDirectory);
  return { host: defaults.host, userName: defaults.userName, path };
}

/** The absolute form of a local path, without `.`, `..`, doubled or trailing slashes. Symlinks are left alone. */
export function localSourcePath(path: string, workingDirectory: string): string {
  return isAbsolute(path) ? resolve(normalize(path)) : resolve(workingDirectory, path);
}

/** Kopia's name for a machine: the host name up to its first dot, in lower case. */
export function defaultHostName(hostname: string): string {
  const [short = ''] = hostname.split('.');
  return short === '' ? 'nohost' : short.toLowerCase();
}

export function isSameSource(a: SnapshotSource, b: SnapshotSource): boolean {
  return a.host === b.host && a.userName === b.userName && a.path === b.path;
}

export function encodeSource({ host, userName, path }: SnapshotSource): string {
  return `{"host":${quoteGoString(host)},"userName":${quoteGoString(userName)},"path":${quoteGoString(path)}}`;
}
