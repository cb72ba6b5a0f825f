// `cache clear`: removes folders of repositories and nothing else that may lie in the cache directory.
import { rm } from 'node:fs/promises';
import { toHex } from '../../base/hex.ts';
import { readFormatBlobs } from '../../repo-format/format/open-format.ts';
import { usageError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { openStorage } from '../session.ts';
import { formatSize } from '../terminal/format.ts';
import { listCacheFolders, requireCacheRoot } from './directories.ts';

export async function clearCommand(context: CliContext, options: { readonly all?: boolean }): Promise<ExitCode> {
  const root = requireCacheRoot(context);
  if (options.all !== true && context.options.repository === undefined) {
    throw usageError('cache clear needs a repository (-r) or --all');
  }
  const wanted = options.all === true ? undefined : await uniqueIdOf(context);
  const folders = (await listCacheFolders(root)).filter(
    (folder) => wanted === undefined || folder.uniqueIDHex === wanted,
  );
  for (const folder of folders) await rm(folder.path, { recursive: true, force: true });
  context.output.document({ path: root, cleared: folders });
  for (const { uniqueIDHex, totalSize } of folders)
    context.output.line(`cleared ${uniqueIDHex} (${formatSize(totalSize)})`);
  if (folders.length === 0) context.note('Nothing to clear.');
  return EXIT.ok;
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
