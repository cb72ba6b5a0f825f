// `debug manifest list|show`: every labelled document, of whatever type. JSON in the members of `kopia manifest list --json`.
import { formatTimestampNs } from '../../base/go-time.ts';
import type { ManifestId } from '../../repo-format/index.ts';
import type { Manifest } from '../../repo-format/manifest/manifest-store.ts';
import type { CliContext } from '../context.ts';
import { oneLine } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { withRepository } from '../session.ts';
import { formatTime } from '../terminal/format.ts';

export async function listManifests(
  context: CliContext,
  options: { readonly label?: Readonly<Record<string, string>> },
): Promise<ExitCode> {
  return withRepository(context, { readOnly: true }, async (repository) => {
    const found = await repository.manifests.find(options.label ?? {}, context.signal);
    await context.output.list(found, manifestLine, manifestJson);
    return EXIT.ok;
  });
}

function manifestLine({ id, length, labels, modifiedNs }: Manifest): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}:${value}`);
  return `${id}  ${String(length).padStart(8)}  ${formatTime(formatTimestampNs(modifiedNs))}  ${oneLine(pairs.sort().join(' '))}`;
}

function manifestJson({ id, length, labels, modifiedNs }: Manifest): string {
  return JSON.stringify({ id, length, labels, mtime: formatTimestampNs(modifiedNs) });
}

export async function showManifest(context: CliContext, id: string): Promise<ExitCode> {
  return withRepository(context, { readOnly: true }, async (repository) => {
    // Any text may be an id; an unknown one is MANIFEST_NOT_FOUND.
    const manifest = await repository.manifests.get(id as ManifestId, context.signal);
    const { dataJson } = manifest;
    context.output.documentText(`${manifestJson(manifest).slice(0, -1)},"data":${dataJson}}`);
    context.output.line(dataJson);
    return EXIT.ok;
  });
}
