// What was tried on which server and how it must end. The tests of `test/stores/faults*` run every cell, and a test holds
// docs/storage-faults.md to this.
import { SERVERS, type ServerName } from './fault-store.ts';

/** `ok`: nobody notices but by the time it takes. A code: the one error it ends in. `none`: this kind of store knows no such thing. */
export type Outcome = 'ok' | 'none' | (string & {});

export interface FaultRow {
  readonly fault: string;
  readonly outcome: Outcome;
  /** Where a server differs. */
  readonly except?: Partial<Record<ServerName, Outcome>>;
  readonly remark?: string;
}

export const FAULTS = {
  contract: {
    fault: 'the contract suite while one request in four is answered 503 or broken off',
    outcome: 'ok',
  },
  storm: { fault: 'a storm of 503, three in a row for every request', outcome: 'ok' },
  retryAfter: { fault: '503 with `Retry-After`', outcome: 'ok', remark: 'waits at least as long as the store asks' },
  endlessStorm: { fault: 'a storm of 503 without end', outcome: 'BLOB_STORE_BUSY' },
  resetDown: { fault: 'connection reset in the middle of a body that is read', outcome: 'ok' },
  resetUp: { fault: 'connection reset in the middle of a body that is written', outcome: 'ok' },
  cut: { fault: 'a body that ends before its announced length', outcome: 'ok' },
  short: {
    fault: 'a range answered with a shorter body, announced as such',
    outcome: 'ok',
    remark: 'a whole blob that is shorter and announced so is found by the format, which authenticates it',
  },
  lostAnswer: {
    fault: 'a write that is done while its answer is lost',
    outcome: 'ok',
    remark: 'the write is repeated',
  },
  lostDelete: { fault: 'a deletion that is done while its answer is lost', outcome: 'ok' },
  refused: { fault: 'connections reset before anything is read', outcome: 'ok' },
  unreachable: { fault: 'a store that is gone', outcome: 'BLOB_STORE_UNAVAILABLE' },
  noConnection: {
    fault: 'connections that are neither accepted nor refused',
    outcome: 'BLOB_TIMEOUT',
    remark: 'ten seconds each',
  },
  slow: { fault: 'seconds until each answer, 150 requests at a time', outcome: 'ok' },
  stallDown: { fault: 'a body that is read stalls once', outcome: 'ok', remark: 'ended after a minute without a byte' },
  stallUp: { fault: 'a body that is written stalls once', outcome: 'ok', remark: 'as above' },
  stallHead: { fault: 'no answer comes, once', outcome: 'ok', remark: 'as above' },
  endlessStall: { fault: 'everything stalls', outcome: 'BLOB_TIMEOUT' },
  etag: {
    fault: 'a wrong ETag, in answers to reads and to writes',
    outcome: 'ok',
    remark: 'never looked at: what is written is checked by the store, what is read by the format',
  },
  rotated: { fault: 'credentials expire, and new ones are there', outcome: 'ok' },
  expired: { fault: 'credentials expire, and no new ones come', outcome: 'BLOB_CREDENTIALS_EXPIRED' },
  bucketDeleted: { fault: 'the bucket is deleted while the command runs', outcome: 'BLOB_BUCKET_MISSING' },
  manyKeys: {
    fault: 'a list of 1,200 keys whose pages fail in between',
    outcome: 'ok',
    remark: 'each blob is told exactly once',
  },
  oddKeys: {
    fault: 'foreign objects below the prefix: deeper folders, other names; and odd names of our own',
    outcome: 'ok',
    remark: 'foreign ones are left out',
  },
  skew: {
    fault: "the store says that this machine's clock is wrong",
    outcome: 'BLOB_CLOCK_SKEW',
    except: { 'fake-gcs': 'none' },
    remark: "S3's library sets its clock by the store first and tries once more; Google's requests carry no time",
  },
  noDelete: { fault: 'no permission to delete', outcome: 'BLOB_ACCESS_DENIED', remark: 'all else goes on' },
  readOnly: { fault: 'no permission to write', outcome: 'BLOB_ACCESS_DENIED', remark: 'reads go on' },
} as const satisfies Record<string, FaultRow>;

export type FaultName = keyof typeof FAULTS;

export function outcomeOf(name: FaultName, server: ServerName): Outcome {
  const row: FaultRow = FAULTS[name];
  return row.except?.[server] ?? row.outcome;
}

/** The table of docs/storage-faults.md. */
export function matrixTable(): string[] {
  const cell = (outcome: Outcome): string =>
    outcome === 'ok' ? 'goes on' : outcome === 'none' ? '—' : `\`${outcome}\``;
  return [
    `| Fault | ${SERVERS.join(' | ')} | Remark |`,
    `| --- | ${SERVERS.map(() => '---').join(' | ')} | --- |`,
    ...Object.entries(FAULTS).map(([name, row]: [string, FaultRow]) => {
      // The names are the table's own.
      const cells = SERVERS.map((server) => cell(outcomeOf(name as FaultName, server)));
      return `| ${row.fault} | ${cells.join(' | ')} | ${row.remark ?? ''} |`;
    }),
  ];
}
