// `repository create`.
import { hasCode } from '../../base/errors.ts';
import type { CreateFormatOptions } from '../../repo-format/format/create-format.ts';
import { readFormatBlobs } from '../../repo-format/format/open-format.ts';
import { type BlobStorage, Repository } from '../../repo-format/index.ts';
import { putMaintenanceSettings } from '../../repo-format/manifest/maintenance-settings.ts';
import { usageError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { openNewStorage, repositoryPlace } from '../open-storage.ts';
import { openRepository, passwordOf } from '../session.ts';
import { hasLocation } from '../location-file.ts';
import { setUpForVelero, veleroState } from '../../repo-format/velero/velero-repository.ts';
import { describeRepository } from './status.ts';

export interface CreateOptions {
  readonly hash?: string;
  readonly encryption?: string;
  readonly splitter?: string;
  readonly formatVersion?: '1' | '2' | '3';
  readonly ecc?: string;
  readonly eccOverheadPercent?: number;
  readonly retentionMode?: 'governance' | 'compliance';
  readonly retentionPeriod?: bigint;
}

type FormatOptions = Omit<CreateFormatOptions, 'password'>;

const VERSIONS = { '1': 1, '2': 2, '3': 3 } as const;

export async function createCommand(context: CliContext, options: CreateOptions): Promise<ExitCode> {
  const { output, signal } = context;
  // A wrong address is told before a password is asked for.
  await repositoryPlace(context);
  const password = await passwordOf(context, { confirm: true });
  const storage = await openNewStorage(context, options.formatVersion === '1' ? 'version1' : 'current');
  await using created = await (hasLocation(context)
    ? createForVelero(context, storage, password, options)
    : createPlain(context, storage, password, options));
  const description = await describeRepository(created, signal);
  output.document(description);
  output.line(`created repository ${description.uniqueIDHex.slice(0, 16)} at ${storage.displayName}`);
  context.note('Keep the password: without it nothing in the repository can be read.');
  return EXIT.ok;
}

async function createPlain(
  context: CliContext,
  storage: BlobStorage,
  password: string,
  options: CreateOptions,
): Promise<Repository> {
  const repository = await createIn(context, storage, password, options);
  try {
    // As kopia's own command does: it asks who maintains the repository before it frees any space.
    putMaintenanceSettings(repository.manifests, `${context.identity.userName}@${context.identity.host}`);
    await repository.flush(context.signal);
    return repository;
  } catch (error) {
    await repository.close();
    throw error;
  }
}

/** Repository.create, which leaves the storage open when it fails. */
async function createIn(
  context: CliContext,
  storage: BlobStorage,
  password: string,
  options: CreateOptions,
): Promise<Repository> {
  const { clock, random, logger, signal } = context;
  try {
    const all = { storage, password, ...formatOptions(options) };
    return await Repository.create(all, { clock, random, logger }, signal);
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/** As Velero makes its own. What it, or a run that was stopped, left bare is finished; nothing of it is made anew. */
async function createForVelero(
  context: CliContext,
  storage: BlobStorage,
  password: string,
  options: CreateOptions,
): Promise<Repository> {
  const { signal } = context;
  const repository = (await isBare(storage, signal))
    ? await openBare(context, storage, password)
    : await createIn(context, storage, password, options);
  try {
    await setUpForVelero(repository, signal);
    return repository;
  } catch (error) {
    await repository.close();
    throw error;
  }
}

async function isBare(storage: BlobStorage, signal: AbortSignal): Promise<boolean> {
  try {
    const { formatBlob } = await readFormatBlobs(storage, signal);
    return (await veleroState(storage, formatBlob.uniqueId, signal)) === 'bare';
  } catch (error) {
    if (hasCode(error, 'REPOSITORY_NOT_FOUND')) return false;
    await storage.close();
    throw error;
  }
}

async function openBare(context: CliContext, storage: BlobStorage, password: string): Promise<Repository> {
  try {
    return await openRepository(context, storage, { readOnly: false }, password);
  } catch (error) {
    await storage.close();
    throw error;
  }
}

function formatOptions({
  hash,
  encryption,
  splitter,
  ecc,
  eccOverheadPercent,
  formatVersion,
  retentionMode,
  retentionPeriod,
}: CreateOptions): FormatOptions {
  if ((retentionMode === undefined) !== (retentionPeriod === undefined)) {
    throw usageError('--retention-mode and --retention-period go together');
  }
  return {
    ...(hash === undefined ? {} : { hash }),
    ...(encryption === undefined ? {} : { encryption }),
    ...(splitter === undefined ? {} : { splitter }),
    ...(ecc === undefined ? {} : { ecc }),
    ...(eccOverheadPercent === undefined ? {} : { eccOverheadPercent }),
    ...(retentionMode === undefined || retentionPeriod === undefined
      ? {}
      : { retention: { mode: retentionMode.toUpperCase(), periodNs: retentionPeriod } }),
    ...(formatVersion === undefined ? {} : { version: VERSIONS[formatVersion] }),
  };
}
