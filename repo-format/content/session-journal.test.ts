import assert from 'node:assert/strict';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { memoryFolder } from '../../test/harness/scratch.ts';
import type { BlobId } from '../blob/storage.ts';
import type { SessionId } from './session.ts';
import {
  type JournalContents,
  journalKey,
  type JournalRecord,
  readJournals,
  SessionJournal,
} from './session-journal.ts';

const KEY = journalKey(new Uint8Array(32).fill(1), new Uint8Array(32).fill(2));
const HEADER = {
  repositoryId: 'repository',
  sessionId: 's0123' as SessionId,
  markerId: 'sabc-s0123' as BlobId,
  owner: 'process 7',
};

function recordOf(number: number): JournalRecord {
  return {
    packId: `p${number}-s0123` as BlobId,
    length: 2 ** 33 + number,
    storedAtMs: 1_795_000_000_000.5,
    rowCount: number,
    rows: new Uint8Array(number * 38).fill(number),
  };
}

const RECORDS = [1, 0, 3].map(recordOf);

function writeJournal(t: TestContext): { folder: string; path: string } {
  const folder = join(memoryFolder(t, 'journal'), 'made', 'on demand');
  const journal = SessionJournal.create(folder, HEADER, KEY);
  for (const record of RECORDS) journal.append(record);
  assert.equal(journal.recordCount, RECORDS.length);
  journal.close();
  return { folder, path: journal.path };
}

function read(folder: string, key = KEY, repositoryId = HEADER.repositoryId): JournalContents[] {
  return readJournals(folder, { repositoryId, isWanted: () => true }, key);
}

test('a journal comes back as it was written', (t) => {
  const { folder, path } = writeJournal(t);
  assert.deepEqual(read(folder), [{ path, header: HEADER, records: RECORDS }]);
});

test('journals of other repositories, of living owners and under other keys are left alone', (t) => {
  const { folder } = writeJournal(t);
  assert.deepEqual(read(folder, KEY, 'another'), []);
  assert.deepEqual(read(folder, journalKey(new Uint8Array(32), new Uint8Array(32))), []);
  const owners: string[] = [];
  const isWanted = ({ owner }: { owner: string }): boolean => owners.push(owner) === 0;
  assert.deepEqual(readJournals(folder, { repositoryId: HEADER.repositoryId, isWanted }, KEY), []);
  assert.deepEqual(owners, [HEADER.owner]);
  assert.equal(readdirSync(folder).length, 1);
});

test('no folder is no journals', (t) => {
  assert.deepEqual(read(join(memoryFolder(t, 'journal'), 'none')), []);
});

test('a torn journal is read up to the tear', (t) => {
  const { folder, path } = writeJournal(t);
  const bytes = readFileSync(path);
  let most = RECORDS.length;
  for (let length = bytes.length; length >= 0; length--) {
    truncateSync(path, length);
    const records = read(folder)[0]?.records ?? [];
    assert.ok(records.length <= most, `${length} bytes: ${records.length} records`);
    assert.deepEqual(records, RECORDS.slice(0, records.length));
    most = records.length;
  }
  assert.equal(most, 0);
});

test('an altered record ends the reading, whatever follows', (t) => {
  const { folder, path } = writeJournal(t);
  const bytes = readFileSync(path);
  for (let at = 0; at < bytes.length; at++) {
    const altered = Buffer.from(bytes);
    altered[at] = (altered[at] ?? 0) ^ 0x10;
    writeFileSync(path, altered);
    const [found] = read(folder);
    if (found === undefined) continue;
    assert.deepEqual(found.header, HEADER);
    assert.ok(found.records.length < RECORDS.length, `byte ${at}`);
    assert.deepEqual(found.records, RECORDS.slice(0, found.records.length));
  }
});

test('records cannot change places', (t) => {
  const { folder, path } = writeJournal(t);
  const bytes = readFileSync(path);
  const spans: Buffer[] = [];
  const start = bytes.indexOf('\n') + 1;
  for (let at = start; at < bytes.length;) {
    const end = at + 4 + bytes.readUInt32LE(at) + 32;
    spans.push(bytes.subarray(at, end));
    at = end;
  }
  const [header, first, second, third] = spans;
  assert.ok(header !== undefined && first !== undefined && second !== undefined && third !== undefined);
  writeFileSync(path, Buffer.concat([bytes.subarray(0, start), header, second, first, third]));
  assert.deepEqual(read(folder)[0]?.records, []);
});

test('a removed journal is gone, twice too', (t) => {
  const folder = memoryFolder(t, 'journal');
  const journal = SessionJournal.create(folder, HEADER, KEY);
  journal.remove();
  journal.remove();
  SessionJournal.discard(journal.path);
  assert.deepEqual(readdirSync(folder), []);
});

test('a session has one journal', (t) => {
  const { folder } = writeJournal(t);
  assert.throws(() => SessionJournal.create(folder, HEADER, KEY), { code: 'EEXIST' });
  assert.equal(read(folder)[0]?.records.length, RECORDS.length);
});
