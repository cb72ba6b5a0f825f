// What a data mover needs to open the repository of a namespace: the location, its credentials, the password; and whether the
// repository is ready to be used.
import type { Clock } from '../../base/clock.ts';
import { hasCode, WindlassError } from '../../base/errors.ts';
import {
  type BackupRepository,
  type BackupStorageLocation,
  KINDS,
  type KubeClient,
  LABEL,
  labelValue,
  repositoryLabels,
  type Secrets,
  type Store,
} from '../../kube/index.ts';
import {
  cacheLimitBytes,
  readLocation,
  readLocationSecrets,
  readRepositoryPasswords,
} from '../../repo-format/velero/index.ts';
import type { DerivedKey, RepositoryAccess } from '../datapath/job.ts';

export interface RepositoryDirectoryDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly secrets: Secrets;
  readonly namespace: string;
  readonly locations: Store<BackupStorageLocation>;
  readonly repositories: Store<BackupRepository>;
  readonly cacheRoot: string;
  /** Whether a namespace may have a Secret of its own with its repository's password. */
  readonly perNamespacePasswords: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface RepositoryName {
  readonly volumeNamespace: string;
  readonly location: string;
}

/** Whether to wait, and for what. */
export type Readiness = { readonly is: 'ready' } | { readonly is: 'pending'; readonly reason: string };

const KOPIA = 'kopia' as const;

export class RepositoryDirectory {
  readonly #deps: RepositoryDirectoryDeps;
  /** By namespace and location. */
  readonly #derivedKeys = new Map<string, DerivedKey>();

  constructor(deps: RepositoryDirectoryDeps) {
    this.#deps = deps;
  }

  keepKey({ volumeNamespace, location }: RepositoryAccess, key: DerivedKey): void {
    this.#derivedKeys.set(`${location.name}/${volumeNamespace}`, key);
  }

  /** `REPOSITORY_NOT_READY` when waiting will not help. Asks for a repository that nobody has asked for yet. */
  async readiness(name: RepositoryName, signal: AbortSignal): Promise<Readiness> {
    const found = this.#find(name);
    if (found === undefined) {
      // Nobody could ever initialise it, and it would stay.
      if (!this.#hasLocation(name))
        return { is: 'pending', reason: `there is no BackupStorageLocation ${name.location}` };
      await this.#ask(name, signal);
      return { is: 'pending', reason: 'the repository has been asked for' };
    }
    const { phase = 'New', message = '' } = found.status ?? {};
    if (phase === 'Ready') return { is: 'ready' };
    if (phase !== 'NotReady') return { is: 'pending', reason: 'the repository is not initialised yet' };
    throw new WindlassError(`backup repository is not ready: ${message}`, {
      code: 'REPOSITORY_NOT_READY',
      context: { repository: found.metadata.name },
    });
  }

  /** `LOCATION_UNKNOWN`, `LOCATION_INVALID`, `SECRET_UNUSABLE`, `PASSWORD_MISSING`. */
  async access({ volumeNamespace, location: name }: RepositoryName, signal: AbortSignal): Promise<RepositoryAccess> {
    const { locations, namespace, secrets, cacheRoot, environment, perNamespacePasswords: perNamespace } = this.#deps;
    const object = locations.get(`${namespace}/${name}`);
    if (object === undefined) {
      throw new WindlassError(`there is no BackupStorageLocation ${name}`, {
        code: 'LOCATION_UNKNOWN',
        context: { location: name },
      });
    }
    const location = readLocation(object as unknown as Readonly<Record<string, unknown>>);
    return {
      location,
      volumeNamespace,
      ...(await readLocationSecrets(location, secrets, environment, signal)),
      ...(await readRepositoryPasswords(secrets, { volumeNamespace, perNamespace }, signal)),
      derivedKey: this.#derivedKeys.get(`${name}/${volumeNamespace}`),
      cacheRoot,
      cacheBytes: cacheLimitBytes(this.#find({ volumeNamespace, location: name })?.spec.repositoryConfig),
    };
  }

  #hasLocation({ location }: RepositoryName): boolean {
    const { locations, namespace } = this.#deps;
    return locations.get(`${namespace}/${location}`) !== undefined;
  }

  /** By labels, never by name (node-agent §6.1). */
  #find({ volumeNamespace, location }: RepositoryName): BackupRepository | undefined {
    const found = this.#deps.repositories.list().filter(({ metadata: { labels = {} } }) => {
      return (
        labels[LABEL.volumeNamespace] === labelValue(volumeNamespace) &&
        labels[LABEL.storageLocation] === labelValue(location) &&
        labels[LABEL.repositoryType] === KOPIA
      );
    });
    if (found.length > 1) {
      throw new WindlassError(`there are ${found.length} BackupRepositories for ${volumeNamespace} in ${location}`, {
        code: 'REPOSITORY_NOT_READY',
      });
    }
    return found[0];
  }

  /** As the data movers of Velero do. Whoever keeps repositories initialises it. */
  async #ask({ volumeNamespace, location }: RepositoryName, signal: AbortSignal): Promise<void> {
    const { client, namespace } = this.#deps;
    const labels = repositoryLabels(volumeNamespace, location, KOPIA);
    const metadata = { name: `${volumeNamespace}-${location}-${KOPIA}`, namespace, labels };
    const spec = {
      volumeNamespace,
      backupStorageLocation: location,
      repositoryType: KOPIA,
      maintenanceFrequency: '0s',
    };
    try {
      await client.create(KINDS.backupRepository, { metadata, spec }, signal);
    } catch (error) {
      if (!hasCode(error, 'KUBE_ALREADY_EXISTS')) throw error;
    }
  }
}
