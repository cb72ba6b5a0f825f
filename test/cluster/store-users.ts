// Users of the cluster's S3 server besides its root account, given other keys while it runs, as an administrator does.
import type { Cluster } from './cluster.ts';
import { STORE_KEYS, STORE_URL } from './object-store.ts';

export interface StoreKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** May read and write every bucket. */
export async function createStoreUser(cluster: Cluster, { accessKeyId, secretAccessKey }: StoreKeys): Promise<void> {
  await administer(cluster, 'create-user', '-a', accessKeyId, '-s', secretAccessKey, '-r', 'admin');
}

/** The key before is refused from now on. */
export async function changeStoreSecret(cluster: Cluster, { accessKeyId, secretAccessKey }: StoreKeys): Promise<void> {
  await administer(cluster, 'update-user', '-a', accessKeyId, '-s', secretAccessKey);
}

async function administer({ inside, programs }: Cluster, ...args: readonly string[]): Promise<void> {
  const { accessKeyId, secretAccessKey } = STORE_KEYS;
  const root = ['--access', accessKeyId, '--secret', secretAccessKey, '--endpoint-url', STORE_URL];
  await inside.ok([programs.versitygw, 'admin', ...root, ...args]);
}
