import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import { directory, fifo, file, socket, sparseFile, symlink, tree } from '../../test/harness/tree.ts';
import { ACL_ACCESS, ACL_DEFAULT, aclForUser } from '../../test/harness/tree-attributes.ts';
import {
  AT_FDCWD,
  O_DIRECTORY,
  O_RDONLY,
  O_RDWR,
  StatRecord,
  check,
  close,
  fstat,
  fsetxattr,
  ftruncate,
  openat,
} from '../posix/libc.ts';
import { overrideXattrat } from '../posix/xattr.ts';
import { dataExtents, forEachExtent, mayHaveHoles } from './holes.ts';
import { type Xattr, hasNoXattrs, hasNoXattrsAt, readXattrs, readXattrsAt } from './xattrs.ts';

const linux = process.platform === 'linux';
const skip = linux ? false : 'needs Linux system calls';
const skipUnlessRoot = linux && process.geteuid?.() === 0 ? false : 'needs root on Linux';

function openPath(path: string, flags = O_RDONLY): number {
  return check(openat(AT_FDCWD, path, flags), 'openat', path);
}

function shown(xattrs: readonly Xattr[] | undefined): Record<string, string> | undefined {
  if (xattrs === undefined) return undefined;
  return Object.fromEntries(
    xattrs.map(({ name, value }) => [Buffer.from(name).toString(), Buffer.from(value).toString()]),
  );
}

test('attributes come sorted, with empty and binary values, and none is undefined', { skip }, (t) => {
  const root = tree({
    f: file('x', { xattrs: { 'user.z': 'last', 'user.a': '', 'user.ü': 'umlaut' } }),
    plain: file('y'),
    d: directory({ xattrs: { 'user.dir': 'yes' } }),
  }).temporary(t);
  const dirFd = openPath(root, O_RDONLY | O_DIRECTORY);
  const fd = openPath(`${root}/f`);
  const expected = { 'user.a': '', 'user.z': 'last', 'user.ü': 'umlaut' };
  assert.deepEqual(shown(readXattrs(fd)), expected);
  assert.deepEqual(shown(readXattrsAt(dirFd, 'f')), expected);
  assert.deepEqual(Object.keys(shown(readXattrs(fd)) ?? {}), Object.keys(expected));
  assert.deepEqual(shown(readXattrsAt(dirFd, 'd')), { 'user.dir': 'yes' });
  assert.equal(readXattrsAt(dirFd, 'plain'), undefined);
  assert.deepEqual([hasNoXattrsAt(dirFd, 'plain'), hasNoXattrsAt(dirFd, 'f'), hasNoXattrs(fd)], [true, false, false]);
  assert.throws(
    () => readXattrsAt(dirFd, 'missing', 'missing'),
    (error) => hasCode(error, 'ENOENT'),
  );
  close(fd);
  close(dirFd);
});

test(
  'links, FIFOs and sockets are asked themselves, without being followed or opened',
  { skip: skipUnlessRoot },
  (t) => {
    const root = tree({
      f: file('x', { xattrs: { 'user.on': 'the file' } }),
      link: symlink('f', { xattrs: { 'trusted.on': 'the link' } }),
      dangling: symlink('nowhere'),
      pipe: fifo({ xattrs: { 'trusted.on': 'the pipe' } }),
      door: socket(),
      shared: directory({ mode: 0o750, xattrs: { [ACL_DEFAULT]: aclForUser(77, 7) } }),
      acl: file('', { mode: 0o640, xattrs: { [ACL_ACCESS]: aclForUser(77, 4) } }),
    }).temporary(t);
    const dirFd = openPath(root, O_RDONLY | O_DIRECTORY);
    t.after(() => {
      overrideXattrat(undefined);
      close(dirFd);
    });
    // Both ways of the kernel: the new calls where it has them, and /proc/self/fd.
    for (const missing of [undefined, true]) {
      overrideXattrat(missing);
      assert.deepEqual(shown(readXattrsAt(dirFd, 'link')), { 'trusted.on': 'the link' });
      assert.deepEqual(shown(readXattrsAt(dirFd, 'pipe')), { 'trusted.on': 'the pipe' });
      for (const name of ['dangling', 'door']) assert.equal(readXattrsAt(dirFd, name), undefined);
      assert.deepEqual(Buffer.from(readXattrsAt(dirFd, 'shared')?.[0]?.value ?? []), Buffer.from(aclForUser(77, 7)));
      assert.deepEqual(Buffer.from(readXattrsAt(dirFd, 'acl')?.[0]?.value ?? []), Buffer.from(aclForUser(77, 4)));
    }
  },
);

test('lists and values larger than the first buffers are read whole', { skip }, (t) => {
  const root = tree({ f: file('x') }).temporary(t);
  const fd = openPath(`${root}/f`, O_RDWR);
  t.after(() => close(fd));
  const value = Buffer.alloc(3000, 7);
  // File systems differ in how much they hold: as many as fit, but more than one list buffer if they can.
  let stored = 0;
  while (stored < 40 && fsetxattr(fd, `user.${'n'.repeat(90)}${stored}`, new Uint8Array(1)) === 0) stored++;
  assert.ok(stored > 0);
  assert.equal(readXattrs(fd)?.length, stored);
  if (fsetxattr(fd, 'user.large', value) === 0) {
    assert.deepEqual(Buffer.from(readXattrs(fd)?.find((x) => x.value.length > 1)?.value ?? []), value);
  }
});

test('extents cover all data and tell the holes', { skip }, (t) => {
  const size = 16 << 20;
  const root = tree({
    sparse: sparseFile(size, [
      [4 << 20, 'a'],
      [12 << 20, Buffer.alloc(1 << 20, 1)],
    ]),
    hole: sparseFile(size),
    full: file(Buffer.alloc(100_000, 1)),
    empty: file(''),
  }).temporary(t);
  const extentsOf = (name: string): number[] => {
    const fd = openPath(`${root}/${name}`);
    const stat = new StatRecord();
    check(fstat(fd, stat), 'fstat');
    const extents = [...dataExtents(fd, stat.size)];
    assert.equal(mayHaveHoles(stat), name === 'sparse' || name === 'hole', name);
    close(fd);
    return extents;
  };
  const sparse = extentsOf('sparse');
  assert.equal(sparse.length, 4);
  assert.ok((sparse[0] ?? 0) <= 4 << 20 && (sparse[1] ?? 0) > 4 << 20 && (sparse[1] ?? 0) < 5 << 20);
  assert.deepEqual(sparse.slice(2), [12 << 20, 13 << 20]);
  assert.deepEqual(extentsOf('hole'), []);
  assert.deepEqual(extentsOf('full'), [0, 100_000]);
  assert.deepEqual(extentsOf('empty'), []);
});

test('a file that shrank gives extents within the size that was asked for', { skip }, (t) => {
  const root = tree({ f: file(Buffer.alloc(50_000, 1)) }).temporary(t);
  const fd = openPath(`${root}/f`, O_RDWR);
  t.after(() => close(fd));
  check(ftruncate(fd, 10), 'ftruncate');
  const extents = [...dataExtents(fd, 50_000)];
  assert.equal(extents[0], 0);
  assert.ok(extents.every((at) => at <= 50_000));
  assert.deepEqual([...dataExtents(fd, 4)], [0, 4]);
});

test('where holes cannot be asked for, all is data; where the file is gone, the errno comes back', { skip }, () => {
  const pipe = openPath('/proc/self/mounts');
  const found: number[] = [];
  // procfs has no holes to tell of.
  assert.equal(
    forEachExtent(pipe, 10, (start, end) => found.push(start, end)),
    0,
  );
  assert.deepEqual(found, [0, 10]);
  close(pipe);
  assert.equal(
    forEachExtent(-1, 10, () => undefined),
    -9,
  );
  assert.deepEqual([...dataExtents(-1, 10)], [0, 10]);
});

test('more extents than the limit end in one that reaches to the end', { skip }, (t) => {
  const parts = Array.from({ length: 8 }, (_, i) => [i << 20, 'x'] as const);
  const root = tree({ f: sparseFile(8 << 20, parts) }).temporary(t);
  const fd = openPath(`${root}/f`);
  t.after(() => close(fd));
  assert.equal(dataExtents(fd, 8 << 20).length, 16);
  const limited = dataExtents(fd, 8 << 20, 3);
  assert.equal(limited.length, 6);
  assert.deepEqual([limited[4], limited[5]], [2 << 20, 8 << 20]);
});
