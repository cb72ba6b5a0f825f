// versitygw behind the fault proxy.
import { systemClock } from '../../base/clock.ts';
import { openS3Storage } from '../../repo-format/blob/s3.ts';
import type { BlobStorage } from '../../repo-format/blob/storage.ts';
import { FaultProxy } from './fault-proxy.ts';
import type { FaultStore, OpenLimits, StoreAnswers } from './fault-store.ts';
import type { Answer } from './proxy-faults.ts';
import { startS3Server } from './s3-server.ts';

const signal = new AbortController().signal;

const refusal = (status: number, code: string, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  headers: { 'content-type': 'application/xml', ...headers },
  body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>planned</Message></Error>`,
});

const ANSWERS: StoreAnswers = {
  busy: (seconds) => refusal(503, 'SlowDown', seconds === undefined ? {} : { 'retry-after': String(seconds) }),
  expired: refusal(400, 'ExpiredToken'),
  denied: refusal(403, 'AccessDenied'),
  // An hour away: the library sets its clock by this and signs anew, which the server, whose clock is right, refuses.
  skewed: refusal(403, 'RequestTimeTooSkewed', { date: new Date(Date.now() + 3_600_000).toUTCString() }),
};

export async function startS3FaultStore(): Promise<FaultStore> {
  const server = await startS3Server();
  const proxy = await FaultProxy.start({ target: server.endpoint });
  let buckets = 0;
  const open = (bucket: string, prefix: string, more: object): Promise<BlobStorage> =>
    openS3Storage({ ...server.optionsFor(bucket, prefix), ...more }, { clock: systemClock }, signal);
  return {
    proxy,
    answers: ANSWERS,
    async createBucket() {
      const name = `faults-${++buckets}`;
      await server.createBucket(name);
      return name;
    },
    async deleteBucket(bucket) {
      const direct = await open(bucket, '', {});
      for await (const blob of direct.listBlobs('', signal)) await direct.deleteBlob(blob.id, signal);
      await direct.close();
      const { DeleteBucketCommand } = await import('@aws-sdk/client-s3');
      await server.client.send(new DeleteBucketCommand({ Bucket: bucket }));
    },
    open: (bucket, prefix, limits: OpenLimits = {}) => open(bucket, prefix, { endpoint: proxy.url, ...limits }),
    openDirectly: (bucket, prefix, endpoint = server.endpoint, limits = {}) =>
      open(bucket, prefix, { endpoint, ...limits }),
    async putObject(bucket, key, bytes) {
      const { PutObjectCommand } = await import('@aws-sdk/client-s3');
      await server.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
    },
    async stop() {
      await proxy.close();
      await server.stop();
    },
  };
}
