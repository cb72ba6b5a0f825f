// The S3 server of a cluster (versitygw): its buckets are folders of the run.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { NODE_ADDRESS } from './holder.ts';
import type { Inside } from './inside.ts';
import { waitFor } from './wait.ts';

const NAME = 'versitygw';
const PORT = 7070;

export const STORE_KEYS = { accessKeyId: 'test-access', secretAccessKey: 'test-secret-key-0123456789' };
export const STORE_URL = `http://${NODE_ADDRESS}:${PORT}`;

export async function startObjectStore(inside: Inside, program: string): Promise<void> {
  for (const folder of ['s3', 's3-users']) mkdirSync(join(inside.folder, folder), { recursive: true });
  await inside.start(
    NAME,
    [
      program,
      '--port',
      `${NODE_ADDRESS}:${PORT}`,
      '--quiet',
      '--health',
      '/healthz',
      '--keep-alive',
      '--iam-dir',
      join(inside.folder, 's3-users'),
      '--iam-cache-disable',
      'posix',
      join(inside.folder, 's3'),
    ],
    {
      ROOT_ACCESS_KEY: STORE_KEYS.accessKeyId,
      ROOT_SECRET_KEY: STORE_KEYS.secretAccessKey,
      VGW_REGION: 'us-east-1',
    },
  );
  await whenListening(inside);
}

/** A new bucket, or the one there is; answers the folder that holds its objects as files. */
export function makeBucket(inside: Inside, name: string): string {
  const folder = join(inside.folder, 's3', name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Nobody listens any more: connections are refused until it is started again. */
export function stopObjectStore(inside: Inside): Promise<void> {
  return inside.kill(NAME);
}

export async function restartObjectStore(inside: Inside): Promise<void> {
  await inside.restart(NAME);
  await whenListening(inside);
}

/** The credentials file as providers' tools read it. */
export function credentialsText(
  keys: { readonly accessKeyId: string; readonly secretAccessKey: string } = STORE_KEYS,
): string {
  return `[default]\naws_access_key_id=${keys.accessKeyId}\naws_secret_access_key=${keys.secretAccessKey}\n`;
}

async function whenListening(inside: Inside): Promise<void> {
  await waitFor('the S3 server', async () => {
    const asked = await inside.run(['bash', '-c', `exec 3<>/dev/tcp/${NODE_ADDRESS}/${PORT}`], { timeoutMs: 10_000 });
    return asked.code === 0 ? true : undefined;
  });
}
