// Azurite, Microsoft's server for Azure Blob Storage on one machine, as a child process on a free port of the loopback, its data in a
// folder that goes with the test.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { installNpmProgram } from './npm-program.ts';
import { memoryFolder, type CleanUp } from './scratch.ts';

export interface AzuriteServer {
  /** `http://127.0.0.1:PORT/ACCOUNT`. */
  readonly endpoint: string;
  readonly port: number;
  readonly account: string;
  readonly accountKey: string;
  createContainer(name: string): Promise<void>;
  deleteContainer(name: string): Promise<void>;
}

const PROGRAM = 'node_modules/azurite/dist/src/blob/main.js';
const ACCOUNT = 'windlasstest';
const ACCOUNT_KEY = Buffer.from('a key that protects nothing but a test').toString('base64');
const READY = /successfully listens on http:\/\/127\.0\.0\.1:(\d+)/;

/** Ends with `t`. `arguments` are Azurite's own. */
export async function startAzurite(t: CleanUp, extra: readonly string[] = []): Promise<AzuriteServer> {
  const installed = installNpmProgram('azurite');
  if ('missing' in installed) throw new Error(installed.missing);
  const folder = memoryFolder(t, 'azurite');
  const args = ['--blobHost', '127.0.0.1', '--blobPort', '0', '--location', folder, '--silent', '--disableTelemetry'];
  const child = spawn(process.execPath, [join(installed.path, PROGRAM), ...args, '--skipApiVersionCheck', ...extra], {
    env: { PATH: process.env['PATH'] ?? '', AZURITE_ACCOUNTS: `${ACCOUNT}:${ACCOUNT_KEY}` },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => void child.kill('SIGKILL'));
  const port = await portOf(child);
  const endpoint = `http://127.0.0.1:${port}/${ACCOUNT}`;
  const { BlobServiceClient, StorageSharedKeyCredential } = await import('@azure/storage-blob');
  const service = new BlobServiceClient(endpoint, new StorageSharedKeyCredential(ACCOUNT, ACCOUNT_KEY));
  return {
    endpoint,
    port,
    account: ACCOUNT,
    accountKey: ACCOUNT_KEY,
    async createContainer(name) {
      await service.createContainer(name);
    },
    async deleteContainer(name) {
      await service.deleteContainer(name);
    },
  };
}

async function portOf(child: ReturnType<typeof spawn>): Promise<number> {
  let said = '';
  const failed = once(child, 'exit').then(() => {
    throw new Error(`azurite ended before it was ready: ${said}`);
  });
  const ready = new Promise<number>((resolve) => {
    child.stdout?.on('data', (bytes: Buffer) => {
      said += bytes.toString();
      const port = READY.exec(said)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
  });
  failed.catch(() => undefined); // a test that ends kills it
  return Promise.race([ready, failed]);
}
