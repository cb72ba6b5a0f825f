// `debug content list|show`: where contents are, and what they hold. JSON in the members of `kopia content list --json`.
import { WindlassError } from '../../base/errors.ts';
import { openContent } from '../../repo-format/content/content-codec.ts';
import { parseContentId, type IndexEntry } from '../../repo-format/index.ts';
import { contentKey } from '../../repo-format/index/content-id.ts';
import { mergeIndexes } from '../../repo-format/index/merge-indexes.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { formatTime } from '../terminal/format.ts';
import { readableIndexes, withInspection } from './inspection.ts';

export interface ContentListOptions {
  readonly prefix?: string;
  readonly deleted?: boolean;
}

export async function listContents(context: CliContext, options: ContentListOptions): Promise<ExitCode> {
  const { prefix = '', deleted = false } = options;
  return withInspection(context, async (inspection) => {
    const { indexes } = await readableIndexes(context, inspection);
    const wanted = function* (): Generator<IndexEntry> {
      for (const entry of mergeIndexes(indexes.map(({ parsed }) => parsed))) {
        if ((deleted || !entry.deleted) && entry.id.startsWith(prefix)) yield entry;
      }
    };
    await context.output.list(wanted(), contentLine, contentJson);
    return EXIT.ok;
  });
}

export async function showContent(context: CliContext, text: string): Promise<ExitCode> {
  const id = parseContentId(text);
  return withInspection(context, async (inspection) => {
    const entry = (await readableIndexes(context, inspection)).find(contentKey(id));
    if (entry === undefined) {
      throw new WindlassError(`content ${id} is in no index`, {
        code: 'CONTENT_NOT_FOUND',
        context: { contentId: id },
      });
    }
    if (context.output.json) {
      context.output.documentText(contentJson(entry));
      return EXIT.ok;
    }
    const range = { offset: entry.packOffset, length: entry.packedLength };
    const sealed = await inspection.storage.getBlob(entry.packId, range, context.signal);
    await context.output.bytes(openContent(inspection.cipher, entry, sealed));
    return EXIT.ok;
  });
}

export function contentLine(entry: IndexEntry): string {
  const { id, packId, packOffset, packedLength, originalLength, timestampSeconds, deleted } = entry;
  const time = formatTime(new Date(timestampSeconds * 1000).toISOString());
  return `${id.padEnd(34)} ${String(originalLength).padStart(10)}  ${packId} @${packOffset} +${packedLength}  ${time}${deleted ? '  deleted' : ''}`;
}

export function contentJson(entry: IndexEntry): string {
  return JSON.stringify({
    packFile: entry.packId,
    time: entry.timestampSeconds,
    originalLength: entry.originalLength,
    length: entry.packedLength,
    packOffset: entry.packOffset,
    ...(entry.compressionId === 0 ? {} : { compression: entry.compressionId }),
    contentID: entry.id,
    deleted: entry.deleted,
    formatVersion: entry.formatVersion,
  });
}
