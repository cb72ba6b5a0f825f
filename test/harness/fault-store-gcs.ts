// fake-gcs-server behind the fault proxy.
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { openGcsStorage } from '../../repo-format/blob/gcs.ts';
import { FaultProxy } from './fault-proxy.ts';
import type { Adapter, FaultStore, OpenLimits, StoreAnswers } from './fault-store.ts';
import { startGcsServer } from './gcs-server.ts';
import type { Answer } from './proxy-faults.ts';

const signal = new AbortController().signal;

const refusal = (status: number, reason: string, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify({ error: { code: status, message: 'planned', errors: [{ reason }] } }),
});

const ANSWERS: StoreAnswers = {
  busy: (seconds) => refusal(503, 'rateLimitExceeded', seconds === undefined ? {} : { 'retry-after': String(seconds) }),
  expired: refusal(401, 'authError'),
  denied: refusal(403, 'forbidden'),
};

export async function startGcsFaultStore(): Promise<FaultStore> {
  const server = await startGcsServer();
  const proxy = await FaultProxy.start({ target: server.endpoint });
  let buckets = 0;
  const open = (bucket: string, prefix: string, endpoint: string, limits: OpenLimits): Promise<Adapter> =>
    openGcsStorage(
      { bucket, prefix, endpoint, anonymous: true, ...limits },
      { clock: systemClock, random: systemRandom },
    );
  return {
    proxy,
    answers: ANSWERS,
    async createBucket() {
      const name = `faults-${++buckets}`;
      await server.createBucket(name);
      return name;
    },
    async deleteBucket(bucket) {
      const direct = await open(bucket, '', server.endpoint, {});
      for await (const blob of direct.listBlobs('', signal)) await direct.deleteBlob(blob.id, signal);
      await direct.close();
      await server.deleteBucket(bucket);
    },
    open: (bucket, prefix, limits = {}) => open(bucket, prefix, proxy.url, limits),
    openDirectly: (bucket, prefix, endpoint = server.endpoint, limits = {}) => open(bucket, prefix, endpoint, limits),
    async putObject(bucket, key, bytes) {
      const place = `${server.endpoint}/upload/storage/v1/b/${bucket}/o?uploadType=media&name=${encodeURIComponent(key)}`;
      const answer = await fetch(place, { method: 'POST', body: Buffer.from(bytes) });
      if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
      await answer.arrayBuffer();
    },
    async stop() {
      await proxy.close();
      await server.stop();
    },
  };
}
