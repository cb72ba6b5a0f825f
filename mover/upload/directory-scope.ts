// What is left out of one directory: the rules of its ancestors, of the policy stored for exactly it, and of the dot files in
// it that such a policy names. Without a policy that asks for it nothing is.
import { hasCode } from '../../base/errors.ts';
import { close, readFully } from '../posix/libc.ts';
import { openForReading } from '../source/file-opener.ts';
import { IgnoreScope } from '../source/ignore-rules.ts';
import type { DirectoryJob, IgnoreLevel } from './lane-protocol.ts';

/** A rule in a dot file that cannot be read. */
export interface UnreadableRules {
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

export interface DirectoryScope {
  /** Undefined when nothing can be left out. */
  readonly scope: IgnoreScope | undefined;
  /** Rules for what is below. */
  readonly levels: readonly IgnoreLevel[];
  readonly unreadable: readonly UnreadableRules[];
}

const NOTHING: DirectoryScope = { scope: undefined, levels: [], unreadable: [] };
const MAX_DOT_FILE_BYTES = 1 << 20;
/** https://bford.info/cachedir/ */
const CACHE_TAG_SIGNATURE = 'Signature: 8a477f597d28d172789f06886806bc55';

/** Throws `IGNORE_PATTERN_INVALID` for rules of a policy; those of a dot file are only reported, and leave nothing out. */
export function enterScope(job: DirectoryJob, fd: number): DirectoryScope {
  if (job.ignore.length === 0 && job.ownIgnore === undefined) return NOTHING;
  let scope = IgnoreScope.none();
  for (const level of job.ignore) scope = scope.enter(level.directory, level.policy, level.dotFileTexts);
  const texts: string[] = [];
  const unreadable: UnreadableRules[] = [];
  for (const name of scope.dotFilesOf(job.ownIgnore)) {
    const bytes = readSmallFile(fd, name, MAX_DOT_FILE_BYTES);
    if (bytes === undefined) continue;
    const text = Buffer.from(bytes).toString('utf8');
    const problem = problemOf(name, text);
    if (problem === undefined) texts.push(text);
    else unreadable.push(problem);
  }
  const directory = job.path === '.' ? '' : job.path;
  const own = scope.enter(directory, job.ownIgnore, texts);
  const isSame = texts.length === 0 && job.ownIgnore === undefined;
  const levels = isSame ? job.ignore : [...job.ignore, { directory, policy: job.ownIgnore, dotFileTexts: texts }];
  return { scope: own.isEmpty ? undefined : own, levels, unreadable };
}

function problemOf(name: string, text: string): UnreadableRules | undefined {
  try {
    IgnoreScope.none().enter('', undefined, [text]);
    return undefined;
  } catch (error) {
    if (!hasCode(error, 'IGNORE_PATTERN_INVALID')) throw error;
    return { name, code: 'IGNORE_PATTERN_INVALID', message: error instanceof Error ? error.message : String(error) };
  }
}

/** True for a folder with a valid tag, which says that what is in it can be made again. */
export function isCacheFolder(fd: number): boolean {
  const tag = readSmallFile(fd, 'CACHEDIR.TAG', 1024);
  return tag !== undefined && Buffer.from(tag).toString('latin1').startsWith(CACHE_TAG_SIGNATURE);
}

/** The start of a file that holds rules or a tag; undefined when it is missing or no regular file. */
function readSmallFile(directoryFd: number, name: string, limitBytes: number): Uint8Array | undefined {
  const fd = openForReading(directoryFd, name, -1);
  if (fd < 0) return undefined;
  try {
    const bytes = new Uint8Array(limitBytes);
    const length = readFully(fd, bytes, 0, limitBytes, 0);
    return length < 0 ? undefined : bytes.subarray(0, length);
  } finally {
    close(fd);
  }
}
