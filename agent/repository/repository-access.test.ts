import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type BackupRepository,
  type BackupStorageLocation,
  type KubeClient,
  LABEL,
  type Secrets,
  type Store,
} from '../../kube/index.ts';
import { RepositoryDirectory } from './repository-access.ts';

const signal = new AbortController().signal;
const metadata = { namespace: 'velero', uid: 'u', resourceVersion: '1', creationTimestamp: '' };

const location: BackupStorageLocation = {
  apiVersion: 'velero.io/v1',
  kind: 'BackupStorageLocation',
  metadata: { ...metadata, name: 'default' },
  spec: { provider: 'aws', objectStorage: { bucket: 'b' } },
};

const repository = (repositoryConfig?: Readonly<Record<string, string>>): BackupRepository => ({
  apiVersion: 'velero.io/v1',
  kind: 'BackupRepository',
  metadata: {
    ...metadata,
    name: 'r',
    labels: {
      [LABEL.volumeNamespace]: 'demo',
      [LABEL.storageLocation]: 'default',
      [LABEL.repositoryType]: 'kopia',
    },
  },
  spec: {
    volumeNamespace: 'demo',
    backupStorageLocation: 'default',
    maintenanceFrequency: '1h',
    ...(repositoryConfig === undefined ? {} : { repositoryConfig }),
  },
});

const storeOf = <T>(key: string, object: T): Store<T> =>
  ({ get: (asked: string) => (asked === key ? object : undefined), list: () => [object] }) as unknown as Store<T>;

const commonAlone = { value: () => Promise.resolve(Buffer.from('password\n')) } as unknown as Secrets;

const directory = (
  config?: Readonly<Record<string, string>>,
  client = {} as KubeClient,
  secrets = commonAlone,
  perNamespacePasswords = false,
) =>
  new RepositoryDirectory({
    client,
    clock: { nowMs: () => 0, nowNs: () => 0n, monotonicMs: () => 0, sleep: () => Promise.resolve() },
    secrets,
    namespace: 'velero',
    locations: storeOf('velero/default', location),
    repositories: storeOf('velero/r', repository(config)),
    cacheRoot: '/cache',
    perNamespacePasswords,
    environment: {},
  });

const accessWith = (config?: Readonly<Record<string, string>>) =>
  directory(config).access({ volumeNamespace: 'demo', location: 'default' }, signal);

test("the repository's object says how large its cache may be; what is no number says nothing", async () => {
  const sizes = [undefined, {}, { cacheLimitMB: '' }, { cacheLimitMB: '1e3x' }, { cacheLimitMB: '-1' }];
  for (const config of sizes) assert.equal((await accessWith(config)).cacheBytes, undefined);
  assert.equal((await accessWith({ cacheLimitMB: '2048' })).cacheBytes, 2048 * 2 ** 20);
  assert.equal((await accessWith({ cacheLimitMB: '0' })).cacheBytes, 0);
});

test('passwords are taken without white space around them', async () => {
  const { password, previousPassword } = await accessWith();
  assert.deepEqual([password, previousPassword], ['password', undefined], 'the same one twice is one');
});

test("a data mover gets the password of its volume's namespace, where namespaces may have their own", async () => {
  const secrets = {
    has: (name: string) => Promise.resolve(name === 'velero-repo-credentials-demo'),
    value: (name: string) => Promise.resolve(Buffer.from(`of ${name}`)),
  } as unknown as Secrets;
  const passwordOf = async (perNamespace: boolean): Promise<string> => {
    const repositories = directory(undefined, undefined, secrets, perNamespace);
    return (await repositories.access({ volumeNamespace: 'demo', location: 'default' }, signal)).password;
  };
  assert.equal(await passwordOf(true), 'of velero-repo-credentials-demo');
  assert.equal(await passwordOf(false), 'of velero-repo-credentials');
});

test('a repository is asked for where there is a location for it, and nowhere else', async () => {
  const made: string[] = [];
  const client = {
    create: (_kind: unknown, { metadata }: { metadata: { name: string } }) => Promise.resolve(made.push(metadata.name)),
  } as unknown as KubeClient;
  const ready = (volumeNamespace: string, at: string) =>
    directory(undefined, client).readiness({ volumeNamespace, location: at }, signal);
  assert.deepEqual(await ready('demo', 'nowhere'), {
    is: 'pending',
    reason: 'there is no BackupStorageLocation nowhere',
  });
  assert.deepEqual(made, []);
  assert.equal((await ready('other', 'default')).is, 'pending');
  assert.deepEqual(made, ['other-default-kopia']);
});
