// `debug blob list|show`: stored blobs as they are, or decrypted.
import { openBlob } from '../../repo-format/epoch/encrypted-blob.ts';
import { parseBlobId } from '../../repo-format/blob/blob-id.ts';
import type { BlobMetadata } from '../../repo-format/index.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { formatTime } from '../terminal/format.ts';
import { withInspection, withStorage } from './inspection.ts';

export async function listBlobs(context: CliContext, options: { readonly prefix?: string }): Promise<ExitCode> {
  return withStorage(context, async (storage) => {
    await context.output.list(storage.listBlobs(options.prefix ?? '', context.signal), blobLine, (blob) =>
      JSON.stringify(blobFields(blob)),
    );
    return EXIT.ok;
  });
}

export function blobLine({ id, length, timestampMs }: BlobMetadata): string {
  return `${id.padEnd(70)} ${String(length).padStart(12)}  ${formatTime(new Date(timestampMs).toISOString())}`;
}

export function blobFields({ id, length, timestampMs }: BlobMetadata): Record<string, string | number> {
  return { id, length, timestamp: new Date(timestampMs).toISOString() };
}

export async function showBlob(
  context: CliContext,
  text: string,
  options: { readonly decrypt?: boolean },
): Promise<ExitCode> {
  const id = parseBlobId(text);
  const { output, signal } = context;
  if (options.decrypt !== true) {
    return withStorage(context, async (storage) => {
      await output.bytes(await storage.getBlob(id, undefined, signal));
      return EXIT.ok;
    });
  }
  return withInspection(context, async ({ storage, cipher }) => {
    await output.bytes(openBlob(cipher, id, await storage.getBlob(id, undefined, signal)));
    return EXIT.ok;
  });
}
