// A ServiceAccount that may do everything, as a pod finds it: an environment and a folder of files.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiServer } from './api-server.ts';

export interface PodAccount {
  readonly token: string;
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
}

const NAMESPACE = 'default';

/** `through`: the address of a proxy in place of the server. The token is good for a day. */
export async function createAdminAccount(server: ApiServer, name: string, through = server.url): Promise<PodAccount> {
  await server.kubectl(['create', 'serviceaccount', name, '-n', NAMESPACE]);
  const binding = ['--clusterrole=cluster-admin', `--serviceaccount=${NAMESPACE}:${name}`];
  await server.kubectl(['create', 'clusterrolebinding', name, ...binding]);
  const uid = await server.kubectl(['get', 'serviceaccount', name, '-n', NAMESPACE, '-o', 'jsonpath={.metadata.uid}']);
  const token = server.token({ namespace: NAMESPACE, name, uid, expiresInSeconds: 86_400 });
  const folder = join(server.folder, name);
  mkdirSync(folder);
  cpSync(server.caPath, join(folder, 'ca.crt'));
  writeFileSync(join(folder, 'token'), token);
  const { hostname, port } = new URL(through);
  return { token, folder, environment: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port } };
}
