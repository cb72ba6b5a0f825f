// Opens the repository a command works on and closes it after, whatever happened in between.
import { join } from 'node:path';
import { toHex } from '../base/hex.ts';
import { readFormatBlobs } from '../repo-format/format/open-format.ts';
import { Repository, type BlobStorage } from '../repo-format/index.ts';
import type { Rollback } from '../repo-format/epoch/last-seen.ts';
import { repositoryCacheDirectory } from './cache-directory.ts';
import type { CliContext } from './context.ts';
import { codeOf, messageOf, oneLine } from './error-line.ts';
import { openStorage, type Access as StorageAccess } from './open-storage.ts';
import { findPassword } from './password.ts';
import { processOwners } from '../base/process-owner.ts';

export interface Access extends StorageAccess {
  /** Go on without manifests that are lost; who only reads always does. */
  readonly withoutLost?: boolean;
  /** Reads everything from the store itself, not from copies on this machine: for whoever judges the store. */
  readonly bypassCache?: boolean;
}

/** The password of the repository; with `confirm` a typed one is asked for twice. */
export async function passwordOf(context: CliContext, options: { readonly confirm: boolean }): Promise<string> {
  const sources = {
    file: context.options.passwordFile,
    environment: context.environment['WINDLASS_PASSWORD'],
    input: context.stdin,
    prompts: context.stderr,
  };
  return findPassword(sources, 'Password of the repository', options.confirm, context.signal);
}

export async function withRepository<T>(
  context: CliContext,
  access: Access,
  work: (repository: Repository) => Promise<T>,
): Promise<T> {
  await using repository = await open(context, access);
  return await work(repository);
}

async function open(context: CliContext, access: Access): Promise<Repository> {
  const storage = await openStorage(context, access);
  try {
    return await openRepository(context, storage, access);
  } catch (error) {
    await storage.close();
    throw error;
  }
}

function cacheLimit({ options }: CliContext, access: Access): { readonly cacheBytes?: number } {
  if (access.bypassCache === true) return { cacheBytes: 0 };
  return options.cacheSizeLimit === undefined ? {} : { cacheBytes: options.cacheSizeLimit };
}

/** Opens what is in `storage`, which stays the caller's when that fails. Asks for the password unless it is given. */
export async function openRepository(
  context: CliContext,
  storage: BlobStorage,
  access: Access,
  givenPassword?: string,
): Promise<Repository> {
  const { clock, random, logger, signal, identity } = context;
  // Before the password is asked for: whether there is a repository at all. Its unique id names the folder of local state.
  const storedFormat = await readFormatBlobs(storage, signal);
  const { formatBlob } = storedFormat;
  const password = givenPassword ?? (await passwordOf(context, { confirm: false }));
  const folder =
    context.cacheRoot === undefined
      ? undefined
      : repositoryCacheDirectory(context.cacheRoot, toHex(formatBlob.uniqueId));
  const options = {
    storage,
    password,
    storedFormat,
    readOnly: access.readOnly,
    ...(access.readOnly || access.withoutLost === true ? { onLostManifests: lossReporter(context) } : {}),
    username: identity.userName,
    hostname: identity.host,
    memoryLimitBytes: context.options.memoryLimit,
    journalFolder: folder === undefined ? undefined : join(folder, 'sessions'),
    localFolder: folder,
    onRollback: rollbackReporter(context),
    ...cacheLimit(context, access),
  };
  return Repository.open(options, { clock, random, logger, processes: processOwners() }, signal);
}

/** Not a remark: it must be seen with --quiet, too. */
function lossReporter(context: CliContext): (contentId: string, error: unknown) => void {
  return (contentId, error) => {
    context.lostManifests.push(contentId);
    context.stderr.write(
      `windlass: snapshots and policies in ${contentId} are lost and missing here, and deleted ones may be back: ${oneLine(messageOf(error))} [${codeOf(error)}]\n`,
    );
  };
}

const ROLLED_BACK = 'REPOSITORY_ROLLED_BACK';
const OLDER: Readonly<Record<Rollback, string>> = {
  format: 'its format blob is one that had been replaced',
  epoch: 'index epochs that had begun are gone',
  watermark: 'the mark of what was deleted has gone back',
  'index-blobs': 'index blobs that were there are gone',
};

/** Not a remark: it must be seen with --quiet, too. */
function rollbackReporter(context: CliContext): (what: Rollback) => void {
  return (what) => {
    context.rollbacks.push(what);
    context.stderr.write(
      `windlass: this repository is older than when it was last used here (${OLDER[what]}): snapshots may be missing. If it was restored from a copy on purpose, say so with: windlass cache clear --kind state [${ROLLED_BACK}]\n`,
    );
  };
}

/** Where this repository keeps local state between runs; undefined where there is no cache at all. */
export function stateDirectory(context: CliContext, repository: Repository): string | undefined {
  return context.cacheRoot === undefined
    ? undefined
    : repositoryCacheDirectory(context.cacheRoot, repository.uniqueIdHex);
}
