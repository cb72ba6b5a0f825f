// The `windlass` command, and kopia where there is one, on one repository in a container of Azurite or a bucket of fake-gcs-server.
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { startAzurite } from '../harness/azurite-server.ts';
import { startGcsServer } from '../harness/gcs-server.ts';
import { findKopia, KopiaClient } from '../harness/kopia-client.ts';
import { memoryFolder, type CleanUp } from '../harness/scratch.ts';
import { WindlassClient } from '../harness/windlass-command.ts';

export const PASSWORD = 'two-way-password';
const PREFIX = 'some/place/';

/** A server, how either program names a place in it, and what they need in their environment. */
export interface CloudServer {
  readonly name: string;
  createBucket(name: string): Promise<void>;
  windlassUrl(bucket: string): string;
  readonly windlassEnvironment: Readonly<Record<string, string>>;
  /** Arguments of kopia's `repository connect`. `folder` is for files. */
  kopiaPlace(bucket: string, folder: string): readonly string[];
  readonly kopiaEnvironment: Readonly<Record<string, string>>;
  /** Kopia's `repository create` has no way to say that there is no TLS. */
  readonly canKopiaCreate: boolean;
  stop(): Promise<void>;
}

export async function startGcs(): Promise<CloudServer> {
  const server = await startGcsServer();
  const environment = { STORAGE_EMULATOR_HOST: server.endpoint };
  return {
    name: 'Google Cloud Storage',
    createBucket: (name) => server.createBucket(name),
    windlassUrl: (bucket) => `gs://${bucket}/${PREFIX}`,
    windlassEnvironment: environment,
    kopiaPlace: (bucket) => ['gcs', `--bucket=${bucket}`, `--prefix=${PREFIX}`],
    kopiaEnvironment: environment,
    canKopiaCreate: true,
    stop: () => server.stop(),
  };
}

export async function startAzure(): Promise<CloudServer> {
  const hooks: (() => void)[] = [];
  const server = await startAzurite({ after: (hook) => void hooks.push(hook) });
  const proxy = await startProxy(server.port);
  const { account, accountKey, endpoint } = server;
  return {
    name: 'Azure Blob Storage',
    createBucket: (name) => server.createContainer(name),
    windlassUrl: (bucket) => `azblob://${bucket}/${PREFIX}?account=${account}&endpoint=${endpoint}`,
    windlassEnvironment: { AZURE_STORAGE_KEY: accountKey },
    // Kopia puts the account in front of a domain: an address that exists nowhere but behind the proxy.
    kopiaPlace(bucket, folder) {
      const file = join(folder, 'azure.json');
      const place = { container: bucket, prefix: PREFIX, storageAccount: account, storageKey: accountKey };
      const config = { ...place, storageDomain: 'blob.example', doNotUseTLS: true };
      writeFileSync(file, JSON.stringify({ storage: { type: 'azureBlob', config } }));
      return ['from-config', `--file=${file}`];
    },
    kopiaEnvironment: { HTTP_PROXY: proxy.url },
    canKopiaCreate: false,
    async stop() {
      await proxy.stop();
      for (const hook of hooks) hook();
    },
  };
}

/** Sends every request to one port of this machine, as it is. */
async function startProxy(port: number): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const server = createServer((incoming, answer) => {
    const { pathname, search } = new URL(incoming.url ?? '/', 'http://any');
    const { method, headers } = incoming;
    const outgoing = request({ host: '127.0.0.1', port, method, headers, path: `${pathname}${search}` }, (answered) => {
      answer.writeHead(answered.statusCode ?? 502, answered.headers);
      answered.pipe(answer);
    });
    outgoing.on('error', () => answer.destroy());
    incoming.pipe(outgoing);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export interface CloudPair {
  readonly tree: string;
  readonly windlass: WindlassClient;
  /** Undefined where no kopia is installed. */
  readonly kopia: KopiaClient | undefined;
  /** Another one with a cache of its own. */
  anotherWindlass(name: string): WindlassClient;
  target(name: string): string;
}

let buckets = 0;

export async function openCloudPair(t: CleanUp, server: CloudServer): Promise<CloudPair> {
  const bucket = `pair-${process.pid}-${++buckets}`;
  await server.createBucket(bucket);
  const folder = memoryFolder(t, 'cloud-pair');
  const anotherWindlass = (name: string): WindlassClient => {
    const cacheFolder = join(folder, name);
    mkdirSync(cacheFolder, { recursive: true });
    const environment = server.windlassEnvironment;
    return new WindlassClient({ repository: server.windlassUrl(bucket), cacheFolder, password: PASSWORD, environment });
  };
  const program = findKopia();
  const kopiaFolder = join(folder, 'kopia');
  const kopiaOptions = { folder: kopiaFolder, password: PASSWORD, environment: server.kopiaEnvironment };
  return {
    tree: join(folder, 'tree'),
    windlass: anotherWindlass('windlass'),
    kopia:
      program === undefined
        ? undefined
        : new KopiaClient({ program, ...kopiaOptions, repository: server.kopiaPlace(bucket, folder) }),
    anotherWindlass,
    target: (name) => join(folder, name),
  };
}
