// `snapshot list`. With `--json` the array of `kopia snapshot list --json`, retention reasons included.
import type { Repository, SnapshotManifest } from '../../repo-format/index.ts';
import { loadEffectivePolicy } from '../../repo-format/snapshot/effective-policy.ts';
import { planRetention } from '../../repo-format/snapshot/retention.ts';
import { userTagKey, userTags } from '../../repo-format/snapshot/snapshot-manifest.ts';
import { formatSource, parseSource } from '../../repo-format/snapshot/source.ts';
import { formatTimestampNs } from '../../base/go-time.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { snapshotJson } from '../json-shapes.ts';
import { withRepository } from '../session.ts';
import { readableSnapshots } from '../snapshot-reference.ts';
import { countOf, formatSize, formatTime, table } from '../terminal/format.ts';

export interface ListOptions {
  readonly all?: boolean;
  readonly tag?: Readonly<Record<string, string>>;
}

interface ListedSnapshot {
  readonly manifest: SnapshotManifest;
  readonly reasons: readonly string[];
}

export async function listCommand(
  context: CliContext,
  sourceText: string | undefined,
  options: ListOptions,
): Promise<ExitCode> {
  return withRepository(context, { readOnly: true }, async (repository) => {
    const source = sourceText === undefined ? undefined : parseSource(sourceText, context.identity);
    const tags = Object.fromEntries(Object.entries(options.tag ?? {}).map(([key, value]) => [userTagKey(key), value]));
    const found = await readableSnapshots(context, repository, source, tags);
    const groups = await withReasons(context, repository, groupBySource(found));
    if (context.output.json) {
      // As kopia: every user and host, whatever was asked.
      await context.output.list(
        groups.flat(),
        () => '',
        ({ manifest, reasons }) => listedJson(manifest, reasons),
      );
      return EXIT.ok;
    }
    const showAll = options.all === true || source !== undefined;
    const shown = groups.filter(([first]) => showAll || isOwn(context, first?.manifest));
    for (const group of shown) printGroup(context, group);
    if (shown.length === 0)
      context.note(
        found.length === 0 ? 'No snapshots.' : 'No snapshots of this user and host; --all shows the others.',
      );
    return EXIT.ok;
  });
}

function groupBySource(manifests: readonly SnapshotManifest[]): SnapshotManifest[][] {
  const groups = Map.groupBy(manifests, ({ source }) => formatSource(source));
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
}

async function withReasons(
  context: CliContext,
  repository: Repository,
  groups: readonly SnapshotManifest[][],
): Promise<ListedSnapshot[][]> {
  const zoneOffset = (timeMs: number): number => -new Date(timeMs).getTimezoneOffset();
  const listed: ListedSnapshot[][] = [];
  for (const group of groups) {
    const first = group[0];
    if (first === undefined) continue;
    const { policy } = await loadEffectivePolicy(repository.manifests, first.source, context.signal);
    const decisions = planRetention(group, policy.retention ?? {}, zoneOffset);
    const reasons = new Map(decisions.map((decision) => [decision.snapshot.id, decision.reasons]));
    listed.push(group.map((manifest) => ({ manifest, reasons: reasons.get(manifest.id) ?? [] })));
  }
  return listed;
}

function listedJson(manifest: SnapshotManifest, reasons: readonly string[]): string {
  return snapshotJson(manifest, { retentionReason: reasons.length === 0 ? undefined : reasons });
}

function isOwn(context: CliContext, manifest: SnapshotManifest | undefined): boolean {
  const { host, userName } = context.identity;
  return manifest?.source.host === host && manifest.source.userName === userName;
}

function printGroup(context: CliContext, group: readonly ListedSnapshot[]): void {
  const [first] = group;
  if (first === undefined) return;
  context.output.line(formatSource(first.manifest.source));
  const rows = group.map(({ manifest, reasons }) => [
    `  ${formatTime(formatTimestampNs(manifest.startTimeNs))}`,
    manifest.id,
    formatSize(manifest.rootEntry?.summary?.size ?? manifest.stats.totalSize),
    countOf(manifest.rootEntry?.summary?.files ?? manifest.stats.fileCount, 'file'),
    remarks(manifest, reasons),
  ]);
  for (const line of table(rows, [2, 3])) context.output.line(line.trimEnd());
}

function remarks(manifest: SnapshotManifest, reasons: readonly string[]): string {
  const tags = Object.entries(userTags(manifest.tags)).map(([key, value]) => `${key}:${value}`);
  const failed = manifest.rootEntry?.summary?.numFailed ?? 0;
  return [
    manifest.incomplete === undefined ? '' : `incomplete (${manifest.incomplete})`,
    failed === 0 ? '' : countOf(failed, 'error'),
    tags.length === 0 ? '' : `tags: ${tags.join(', ')}`,
    manifest.pins.length === 0 ? '' : `pins: ${manifest.pins.join(', ')}`,
    reasons.length === 0 ? '' : `(${reasons.join(', ')})`,
  ]
    .filter((text) => text !== '')
    .join('  ');
}
