// `repository status`: where the repository is and how it is made. JSON in the members of `kopia repository status --json`.
import { isRetentionEnabled } from '../../repo-format/format/blob-config.ts';
import type { Repository } from '../../repo-format/index.ts';
import { listSnapshots } from '../../repo-format/snapshot/snapshots.ts';
import type { CliContext } from '../context.ts';
import { codeOf, messageOf, oneLine } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { withRepository } from '../session.ts';
import { countOf, formatCount, formatDuration, formatSize, table } from '../terminal/format.ts';

export interface RepositoryDescription {
  readonly uniqueIDHex: string;
  readonly storage: { readonly type: string; readonly displayName: string };
  readonly volume: { readonly available?: number };
  readonly contentFormat: Readonly<Record<string, unknown>>;
  readonly objectFormat: { readonly splitter: string };
  /** As kopia has it; empty when retention is off. */
  readonly blobRetention: { readonly retentionMode?: string; readonly retentionPeriod?: number };
  /** The password is the one that everybody knows. */
  readonly defaultPassword: boolean;
  readonly blobs: { readonly count: number; readonly totalSize: number };
  /** Absent when the manifests cannot be read. */
  readonly snapshots?: number;
  readonly snapshotsError?: { readonly code: string; readonly message: string };
}

export async function statusCommand(context: CliContext): Promise<ExitCode> {
  return withRepository(context, { readOnly: true }, async (repository) => {
    const description = await describeRepository(repository, context.signal);
    context.output.document(description);
    for (const line of statusLines(repository, description)) context.output.line(line);
    return description.snapshotsError === undefined ? EXIT.ok : EXIT.failed;
  });
}

export async function describeRepository(repository: Repository, signal: AbortSignal): Promise<RepositoryDescription> {
  const { config, blobConfig } = repository.format;
  let [count, totalSize] = [0, 0];
  for await (const blob of repository.storage.listBlobs('', signal))
    [count, totalSize] = [count + 1, totalSize + blob.length];
  const available = await repository.storage.freeBytes(signal);
  return {
    uniqueIDHex: repository.uniqueIdHex,
    storage: storageOf(repository),
    volume: available === undefined ? {} : { available },
    contentFormat: {
      hash: config.hash,
      encryption: config.encryption,
      ...(config.ecc === '' ? {} : { ecc: config.ecc, eccOverheadPercent: config.eccOverheadPercent }),
      version: config.version,
      maxPackSize: config.maxPackSizeBytes,
      indexVersion: config.indexVersion,
      epochsEnabled: config.epochParameters.enabled,
      enablePasswordChange: config.enablePasswordChange,
    },
    objectFormat: { splitter: config.splitter },
    blobRetention: isRetentionEnabled(blobConfig)
      ? { retentionMode: blobConfig.retentionMode, retentionPeriod: Number(blobConfig.retentionPeriodNs) }
      : {},
    defaultPassword: repository.hasDefaultPassword,
    blobs: { count, totalSize },
    ...(await countSnapshots(repository, signal)),
  };
}

/** Kopia's names of its providers. */
const STORAGE_TYPES: Readonly<Record<string, string>> = { s3: 's3', azblob: 'azureBlob', gs: 'gcs' };

function storageOf({ storage: { displayName } }: Repository): RepositoryDescription['storage'] {
  const scheme = displayName.slice(0, Math.max(0, displayName.indexOf('://')));
  return { type: STORAGE_TYPES[scheme] ?? 'filesystem', displayName };
}

/** The rest is worth showing, and needed most, when manifests are damaged. */
async function countSnapshots(
  repository: Repository,
  signal: AbortSignal,
): Promise<Pick<RepositoryDescription, 'snapshots' | 'snapshotsError'>> {
  try {
    return { snapshots: (await listSnapshots(repository.manifests, { onCorrupt: () => undefined }, signal)).length };
  } catch (error) {
    signal.throwIfAborted();
    return { snapshotsError: { code: codeOf(error), message: messageOf(error) } };
  }
}

function retentionText({ blobRetention: { retentionMode, retentionPeriod = 0 } }: RepositoryDescription): string {
  return retentionMode === undefined ? 'off' : `${retentionMode}, ${formatDuration(retentionPeriod / 1e6)}`;
}

function statusLines(repository: Repository, description: RepositoryDescription): string[] {
  const { config } = repository.format;
  const { blobs, volume, snapshots, snapshotsError } = description;
  const ecc = config.ecc === '' ? 'none' : `${config.ecc}, ${config.eccOverheadPercent} % overhead`;
  return table([
    ['Repository:', repository.storage.displayName],
    ['Unique ID:', description.uniqueIDHex],
    [
      'Format:',
      `version ${config.version}, index version ${config.indexVersion}, ${config.epochParameters.enabled ? 'epochs' : 'no epochs'}`,
    ],
    ['Hash:', config.hash],
    ['Encryption:', config.encryption],
    ['Splitter:', config.splitter],
    ['Error correction:', ecc],
    ['Retention:', retentionText(description)],
    ...(description.defaultPassword
      ? [['Password:', 'the default one, which everybody knows: change it with repository change-password']]
      : []),
    ['Password change:', config.enablePasswordChange ? 'possible' : 'not possible'],
    ['Stored:', `${formatSize(blobs.totalSize)} in ${countOf(blobs.count, 'blob')}`],
    [
      'Snapshots:',
      snapshotsError === undefined
        ? formatCount(snapshots ?? 0)
        : `cannot be listed: ${oneLine(snapshotsError.message)} [${snapshotsError.code}]`,
    ],
    ...(volume.available === undefined ? [] : [['Free space:', formatSize(volume.available)]]),
  ]);
}
