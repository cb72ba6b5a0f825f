import assert from 'node:assert/strict';
import { lstatSync, mkdtempSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { hasCode } from '../../base/errors.ts';
import { removeTree } from '../../test/harness/tree.ts';
import * as libc from './libc.ts';

const linux = process.platform === 'linux';
const skip = linux ? false : 'needs Linux system calls';
const skipUnlessRoot = linux && process.geteuid?.() === 0 ? false : 'needs root on Linux';

/** The project's types leave WebAssembly out, because they come with the browser's. */
function webAssemblyMemory(): ArrayBuffer {
  const { WebAssembly } = globalThis as unknown as {
    WebAssembly: { Memory: new (limits: { initial: number }) => { buffer: ArrayBuffer } };
  };
  return new WebAssembly.Memory({ initial: 1 }).buffer;
}

interface Scratch {
  readonly root: string;
  readonly fd: number;
}

function scratch(t: TestContext): Scratch {
  const root = mkdtempSync(path.join(os.tmpdir(), 'windlass-libc-'));
  const fd = libc.check(libc.openat(libc.AT_FDCWD, root, libc.O_RDONLY | libc.O_DIRECTORY), 'openat', root);
  t.after(() => {
    libc.close(fd);
    removeTree(root);
  });
  return { root, fd };
}

function create({ fd }: Scratch, name: string | Uint8Array, mode = 0o644): number {
  return libc.check(libc.openat(fd, name, libc.O_RDWR | libc.O_CREAT | libc.O_EXCL, mode), 'openat', name);
}

test('statAt answers what fs.lstat answers', { skip }, (t) => {
  const s = scratch(t);
  writeFileSync(`${s.root}/f`, 'hello', { mode: 0o640 });
  libc.symlinkat('f', s.fd, 'link');
  const stat = new libc.StatRecord();
  for (const name of ['f', 'link', '.', '/dev/null', '/proc/self/mounts']) {
    assert.equal(libc.statAt(s.fd, name, stat), 0);
    const expected = lstatSync(path.resolve(s.root, name), { bigint: true });
    assert.deepEqual([stat.mode, stat.uid, stat.gid, stat.nlink, stat.size, stat.dev].map(BigInt), [
      expected.mode,
      expected.uid,
      expected.gid,
      expected.nlink,
      expected.size,
      expected.dev,
    ]);
    assert.equal(libc.inodeText(stat), String(expected.ino));
    assert.equal(BigInt(stat.blocks), expected.blocks);
    assert.equal(libc.mtimeNs(stat), expected.mtimeNs);
    assert.equal(BigInt(stat.ctimeSeconds) * 1_000_000_000n + BigInt(stat.ctimeNanoseconds), expected.ctimeNs);
    assert.equal(BigInt(libc.makeDevice(stat.rdevMajor, stat.rdevMinor)), expected.rdev);
  }
  const opened = new libc.StatRecord();
  libc.statAtFollowing(s.fd, 'link', stat);
  const fd = libc.openat(s.fd, 'f', libc.O_RDONLY);
  libc.fstat(fd, opened);
  libc.close(fd);
  assert.ok(libc.sameFile(stat, opened) && libc.sameVersion(stat, opened) && opened.isRegular);
  libc.statAt(s.fd, '.', opened);
  assert.ok(!libc.sameFile(stat, opened) && opened.isDirectory);
});

test('times are exact to the nanosecond, before 1970 and after 2106', { skip }, (t) => {
  const s = scratch(t);
  const fd = create(s, 'f');
  const stat = new libc.StatRecord();
  const times: readonly [number, number][] = [
    [0, 1],
    [-1, 999_999_999],
    [-2_000_000_000, 5],
    [4_294_967_296, 123_456_789],
    [10_000_000_000, 0],
  ];
  for (const [seconds, nanoseconds] of times) {
    assert.equal(libc.futimens(fd, seconds, nanoseconds), 0);
    libc.fstat(fd, stat);
    assert.deepEqual([stat.mtimeSeconds, stat.mtimeNanoseconds], [seconds, nanoseconds]);
    assert.equal(libc.utimensat(s.fd, 'f', seconds + 1, nanoseconds), 0);
    libc.statAt(s.fd, 'f', stat);
    assert.deepEqual([stat.mtimeSeconds, stat.mtimeNanoseconds], [seconds + 1, nanoseconds]);
  }
  libc.close(fd);
});

test('names are bytes: any but NUL and slash, with or without a NUL at the end', { skip }, (t) => {
  const s = scratch(t);
  const name = Uint8Array.from([0xff, 0x20, 0x0a, 0xe9]);
  libc.close(create(s, name));
  assert.deepEqual(
    readdirSync(s.root, { encoding: 'buffer' }).map((b) => [...b]),
    [[...name]],
  );
  const stat = new libc.StatRecord();
  assert.equal(libc.statAt(s.fd, Uint8Array.from([...name, 0]), stat), 0);
  libc.close(create(s, 'n'.repeat(255)));
  libc.close(create(s, 'ü\u{1f600}'));
  assert.equal(libc.statAt(s.fd, 'ü\u{1f600}', stat), 0);
  assert.equal(libc.statAt(s.fd, 'n'.repeat(256), stat), -libc.ENAMETOOLONG);
  assert.equal(libc.statAt(s.fd, 'n/'.repeat(3000), stat), -libc.ENAMETOOLONG);
  assert.equal(libc.statAt(s.fd, 'é'.repeat(3000), stat), -libc.ENAMETOOLONG);
  assert.equal(libc.statAt(s.fd, '', stat), -libc.ENOENT);
});

test('a NUL inside a name never cuts it short', { skip }, (t) => {
  const s = scratch(t);
  libc.close(create(s, 'a'));
  const stat = new libc.StatRecord();
  for (const name of ['a\0b', Uint8Array.from([0x61, 0, 0x62]), Uint8Array.from([0x61, 0, 0])]) {
    assert.equal(libc.statAt(s.fd, name, stat), -libc.EINVAL);
    assert.equal(libc.unlinkat(s.fd, name), -libc.EINVAL);
    assert.equal(libc.renameat(s.fd, 'a', s.fd, name), -libc.EINVAL);
  }
  assert.deepEqual(readdirSync(s.root), ['a']);
});

test('entries are made, linked, renamed and removed', { skip }, (t) => {
  const s = scratch(t);
  assert.equal(libc.mkdirat(s.fd, 'd', 0o700), 0);
  assert.equal(libc.mkdirat(s.fd, 'd', 0o700), -libc.EEXIST);
  libc.close(create(s, 'f'));
  assert.equal(libc.linkat(s.fd, 'f', s.fd, 'd/g'), 0);
  assert.equal(statSync(`${s.root}/f`).nlink, 2);
  assert.equal(libc.symlinkat('../somewhere', s.fd, 'd/link'), 0);
  assert.deepEqual(libc.readlinkat(s.fd, 'd/link'), Uint8Array.from(Buffer.from('../somewhere')));
  assert.equal(libc.readlinkat(s.fd, 'f'), -libc.EINVAL);
  assert.equal(libc.readlinkInto(s.fd, 'd/link', new Uint8Array(4)), 4);
  assert.equal(libc.mknodat(s.fd, 'pipe', libc.S_IFIFO | 0o600), 0);
  assert.equal(lstatSync(`${s.root}/pipe`).isFIFO(), true);
  assert.equal(libc.renameat(s.fd, 'd/g', s.fd, 'h'), 0);
  assert.equal(libc.renameat2(s.fd, 'h', s.fd, 'f', libc.RENAME_NOREPLACE), -libc.EEXIST);
  assert.equal(libc.unlinkat(s.fd, 'd', libc.AT_REMOVEDIR), -libc.ENOTEMPTY);
  assert.equal(libc.unlinkat(s.fd, 'd'), -libc.EISDIR);
  for (const name of ['d/link', 'f', 'h', 'pipe']) assert.equal(libc.unlinkat(s.fd, name), 0);
  assert.equal(libc.unlinkat(s.fd, 'd', libc.AT_REMOVEDIR), 0);
  assert.deepEqual(readdirSync(s.root), []);
});

test('permission bits are set without following links', { skip }, (t) => {
  const s = scratch(t);
  const fd = create(s, 'f');
  assert.equal(libc.fchmod(fd, 0o4711), 0);
  assert.equal(statSync(`${s.root}/f`).mode & 0o7777, 0o4711);
  libc.close(fd);
  libc.mknodat(s.fd, 'pipe', libc.S_IFIFO | 0o600);
  assert.equal(libc.fchmodat(s.fd, 'pipe', 0o622), 0);
  assert.equal(lstatSync(`${s.root}/pipe`).mode & 0o7777, 0o622);
  libc.symlinkat('f', s.fd, 'link');
  assert.equal(libc.fchmodat(s.fd, 'link', 0o777), -libc.EOPNOTSUPP);
  assert.equal(statSync(`${s.root}/f`).mode & 0o7777, 0o4711);
});

test('owners and device numbers', { skip: skipUnlessRoot }, (t) => {
  const s = scratch(t);
  const fd = create(s, 'f');
  libc.symlinkat('f', s.fd, 'link');
  assert.equal(libc.fchown(fd, 4_000_000_000, 12), 0);
  assert.equal(libc.fchownat(s.fd, 'link', 13, 14), 0);
  libc.close(fd);
  assert.deepEqual([statSync(`${s.root}/f`).uid, statSync(`${s.root}/f`).gid], [4_000_000_000, 12]);
  assert.deepEqual([lstatSync(`${s.root}/link`).uid, lstatSync(`${s.root}/link`).gid], [13, 14]);
  const stat = new libc.StatRecord();
  for (const [major, minor] of [
    [1, 3],
    [4095, 1_048_575],
    [259, 300],
  ] as const) {
    libc.unlinkat(s.fd, 'node');
    assert.equal(libc.mknodat(s.fd, 'node', libc.S_IFCHR | 0o600, major, minor), 0);
    libc.statAt(s.fd, 'node', stat);
    assert.deepEqual([stat.rdevMajor, stat.rdevMinor], [major, minor]);
  }
});

test('data is read and written at offsets, into part of an array, and into WebAssembly memory', { skip }, (t) => {
  const s = scratch(t);
  const fd = create(s, 'f');
  assert.equal(libc.pwriteFrom(fd, Buffer.from('..hello'), 2, 5, 3), 5);
  assert.deepEqual(readFileSync(`${s.root}/f`), Buffer.from('\0\0\0hello'));
  for (const memory of [new ArrayBuffer(64), webAssemblyMemory(), new SharedArrayBuffer(64)]) {
    const buffer = new Uint8Array(memory);
    assert.equal(libc.readInto(fd, buffer, 10, 20, 4), 4);
    assert.equal(Buffer.from(buffer.slice(9, 15)).toString('latin1'), '\0ello\0');
    assert.equal(libc.readInto(fd, buffer, 0, 10, 8), 0);
  }
  const view = new Uint8Array(new ArrayBuffer(32), 8, 8);
  assert.equal(libc.readFully(fd, view, 0, 8, 3), 5);
  assert.equal(libc.readInto(fd, view, 0, 9, 0), -libc.EINVAL);
  assert.equal(libc.readInto(fd, view, -1, 2, 0), -libc.EINVAL);
  assert.equal(libc.pwriteFrom(fd, view, 5, 4, 0), -libc.EINVAL);
  assert.equal(libc.lseek(fd, 3, libc.SEEK_SET), 3);
  assert.equal(libc.readInto(fd, view, 0, 2, -1), 2);
  assert.equal(libc.readAt(fd, libc.addressOf(view), 2, -1), 2);
  assert.equal(Buffer.from(view.subarray(0, 2)).toString(), 'll');
  libc.close(fd);
  assert.equal(libc.readInto(fd, view, 0, 1, 0), -libc.EBADF);
});

test('sizes, holes, flushes, hints and locks', { skip }, (t) => {
  const s = scratch(t);
  const fd = create(s, 'f');
  assert.equal(libc.ftruncate(fd, 5_000_000_000), 0);
  assert.equal(libc.lseek(fd, 0, libc.SEEK_END), 5_000_000_000);
  assert.equal(libc.lseek(fd, 0, libc.SEEK_DATA), -libc.ENXIO);
  assert.equal(libc.pwriteFrom(fd, Buffer.from('x'), 0, 1, 4_999_999_999), 1);
  assert.ok(libc.lseek(fd, 0, libc.SEEK_DATA) > 4_999_000_000);
  const punched = libc.fallocate(fd, libc.FALLOC_FL_PUNCH_HOLE | libc.FALLOC_FL_KEEP_SIZE, 4_999_000_000, 1_000_000);
  assert.ok(punched === 0 || punched === -libc.EOPNOTSUPP);
  for (const flush of [libc.fsync, libc.fdatasync]) assert.equal(flush(fd), 0);
  assert.equal(libc.syncfs(s.fd), 0);
  libc.fadvise(fd, 0, 0, libc.POSIX_FADV_SEQUENTIAL);
  const other = libc.openat(s.fd, 'f', libc.O_RDONLY);
  assert.equal(libc.flock(fd, libc.LOCK_EX | libc.LOCK_NB), 0);
  assert.equal(libc.flock(other, libc.LOCK_EX | libc.LOCK_NB), -libc.EAGAIN);
  assert.equal(libc.flock(fd, libc.LOCK_UN), 0);
  assert.equal(libc.flock(other, libc.LOCK_SH | libc.LOCK_NB), 0);
  libc.close(fd);
  libc.close(other);
  assert.ok(libc.openFileLimit() >= 64);
});

test('a confined open never leaves its directory and follows no link', { skip }, (t) => {
  const s = scratch(t);
  if (!libc.hasOpenat2()) {
    t.skip('no openat2 in this kernel');
    return;
  }
  libc.mkdirat(s.fd, 'd', 0o755);
  libc.symlinkat('d', s.fd, 'link');
  libc.symlinkat('/etc', s.fd, 'd/out');
  const open = (name: string): number => libc.openat2(s.fd, name, libc.O_RDONLY, 0, libc.RESOLVE_CONFINED);
  const fd = open('d');
  assert.ok(fd >= 0);
  libc.close(fd);
  for (const name of ['link', 'link/x', 'd/out', 'd/out/passwd']) assert.equal(open(name), -libc.ELOOP, name);
  for (const name of ['/etc', '..', 'd/../../x']) assert.equal(open(name), -libc.EXDEV, name);
  assert.equal(libc.openat2(s.fd, 'new', libc.O_RDONLY, 0o600, libc.RESOLVE_CONFINED), -libc.EINVAL);
});

test('attributes are set, replaced and removed, by descriptor and by name', { skip }, (t) => {
  const s = scratch(t);
  const fd = create(s, 'f');
  const out = new Uint8Array(100);
  assert.equal(libc.fsetxattr(fd, 'user.a', Buffer.from('1')), 0);
  assert.equal(libc.setxattrAt(s.fd, 'f', 'user.b', Buffer.from('22')), 0);
  assert.equal(libc.setxattrAt(s.fd, 'f', 'user.b', Buffer.from('3'), libc.XATTR_CREATE), -libc.EEXIST);
  assert.equal(libc.fgetxattr(fd, 'user.b', out), 2);
  assert.equal(libc.getxattrAt(s.fd, 'f', 'user.b', new Uint8Array(1)), -libc.ERANGE);
  assert.equal(libc.getxattrAt(s.fd, 'f', 'user.none', out), -libc.ENODATA);
  assert.equal(libc.flistxattr(fd, out), 14);
  assert.equal(libc.flistxattr(fd, new Uint8Array(0)), -libc.ERANGE);
  assert.equal(libc.fremovexattr(fd, 'user.a'), 0);
  assert.equal(libc.removexattrAt(s.fd, 'f', 'user.b'), 0);
  assert.equal(libc.listxattrAt(s.fd, 'f', out), 0);
  libc.close(fd);
});

test('failures carry the errno as a code, the call and the path', { skip }, () => {
  const answer = libc.openat(libc.AT_FDCWD, '/nowhere/at/all', libc.O_RDONLY);
  assert.throws(
    () => libc.check(answer, 'openat', Uint8Array.from([0x61, 0xff, 0])),
    (error) =>
      error instanceof libc.PosixError &&
      hasCode(error, 'ENOENT') &&
      error.errno === 2 &&
      error.syscall === 'openat' &&
      error.path === 'a%FF' &&
      error.message === 'openat a%FF: ENOENT, no such file or directory',
  );
  assert.equal(libc.check(7, 'read'), 7);
  assert.equal(libc.errnoName(4095), 'E4095');
});

test('each thread loads its own binding, and descriptors are shared', { skip }, async (t) => {
  const s = scratch(t);
  writeFileSync(`${s.root}/f`, 'from the other thread');
  const module = new URL('./libc.ts', import.meta.url).href;
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(${JSON.stringify(module)}).then((libc) => {
      const fd = libc.openat(workerData.dirFd, 'f', libc.O_RDONLY);
      const buffer = new Uint8Array(workerData.shared);
      parentPort.postMessage({ fd, length: libc.readInto(fd, buffer, 0, buffer.length, 0) });
    });`;
  const shared = new SharedArrayBuffer(64);
  const answers = await Promise.all(
    [1, 2].map(
      () =>
        new Promise<{ fd: number; length: number }>((resolve, reject) => {
          const worker = new Worker(code, { eval: true, workerData: { dirFd: s.fd, shared } });
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
  for (const { fd, length } of answers) {
    assert.equal(length, 21);
    const mine = new Uint8Array(64);
    assert.equal(libc.readInto(fd, mine, 0, 64, 0), 21);
    libc.close(fd);
  }
  assert.equal(Buffer.from(new Uint8Array(shared, 0, 21)).toString(), 'from the other thread');
});
