import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ReadTree } from '../../mover/index.ts';
import { requireReadable } from './unreadable.ts';

const place = { root: '/host_pods', names: ['uid', 'volumes', 'kubernetes.io~csi', 'pv-1', 'mount'] };

function read(files: number, ...codes: readonly string[]): ReadTree {
  const errors = codes.map((code, i) => ({ path: `dir/file-${i}`, code, message: `open: ${code}` }));
  return { files, errors } as unknown as ReadTree; // of each error only what is looked at
}

const many = (count: number, code: string): string[] => Array.from({ length: count }, () => code);

type Verdict = 'fine' | 'VOLUME_IO_ERROR' | 'VOLUME_UNREADABLE_FILES';
const ROWS: readonly (readonly [string, ReadTree, Verdict, Verdict])[] = [
  ['all was read', read(100), 'fine', 'fine'],
  ['an empty volume', read(0), 'fine', 'fine'],
  ['one file of many', read(99, 'EACCES'), 'fine', 'VOLUME_UNREADABLE_FILES'],
  ['a bad sector', read(99, 'EIO'), 'fine', 'VOLUME_UNREADABLE_FILES'],
  ['ten bad sectors', read(99, ...many(10, 'EIO')), 'fine', 'VOLUME_UNREADABLE_FILES'],
  ['a bad disk', read(99, ...many(11, 'EIO')), 'VOLUME_IO_ERROR', 'VOLUME_IO_ERROR'],
  ['many files that are closed to all', read(1, ...many(500, 'EACCES')), 'fine', 'VOLUME_UNREADABLE_FILES'],
  ['nothing at all was read', read(0, 'EACCES'), 'VOLUME_IO_ERROR', 'VOLUME_IO_ERROR'],
  ['a server that forgot the volume', read(99, 'EACCES', 'ESTALE'), 'VOLUME_IO_ERROR', 'VOLUME_IO_ERROR'],
  ['a file system program that has ended', read(99, 'ENOTCONN'), 'VOLUME_IO_ERROR', 'VOLUME_IO_ERROR'],
  ['a device that was pulled', read(99, 'ENODEV'), 'VOLUME_IO_ERROR', 'VOLUME_IO_ERROR'],
  ['a server that does not answer', read(99, 'ETIMEDOUT'), 'VOLUME_IO_ERROR', 'VOLUME_IO_ERROR'],
];

describe('what could not be read', () => {
  for (const [what, tree, report, fail] of ROWS) {
    test(what, () => {
      for (const [rule, code] of [
        ['report', report],
        ['fail', fail],
      ] as const) {
        if (code === 'fine') requireReadable(place, tree, rule);
        else assert.throws(() => requireReadable(place, tree, rule), { code, retry: 'never' });
      }
    });
  }
});

test('the message names the volume and the failure that decided', () => {
  assert.throws(() => requireReadable(place, read(9, 'EACCES', 'ESTALE'), 'report'), {
    message:
      'the volume at /host_pods/uid/volumes/kubernetes.io~csi/pv-1/mount cannot be read: 2 failures, for example dir/file-1: ESTALE',
  });
});
