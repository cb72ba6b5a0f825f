// `cache clear`: removes folders of repositories and nothing else that may lie in the cache directory.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../base/hex.ts';
import { readFormatBlobs } from '../../repo-format/format/open-format.ts';
import { usageError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { openStorage } from '../open-storage.ts';
import { formatSize } from '../terminal/format.ts';
import {
  CACHE_KINDS,
  cacheFiles,
  type CacheFolder,
  type CacheKind,
  cacheKindOf,
  listCacheFolders,
  requireCacheRoot,
} from './directories.ts';

export interface ClearOptions {
  readonly all?: boolean;
  /** Only these; everything without it. */
  readonly kind?: readonly CacheKind[];
}

export async function clearCommand(context: CliContext, options: ClearOptions): Promise<ExitCode> {
  const root = requireCacheRoot(context);
  if (options.all !== true && context.options.repository === undefined) {
    throw usageError('cache clear needs a repository (-r) or --all');
  }
  const wanted = options.all === true ? undefined : await uniqueIdOf(context);
  const folders = (await listCacheFolders(root)).filter(
    (folder) => wanted === undefined || folder.uniqueIDHex === wanted,
  );
  for (const folder of folders) await clear(folder, options.kind);
  context.output.document({ path: root, cleared: folders });
  for (const { uniqueIDHex, kinds } of folders) {
    const cleared = (options.kind ?? CACHE_KINDS).reduce((sum, kind) => sum + kinds[kind].totalSize, 0);
    context.output.line(`cleared ${uniqueIDHex} (${formatSize(cleared)})`);
  }
  if (folders.length === 0) context.note('Nothing to clear.');
  return EXIT.ok;
}

async function clear({ path }: CacheFolder, kinds: readonly CacheKind[] | undefined): Promise<void> {
  if (kinds === undefined) return rm(path, { recursive: true, force: true });
  for await (const file of cacheFiles(path))
    if (kinds.includes(cacheKindOf(file))) await rm(join(path, file), { force: true });
}

/** It is not secret, so no password is needed. */
async function uniqueIdOf(context: CliContext): Promise<string> {
  await using storage = disposable(await openStorage(context, { readOnly: true }));
  const { formatBlob } = await readFormatBlobs(storage.value, context.signal);
  return toHex(formatBlob.uniqueId);
}

function disposable<T extends { close(): Promise<void> }>(value: T): AsyncDisposable & { readonly value: T } {
  return { value, [Symbol.asyncDispose]: () => value.close() };
}
