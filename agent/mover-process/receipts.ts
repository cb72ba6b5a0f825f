// Receipts of restores: what a status message has no room for. Kept where the caches are, the latest of them.
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { RestoreReceipt } from '../../mover/index.ts';

const KEPT = 200;

/** The path of the file, by the UID of the object that the receipt is for. */
export async function keepReceipt(folder: string, uid: string, receipt: RestoreReceipt): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `${uid}.json`);
  const unfinished = `${path}.${process.pid}`;
  await writeFile(unfinished, `${JSON.stringify(receipt, undefined, 2)}\n`, { mode: 0o600 });
  await rename(unfinished, path);
  await removeOldest(folder);
  return path;
}

/** A volume that is restored is restored, whether there is room for its receipt or not: then the log has all of it. */
export async function keepReceiptOrLog(
  folder: string,
  uid: string,
  receipt: RestoreReceipt,
  logger: Logger,
): Promise<string | undefined> {
  try {
    return await keepReceipt(folder, uid, receipt);
  } catch (error) {
    logger.warn('the receipt could not be kept', { folder, code: errorCode(error), receipt });
    return undefined;
  }
}

async function removeOldest(folder: string): Promise<void> {
  const names = await readdir(folder);
  if (names.length <= KEPT) return;
  const found = await Promise.all(names.map(async (name) => ({ name, mtimeMs: await modifiedMs(join(folder, name)) })));
  found.sort((a, b) => b.mtimeMs - a.mtimeMs);
  for (const { name } of found.slice(KEPT)) await rm(join(folder, name), { force: true });
}

/** Another mover may tidy at the same time. */
async function modifiedMs(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch {
    return 0;
  }
}
