// `debug index list|show`: index blobs, each by itself, so that one that is damaged is found.
import { parseBlobId } from '../../repo-format/blob/blob-id.ts';
import type { BlobMetadata } from '../../repo-format/index.ts';
import type { CliContext } from '../context.ts';
import { codeOf, errorLine, messageOf } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { blobFields, blobLine } from './blob.ts';
import { contentJson, contentLine } from './content.ts';
import { activeIndexBlobs, readIndexBlob, withInspection, type Inspection } from './inspection.ts';

interface CheckedIndex {
  readonly blob: BlobMetadata;
  readonly entries?: number;
  readonly error?: unknown;
}

export async function listIndexes(context: CliContext, options: { readonly check?: boolean }): Promise<ExitCode> {
  return withInspection(context, async (inspection) => {
    const { blobs } = await activeIndexBlobs(context, inspection);
    let damaged = 0;
    const checked = async function* (): AsyncGenerator<CheckedIndex> {
      for (const blob of blobs) {
        const result = options.check === true ? await checkIndex(context, inspection, blob) : { blob };
        if (result.error !== undefined) damaged++;
        yield result;
      }
    };
    await context.output.list(checked(), indexLine, indexJson);
    return damaged === 0 ? EXIT.ok : EXIT.failed;
  });
}

async function checkIndex(context: CliContext, inspection: Inspection, blob: BlobMetadata): Promise<CheckedIndex> {
  try {
    const parsed = await readIndexBlob(context, inspection, blob.id);
    let entries = 0;
    for (const entry of parsed.iterate()) if (entry.packedLength >= 0) entries++;
    return { blob, entries };
  } catch (error) {
    context.signal.throwIfAborted();
    return { blob, error };
  }
}

function indexLine({ blob, entries, error }: CheckedIndex): string {
  if (error !== undefined) return `${blobLine(blob)}  ${errorLine(error)}`;
  return entries === undefined ? blobLine(blob) : `${blobLine(blob)}  ${entries} entries`;
}

function indexJson({ blob, entries, error }: CheckedIndex): string {
  const failure = error === undefined ? undefined : { code: codeOf(error), message: messageOf(error) };
  return JSON.stringify({ ...blobFields(blob), entries, error: failure });
}

export async function showIndex(context: CliContext, text: string): Promise<ExitCode> {
  const id = parseBlobId(text);
  return withInspection(context, async (inspection) => {
    const parsed = await readIndexBlob(context, inspection, id);
    await context.output.list(parsed.iterate(), contentLine, contentJson);
    return EXIT.ok;
  });
}
