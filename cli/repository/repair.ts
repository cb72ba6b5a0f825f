// `repository repair`: plans what can be mended, and with `--apply` mends it. See docs/recovery.md.
import { open } from 'node:fs/promises';
import { errorCode, hasCode, WindlassError } from '../../base/errors.ts';
import { type RepairOptions, repairRepository, type RepairReport } from '../../mover/index.ts';
import { FORMAT_BLOB_ID, MAX_FORMAT_BLOB_BYTES } from '../../repo-format/format/format-blob.ts';
import { findFormatCopy } from '../../repo-format/format/format-recovery.ts';
import { readFormatBlobs } from '../../repo-format/format/open-format.ts';
import type { BlobId, BlobStorage, Repository } from '../../repo-format/index.ts';
import { overlaidStorage, type Overlay } from '../../repo-format/repair/overlay-storage.ts';
import { putAside } from '../../repo-format/repair/put-aside.ts';
import { cliError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';
import { messageOf, oneLine } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { openStorage } from '../open-storage.ts';
import { openRepository, passwordOf } from '../session.ts';
import { countOf, formatCount, formatSize } from '../terminal/format.ts';

export interface RepairCommandOptions extends RepairOptions {
  readonly apply?: boolean;
  readonly formatBlob?: string;
}

interface DamagedIndex {
  readonly blobId: BlobId;
  readonly message: string;
}

interface Plan extends RepairReport {
  readonly applied: boolean;
  /** Where the copy of `kopia.repository` comes from; absent when it needs none. */
  readonly formatBlobFrom?: string;
  readonly damagedIndexes: readonly DamagedIndex[];
  readonly lostManifests: readonly string[];
}

const MAX_PATHS_SHOWN = 3;
const MAX_KIT_BYTES = 64 << 20;
/** A recovery kit is a page with blobs by name in its JSON; a format blob itself has no such member. */
const KIT_FORMAT_BLOB = /"kopia\.repository"\s*:\s*"([A-Za-z0-9+/=]+)"/;

export async function repairCommand(context: CliContext, options: RepairCommandOptions): Promise<ExitCode> {
  const { signal, logger } = context;
  const isApplied = options.apply === true;
  const storage = await openStorage(context, { readOnly: !isApplied });
  try {
    const overlay: Overlay = { hidden: new Set(), replaced: new Map() };
    const copy = await formatCopy(context, storage, options.formatBlob);
    if (copy !== undefined) overlay.replaced.set(FORMAT_BLOB_ID, copy.bytes);
    const damagedIndexes: DamagedIndex[] = [];
    await using repository = await openDamaged(context, overlaidStorage(storage, overlay), {
      overlay,
      damagedIndexes,
      isApplied,
    });
    // The password has opened it: it is the right one.
    if (isApplied && copy !== undefined) await putFormatBlob(storage, copy.bytes, signal);
    const report = await repairRepository(repository, options, { logger }, signal);
    // Last: until here what they said may have been needed by somebody.
    if (isApplied) for (const { blobId } of damagedIndexes) await putAside(storage, blobId, signal);
    const lostManifests = context.lostManifests.splice(0);
    const plan: Plan = {
      applied: isApplied,
      ...(copy === undefined ? {} : { formatBlobFrom: copy.from }),
      damagedIndexes,
      ...report,
      lostManifests,
    };
    context.output.document(plan);
    print(context, plan);
    return exitCodeOf(plan);
  } finally {
    await storage.close();
  }
}

function exitCodeOf(plan: Plan): ExitCode {
  const isStillLost = plan.lost.contents > plan.dropped;
  const isWork = plan.formatBlobFrom !== undefined || plan.damagedIndexes.length > 0 || plan.index.contents > 0;
  if (!plan.applied) return isWork || plan.lost.contents > 0 ? EXIT.failed : EXIT.ok;
  return isStillLost ? EXIT.incomplete : EXIT.ok;
}

/** A copy to put in place of `kopia.repository`; undefined when that is there. */
async function formatCopy(
  context: CliContext,
  storage: BlobStorage,
  file: string | undefined,
): Promise<{ readonly bytes: Uint8Array; readonly from: string } | undefined> {
  const { signal } = context;
  if (file !== undefined) return { bytes: await readCopy(file), from: file };
  try {
    await readFormatBlobs(storage, signal);
    return undefined;
  } catch (error) {
    if (!hasCode(error, 'REPOSITORY_NOT_FOUND') && !hasCode(error, 'FORMAT_INVALID')) throw error;
    const found = await findFormatCopy(storage, signal);
    if (found !== undefined) return { bytes: found.bytes, from: found.blobId };
    throw new WindlassError(
      `kopia.repository is lost or damaged and no pack has a copy of it: give one with --format-blob`,
      { code: 'FORMAT_COPY_MISSING', cause: error },
    );
  }
}

/** The format blob as it is, or the one that a recovery kit carries. */
async function readCopy(path: string): Promise<Uint8Array> {
  await using file = await open(path);
  const { size } = await file.stat();
  if (size > MAX_KIT_BYTES)
    throw cliError('CLI_USAGE', `${path} is too large for a copy of kopia.repository`, { path });
  const bytes = new Uint8Array(await file.readFile());
  const [, inKit] = KIT_FORMAT_BLOB.exec(Buffer.from(bytes).toString('latin1')) ?? [];
  const copy = inKit === undefined ? bytes : new Uint8Array(Buffer.from(inKit, 'base64'));
  if (copy.length <= MAX_FORMAT_BLOB_BYTES) return copy;
  throw cliError('CLI_USAGE', `${path} holds no copy of kopia.repository`, { path });
}

async function putFormatBlob(storage: BlobStorage, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  await putAside(storage, FORMAT_BLOB_ID, signal);
  await storage.putBlob(FORMAT_BLOB_ID, bytes, signal);
}

/** Opens it as if index blobs that do not open were not there. */
async function openDamaged(
  context: CliContext,
  storage: BlobStorage,
  state: { readonly overlay: Overlay; readonly damagedIndexes: DamagedIndex[]; readonly isApplied: boolean },
): Promise<Repository> {
  const password = await passwordOf(context, { confirm: false });
  const access = { readOnly: !state.isApplied, withoutLost: true, bypassCache: true };
  for (;;) {
    try {
      return await openRepository(context, storage, access, password);
    } catch (error) {
      const blobId = damagedIndexOf(error);
      if (blobId === undefined || state.overlay.hidden.has(blobId)) throw error;
      state.overlay.hidden.add(blobId);
      state.damagedIndexes.push({ blobId, message: messageOf(error) });
    }
  }
}

function damagedIndexOf(error: unknown): BlobId | undefined {
  const code = errorCode(error);
  if (code !== 'BLOB_CORRUPT' && code !== 'INDEX_CORRUPT') return undefined;
  const blobId = error instanceof WindlassError ? error.context['blobId'] : undefined;
  return typeof blobId === 'string' && /^[xn]/.test(blobId) ? (blobId as BlobId) : undefined;
}

function print(context: CliContext, plan: Plan): void {
  const { output } = context;
  const { index, lost, heal, hurt, snapshotsBack, damagedIndexes, formatBlobFrom } = plan;
  const verb = (done: string, todo: string): string => (plan.applied ? done : todo);
  if (formatBlobFrom !== undefined)
    output.line(`kopia.repository: ${verb('put back', 'would be put back')} from ${oneLine(formatBlobFrom)}`);
  for (const { blobId, message } of damagedIndexes)
    output.line(`index blob ${blobId}: ${verb('put aside', 'would be put aside')}: ${oneLine(message)}`);
  if (index.contents > 0)
    output.line(
      `index: ${verb('rebuilt', 'would be rebuilt')} for ${countOf(index.contents, 'content')} of ${countOf(index.packs, 'pack')} (${formatSize(index.bytes)}), ${formatCount(index.manifests)} of snapshots and policies`,
    );
  if (snapshotsBack.length > 0) output.line(`  brings back ${countOf(snapshotsBack.length, 'snapshot')}`);
  if (index.unreadable > 0) output.line(`  ${countOf(index.unreadable, 'pack')} cannot tell what is in them`);
  if (heal !== undefined)
    output.line(
      `healed: ${countOf(heal.contents, 'content')} ${verb('stored again', 'would be stored again')} from ${countOf(heal.files, 'file')}`,
    );
  if (lost.contents > 0) {
    output.line(
      `lost: ${countOf(lost.contents, 'content')} of ${countOf(lost.packs, 'pack')}, ${formatCount(lost.manifests)} of snapshots and policies`,
    );
    for (const { snapshotId, entries, paths } of hurt)
      output.line(
        `  snapshot ${snapshotId}: ${formatCount(entries)} damaged: ${paths.slice(0, MAX_PATHS_SHOWN).map(shownPath).join(', ')}${entries > MAX_PATHS_SHOWN ? ', …' : ''}`,
      );
    output.line(
      plan.dropped > 0
        ? `  ${verb('taken off the index', 'would be taken off the index')}`
        : '  --heal-from PATH stores again what a tree still has, --drop-lost takes the rest off the index',
    );
  }
  const isClean = formatBlobFrom === undefined && damagedIndexes.length === 0 && index.contents === 0;
  if (isClean && lost.contents === 0 && heal === undefined) output.line('nothing to repair');
  else if (!plan.applied) context.note('Nothing was written; --apply does it.');
}

function shownPath(path: string): string {
  return path === '' ? 'all of it' : oneLine(path);
}
