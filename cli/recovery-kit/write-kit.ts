// `recovery-kit OUT.html`: one self-contained page that opens the repository in an ordinary browser. It carries the page's
// script and a copy of the two format blobs, sealed as they are: the password is still needed, and is asked for by the page.
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { toHex } from '../../base/hex.ts';
import { hasCode, WindlassError } from '../../base/errors.ts';
import { BLOB_CONFIG_ID, FORMAT_BLOB_ID } from '../../repo-format/format/format-blob.ts';
import { readFormatBlobs, type StoredFormat } from '../../repo-format/format/open-format.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { openStorage } from '../open-storage.ts';
import { formatSize } from '../terminal/format.ts';

export interface RecoveryKitOptions {
  readonly force?: boolean;
}

/** Owner only: whoever has the file and the password has the repository's keys. */
const KIT_MODE = 0o600;

export async function recoveryKitCommand(
  context: CliContext,
  out: string,
  options: RecoveryKitOptions,
): Promise<ExitCode> {
  const path = resolve(context.workingDirectory, out);
  const storage = await openStorage(context, { readOnly: true });
  let stored: StoredFormat;
  try {
    stored = await readFormatBlobs(storage, context.signal);
  } finally {
    await storage.close();
  }
  const uniqueId = toHex(stored.formatBlob.uniqueId);
  const page = fillPage(await loadPage(), {
    uniqueId,
    location: locationOf(context, storage.displayName),
    madeAt: new Date(context.clock.nowMs()).toISOString(),
    blobs: {
      [FORMAT_BLOB_ID]: toBase64(stored.formatBlobBytes),
      ...(stored.blobConfigBytes === undefined ? {} : { [BLOB_CONFIG_ID]: toBase64(stored.blobConfigBytes) }),
    },
  });
  await writeWhole(path, page, options.force ?? false);
  const size = Buffer.byteLength(page);
  context.output.document({ path, uniqueIDHex: uniqueId, size });
  context.output.line(`wrote ${path} (${formatSize(size)}) for repository ${uniqueId}`);
  context.note('Keep it apart from the repository, and the password apart from both: together they open everything.');
  return EXIT.ok;
}

const run = promisify(execFile);
const MAX_PAGE_BYTES = 16 << 20;

/** The URL where it says more than the name does: endpoint and region of a bucket. It never holds credentials. */
function locationOf({ options }: CliContext, displayName: string): string {
  return options.repository?.startsWith('s3://') === true ? options.repository : displayName;
}

/** The page: beside the bundled command in a package; in a clone a script makes it on the spot. */
async function loadPage(): Promise<string> {
  try {
    return await readFile(new URL('recovery-kit.html', import.meta.url), 'utf8');
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  // In two steps: the build takes a file's URL for a worker's.
  const script = join(fileURLToPath(new URL('../../scripts/', import.meta.url)), 'recovery-kit-page.ts');
  const { stdout } = await run(process.execPath, [script], { maxBuffer: MAX_PAGE_BYTES, env: {} });
  return stdout;
}

/** JSON inside an element of a page: a `<` could end it. */
function fillPage(page: string, data: object): string {
  return page.replace('/*KIT*/', () => JSON.stringify(data).replaceAll('<', '\\u003c'));
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

/** Under its name only when it is whole. */
async function writeWhole(path: string, text: string, isReplacing: boolean): Promise<void> {
  if (!isReplacing) {
    try {
      return await writeFile(path, text, { mode: KIT_MODE, flag: 'wx', flush: true });
    } catch (cause) {
      if (!hasCode(cause, 'EEXIST')) throw cause;
      throw new WindlassError(`${path} exists already: --force replaces it`, {
        code: 'FILE_EXISTS',
        context: { path },
      });
    }
  }
  const beside = `${path}.tmp`;
  try {
    await writeFile(beside, text, { mode: KIT_MODE, flush: true });
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
