// Opens as little of a repository as an inspection needs, so that damage elsewhere does not hide what is asked for. Read-only.
import { createContentCipher, type ContentCipher } from '../../repo-format/crypto/content-cipher.ts';
import { loadActiveIndexBlobs } from '../../repo-format/epoch/active-blobs.ts';
import { openBlob } from '../../repo-format/epoch/encrypted-blob.ts';
import { loadLegacyActiveBlobs } from '../../repo-format/epoch/legacy.ts';
import { openFormat, type OpenFormat } from '../../repo-format/format/open-format.ts';
import type { BlobMetadata, BlobStorage } from '../../repo-format/index.ts';
import { IndexSet, NO_WATERMARK, type LoadedIndex } from '../../repo-format/index/index-set.ts';
import { parseIndex } from '../../repo-format/index/parse-index.ts';
import type { ParsedIndex } from '../../repo-format/index/parsed-index.ts';
import type { CliContext } from '../context.ts';
import { errorLine } from '../error-line.ts';
import { openStorage } from '../open-storage.ts';
import { passwordOf } from '../session.ts';

export interface Inspection {
  readonly storage: BlobStorage;
  readonly format: OpenFormat;
  readonly cipher: ContentCipher;
}

export async function withStorage<T>(context: CliContext, work: (storage: BlobStorage) => Promise<T>): Promise<T> {
  const storage = await openStorage(context, { readOnly: true });
  try {
    return await work(storage);
  } finally {
    await storage.close();
  }
}

/** Blobs, format and cipher; no index is read. */
export async function withInspection<T>(context: CliContext, work: (inspection: Inspection) => Promise<T>): Promise<T> {
  return withStorage(context, async (storage) => {
    const password = await passwordOf(context, { confirm: false });
    const { clock, random, logger, signal } = context;
    const format = await openFormat(storage, password, { clock, random, logger }, signal);
    const { encryption, masterKey, ecc: algorithm, eccOverheadPercent: overheadPercent } = format.config;
    const cipher = createContentCipher({
      encryption,
      masterKey,
      ...(algorithm === '' ? {} : { ecc: { algorithm, overheadPercent } }),
    });
    return work({ storage, format, cipher });
  });
}

export interface ActiveBlobs {
  readonly blobs: readonly BlobMetadata[];
  readonly watermarkSeconds: number;
}

/** The index blobs that count, by epochs or without them. */
export async function activeIndexBlobs(
  context: CliContext,
  { storage, format, cipher }: Inspection,
): Promise<ActiveBlobs> {
  const { config } = format;
  if (!config.epochParameters.enabled) {
    return { blobs: await loadLegacyActiveBlobs({ storage, cipher }, context.signal), watermarkSeconds: NO_WATERMARK };
  }
  const { blobs, snapshot } = await loadActiveIndexBlobs({ storage, config, clock: context.clock }, context.signal);
  return { blobs, watermarkSeconds: snapshot.watermarkSeconds };
}

export async function readIndexBlob(
  context: CliContext,
  { storage, cipher }: Inspection,
  id: BlobMetadata['id'],
): Promise<ParsedIndex> {
  return parseIndex(openBlob(cipher, id, await storage.getBlob(id, undefined, context.signal)));
}

/** All indexes that can be read; each that cannot is reported on standard error and left out. */
export async function readableIndexes(context: CliContext, inspection: Inspection): Promise<IndexSet> {
  const { blobs, watermarkSeconds } = await activeIndexBlobs(context, inspection);
  const loaded: LoadedIndex[] = [];
  for (const { id } of blobs) {
    try {
      loaded.push({ blobId: id, parsed: await readIndexBlob(context, inspection, id) });
    } catch (error) {
      context.signal.throwIfAborted();
      // What other indexes say is still worth seeing; this one is named.
      context.stderr.write(`index blob ${id} is left out: ${errorLine(error)}\n`);
    }
  }
  return new IndexSet(loaded, watermarkSeconds);
}
