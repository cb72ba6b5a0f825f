// `snapshot create`: backs up a tree or a stream and says what was kept and what could not be read.
import { stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { hasCode, WindlassError } from '../../base/errors.ts';
import {
  backupStream,
  backupTree,
  type BackupDeps,
  type BackupOptions,
  type BackupProgress,
  type BackupResult,
} from '../../mover/index.ts';
import type { Repository } from '../../repo-format/index.ts';
import { userTagKey } from '../../repo-format/snapshot/snapshot-manifest.ts';
import { formatSource, localSourcePath, parseSource, type SnapshotSource } from '../../repo-format/snapshot/source.ts';
import { usageError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';
import { oneLine } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { snapshotJson } from '../json-shapes.ts';
import { stateDirectory, withRepository } from '../session.ts';
import { findSnapshot } from '../snapshot-reference.ts';
import { standardInput } from '../standard-input.ts';
import { hasLocation } from '../location-file.ts';
import {
  findVeleroParent,
  isVeleroSource,
  storeVeleroPolicy,
  VELERO_DESCRIPTION,
  VELERO_PIN,
  VELERO_SOURCE_FORMS,
  veleroTags,
} from '../../repo-format/velero/velero-snapshot.ts';
import { countOf, formatCount, formatDuration, formatRate, formatSize } from '../terminal/format.ts';
import { createProgressView, type ProgressView } from '../terminal/progress.ts';

export interface CreateOptions {
  readonly source?: string;
  readonly tag?: Readonly<Record<string, string>>;
  readonly description?: string;
  readonly pin?: readonly string[];
  readonly parent?: string;
  readonly parallel?: number;
  readonly compression?: string;
  readonly exclude?: readonly string[];
  readonly oneFileSystem?: boolean;
  readonly forceHash?: number;
  readonly failFast?: boolean;
  readonly maxErrors?: number;
  readonly stdin?: string;
  /** False with `--no-check-packs`. */
  readonly checkPacks: boolean;
}

const MAX_PATHS_SHOWN = 20;

export async function createCommand(
  context: CliContext,
  path: string | undefined,
  options: CreateOptions,
): Promise<ExitCode> {
  if ((path === undefined) === (options.stdin === undefined))
    throw usageError('give a path to back up, or --stdin NAME');
  // An unset variable in a script: taken for the working directory it would save the wrong tree without a word.
  if (path === '' || options.source === '') throw usageError('a path or source is empty');
  if (hasLocation(context)) requireVeleroOptions(options);
  const localPath = path === undefined ? undefined : localSourcePath(path, context.workingDirectory);
  // A clear word before the password is asked for and the repository is opened.
  if (localPath !== undefined) await requireSource(localPath);
  return withRepository(context, { readOnly: false }, async (repository) => {
    const isVelero = hasLocation(context);
    const named = sourceOf(context, localPath, options);
    const source = isVelero ? requireVeleroSource(named) : named;
    if (isVelero)
      await storeVeleroPolicy(repository, source, options.parallel ?? availableParallelism(), context.signal);
    const view = progressView(context);
    const startedMs = context.clock.monotonicMs();
    let result: BackupResult;
    try {
      const deps = backupDeps(context, repository, view);
      const common = { source, ...labels(options), ...(isVelero ? veleroLabels(source, options) : {}) };
      result =
        localPath === undefined
          ? await backupStream(
              repository,
              { ...common, name: options.stdin ?? '', input: standardInput(context.stdin) },
              deps,
              context.signal,
            )
          : await backupTree(
              repository,
              { ...common, ...(await treeOptions(context, repository, { path: localPath, source }, options)) },
              deps,
              context.signal,
            );
    } finally {
      view.finish();
    }
    report(context, result, context.clock.monotonicMs() - startedMs);
    return result.errors.length > 0 ? EXIT.incomplete : EXIT.ok;
  });
}

/** Before anything is opened: what would make a snapshot that Velero does not find, or cannot restore. */
function requireVeleroOptions({ stdin, source }: CreateOptions): void {
  if (stdin !== undefined) throw usageError('--stdin makes no snapshot that Velero could restore');
  if (source === undefined) throw usageError(`in a Velero location say what it is: --source ${VELERO_SOURCE_FORMS}`);
}

/** Usage error unless the source is one that Velero could have made. */
function requireVeleroSource(source: SnapshotSource): SnapshotSource {
  if (isVeleroSource(source)) return source;
  throw usageError(`in a Velero location a source is ${VELERO_SOURCE_FORMS}`, { source: source.path });
}

/** Velero's marks come beside what the person gives. */
function veleroLabels(
  { path }: SnapshotSource,
  { tag = {}, description = VELERO_DESCRIPTION, pin = [] }: CreateOptions,
) {
  const given = Object.fromEntries(Object.entries(tag).map(([key, value]) => [userTagKey(key), value]));
  return {
    description,
    tags: { ...given, ...veleroTags(path) },
    pins: [...new Set([...pin, VELERO_PIN])].sort(),
  };
}

async function requireSource(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (cause) {
    const found = hasCode(cause, 'ENOENT') ? 'does not exist' : 'cannot be read';
    throw new WindlassError(`${path} ${found}`, { code: 'SOURCE_UNREADABLE', context: { path }, cause });
  }
}

/** A stream without `--source` is a source named by where it was made and by its name. */
function sourceOf(context: CliContext, localPath: string | undefined, options: CreateOptions): SnapshotSource {
  const path = localPath ?? localSourcePath(options.stdin ?? '', context.workingDirectory);
  if (options.source === undefined) return { host: context.identity.host, userName: context.identity.userName, path };
  const named = parseSource(options.source, context.identity);
  if (named.host === '' || named.userName === '')
    throw usageError('--source needs user@host:/path', { source: options.source });
  return named.path === '' ? { ...named, path } : named;
}

function labels({ tag = {}, description, pin, parallel, compression, checkPacks }: CreateOptions) {
  const tags = Object.fromEntries(Object.entries(tag).map(([key, value]) => [userTagKey(key), value]));
  return {
    tags,
    skipPackCheck: !checkPacks,
    ...(description === undefined ? {} : { description }),
    ...(pin === undefined ? {} : { pins: [...new Set(pin)].sort() }),
    ...(parallel === undefined ? {} : { parallel }),
    ...(compression === undefined ? {} : { compression }),
  };
}

async function treeOptions(
  context: CliContext,
  repository: Repository,
  { path, source }: { readonly path: string; readonly source: SnapshotSource },
  options: CreateOptions,
): Promise<Omit<BackupOptions, 'source'>> {
  const { parent, exclude, oneFileSystem, forceHash, failFast, maxErrors } = options;
  const { memoryLimit } = context.options;
  const parentId =
    parent === undefined && hasLocation(context)
      ? ((await findVeleroParent(repository, source, context.signal)) ?? 'none')
      : parent === undefined || parent === 'none'
        ? parent
        : (await findSnapshot(context, repository, parent, options.source ?? path)).id;
  return {
    path,
    ...(parentId === undefined ? {} : { parent: parentId }),
    ...(exclude === undefined ? {} : { excludes: exclude }),
    ...(oneFileSystem === undefined ? {} : { oneFileSystem }),
    ...(forceHash === undefined ? {} : { forceHashPercent: forceHash }),
    ...(failFast === undefined ? {} : { failFast }),
    ...(maxErrors === undefined ? {} : { maxErrors }),
    ...(memoryLimit === undefined ? {} : { memoryLimitBytes: memoryLimit }),
  };
}

function backupDeps(context: CliContext, repository: Repository, view: ProgressView): BackupDeps {
  const { clock, random, logger } = context;
  return {
    clock,
    random,
    logger,
    stateDirectory: stateDirectory(context, repository),
    progress: (progress) => view.update(asState(progress)),
  };
}

function progressView(context: CliContext): ProgressView {
  const enabled = context.options.json !== true && context.options.quiet !== true;
  return createProgressView(context.stderr, context.clock, { verb: 'backing up:', enabled });
}

function asState(progress: BackupProgress) {
  return {
    files: progress.files,
    processedBytes: progress.hashedBytes,
    skippedBytes: progress.cachedBytes,
    uploadedBytes: progress.uploadedBytes,
    errors: progress.errors,
    expectedBytes: progress.estimatedBytes,
  };
}

function report(context: CliContext, result: BackupResult, elapsedMs: number): void {
  const { manifest, errors, consistency, expired, bytesHashed, bytesUploaded, newContents, resumedPacks } = result;
  context.output.documentText(
    snapshotJson(manifest, { errors, consistency, expired, bytesHashed, bytesUploaded, newContents, resumedPacks }),
  );
  const { output } = context;
  const summary = manifest.rootEntry?.summary;
  const size = summary?.size ?? manifest.rootEntry?.size ?? 0;
  output.line(`snapshot ${manifest.id} of ${oneLine(formatSource(manifest.source))}`);
  // What is unchanged counts symlinks, too.
  const symlinks = summary === undefined || summary.symlinks === 0 ? '' : `${countOf(summary.symlinks, 'symlink')}, `;
  output.line(
    `  ${countOf(summary?.files ?? 1, 'file')}, ${symlinks}${formatSize(size)} (${formatCount(manifest.stats.cachedFiles)} unchanged), ` +
      `${formatSize(bytesHashed)} read, ${formatSize(bytesUploaded)} stored, ${formatDuration(elapsedMs)} (${formatRate(size, elapsedMs)})`,
  );
  if (resumedPacks > 0) output.line(`  taken over from an interrupted run: ${countOf(resumedPacks, 'pack')}`);
  if (consistency.status !== 'exact') {
    context.note(`${countOf(consistency.changed, 'file')} changed while read, ${consistency.vanished} vanished:`);
    for (const path of consistency.paths.slice(0, MAX_PATHS_SHOWN)) context.note(`  ${oneLine(path)}`);
  }
  // Not a remark: it must be seen with --quiet, too.
  for (const { path, error, code } of errors.slice(0, MAX_PATHS_SHOWN))
    context.stderr.write(`windlass: ${oneLine(path)}: ${oneLine(error)} [${code}]\n`);
  if (errors.length > MAX_PATHS_SHOWN)
    context.stderr.write(`windlass: … and ${errors.length - MAX_PATHS_SHOWN} more (see snapshot show --json)\n`);
}
