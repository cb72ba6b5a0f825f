import assert from 'node:assert/strict';
import { existsSync, lstatSync, readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { ACL_ACCESS, CAPABILITY, CAP_NET_BIND_SERVICE, aclForUser, fileCapability } from './tree-attributes.ts';
import {
  deepPath,
  describeTree,
  device,
  directory,
  fifo,
  file,
  hardLink,
  nameBytes,
  nameText,
  rawName,
  removeTree,
  socket,
  sparseFile,
  symlink,
  tree,
} from './tree.ts';

const isRoot = process.geteuid?.() === 0;
const skip = process.platform !== 'linux' ? 'needs Linux system calls' : false;

test('a literal tree is made as written and described exactly', { skip }, (t) => {
  const root = tree({
    '.': directory({ mode: 0o750 }),
    'a/b': file('x', { mode: 0o4755, mtimeNs: -1n }),
    'a/c': hardLink('a/b'),
    'a/z': file('y', { mtimeNs: 4_500_000_000_123_456_789n }),
    empty: directory({ mode: 0o2700, mtimeNs: 1_000_000_001n }),
    link: symlink('a', { mtimeNs: 7_000_000_007n }),
    pipe: fifo({ mode: 0o600 }),
    door: socket(),
    big: sparseFile(8 << 20, [[4 << 20, 'middle']], { xattrs: { 'user.note': 'hi' } }),
    [rawName('caf', 0xe9)]: file('latin'),
    ['n'.repeat(255)]: file('long'),
  }).temporary(t);
  const found = describeTree(root);
  assert.equal(found['.']?.mode, '0750');
  assert.deepEqual(
    { mode: found['a/b']?.mode, mtimeNs: found['a/b']?.mtimeNs, of: found['a/c']?.hardLinkOf },
    { mode: '04755', mtimeNs: '-1', of: 'a/b' },
  );
  assert.equal(found['a/z']?.mtimeNs, '4500000000123456789');
  assert.equal(found['empty']?.mtimeNs, '1000000001');
  assert.deepEqual([found['link']?.target, found['link']?.mtimeNs], ['a', '7000000007']);
  assert.deepEqual([found['pipe']?.type, found['door']?.type], ['fifo', 'socket']);
  assert.deepEqual([found['big']?.size, found['big']?.holes], [8 << 20, true]);
  assert.deepEqual(found['big']?.xattrs, { 'user.note': Buffer.from('hi').toString('hex') });
  assert.ok(rawName('caf', 0xe9) in found);
  assert.ok('n'.repeat(255) in found);
  assert.equal(readFileSync(`${root}/a/b`, 'utf8'), 'x');
  assert.equal(lstatSync(`${root}/link`).isSymbolicLink(), true);
});

test('equal trees have equal descriptions, and each attribute makes a difference', { skip }, (t) => {
  const base = { f: file('one', { mode: 0o644, mtimeNs: 5n }), '.': directory({ mtimeNs: 9n }) };
  const original = describeTree(tree(base).temporary(t));
  assert.deepEqual(describeTree(tree(base).temporary(t)), original);
  const others = [
    file('two', { mtimeNs: 5n }),
    file('one', { mtimeNs: 6n }),
    file('one', { mode: 0o600, mtimeNs: 5n }),
    file('one', { mtimeNs: 5n, xattrs: { 'user.a': '' } }),
    symlink('one', { mtimeNs: 5n }),
  ];
  for (const other of others) {
    assert.notDeepEqual(describeTree(tree({ ...base, f: other }).temporary(t)), original);
  }
});

test('trees deeper than PATH_MAX are made, described and removed', { skip }, (t) => {
  const root = tree({ [`${deepPath('level', 1500)}/leaf`]: file('deep') }).temporary(t);
  const found = describeTree(root);
  assert.equal(Object.keys(found).length, 1502);
  assert.equal(found[`${deepPath('level', 1500)}/leaf`]?.size, 4);
  removeTree(root);
  assert.equal(existsSync(root), false);
});

test('root can make devices, owners, ACLs and capabilities', { skip: skip || (isRoot ? false : 'needs root') }, (t) => {
  const acl = aclForUser(1234, 6);
  const root = tree({
    null: device('char', 1, 3, { mode: 0o666, uid: 5, gid: 6 }),
    disk: device('block', 259, 70_000),
    acl: file('x', { mode: 0o640, uid: 1000, gid: 1001, xattrs: { [ACL_ACCESS]: acl } }),
    program: file('x', { mode: 0o755, xattrs: { [CAPABILITY]: fileCapability(CAP_NET_BIND_SERVICE) } }),
    link: symlink('nowhere', { uid: 7, gid: 8, xattrs: { 'trusted.note': 'on the link' } }),
  }).temporary(t);
  const found = describeTree(root);
  assert.deepEqual([found['null']?.device, found['null']?.uid, found['null']?.gid], ['1:3', 5, 6]);
  assert.equal(found['disk']?.device, '259:70000');
  assert.equal(found['acl']?.xattrs?.[ACL_ACCESS], Buffer.from(acl).toString('hex'));
  assert.equal(found['acl']?.uid, 1000);
  assert.ok(found['program']?.xattrs?.[CAPABILITY]?.startsWith('01000002'));
  assert.ok(found['link']?.xattrs?.['trusted.note']);
  assert.equal(statSync(`${root}/null`).isCharacterDevice(), true);
});

test('raw names survive the way to text and back', () => {
  for (const bytes of [
    [0xff],
    [0x61, 0x80, 0x62],
    [0xe2, 0x82],
    [0xed, 0xa0, 0x80],
    [0xc3, 0xa9],
    [0xf0, 0x9f, 0x98, 0x80],
  ]) {
    assert.deepEqual([...nameBytes(nameText(Uint8Array.from(bytes)))], bytes);
  }
});
