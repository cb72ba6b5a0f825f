// Fingerprints of entries and directories: whatever tells two versions of a file apart makes them differ.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StatRecord } from '../posix/libc.ts';
import {
  addFingerprint,
  directoryFingerprint,
  directorySeed,
  entryFingerprint,
  type Fingerprint,
} from './change-hints.ts';

const NAME = Buffer.from('file');
const FILE: Partial<StatRecord> = {
  mode: 0o100644,
  uid: 10,
  gid: 20,
  size: 5,
  inoLow: 7,
  dev: 3,
  mtimeSeconds: 100,
  mtimeNanoseconds: 8,
  ctimeSeconds: 100,
  ctimeNanoseconds: 8,
};

function entryOf(fields: Partial<StatRecord>): Fingerprint {
  const out = { low: 0, high: 0 };
  entryFingerprint(directorySeed('d'), NAME, 0, NAME.length, Object.assign(new StatRecord(), FILE, fields), out);
  return out;
}

function directoryOf(fields: Partial<StatRecord>): Fingerprint {
  const sum = { low: 0, high: 0 };
  addFingerprint(sum, entryOf(fields));
  const out = { low: 0, high: 0 };
  directoryFingerprint(directorySeed('d'), 1, sum, new StatRecord(), out);
  return out;
}

// Some file systems give their change time out for their modification time, or have none: a directory then stands for
// itself only as far as kopia's rule would let each of its files.
const DIFFERENCES: Partial<StatRecord>[] = [
  { size: 6 },
  { size: 5 + 2 ** 32 },
  { mtimeSeconds: 101 },
  { mtimeNanoseconds: 9 },
  { mode: 0o100600 },
  { uid: 11 },
  { gid: 21 },
  { dev: 4 },
  { inoLow: 8 },
  { inoHigh: 1 },
  { ctimeSeconds: 101 },
  { ctimeNanoseconds: 9 },
];

for (const difference of DIFFERENCES) {
  test(`a file with another ${Object.entries(difference).join(' ')} has another fingerprint, and so has its directory`, () => {
    assert.notDeepEqual(entryOf(difference), entryOf({}));
    assert.notDeepEqual(directoryOf(difference), directoryOf({}));
  });
}
