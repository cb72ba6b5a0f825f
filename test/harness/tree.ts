// Trees for tests, written as literals and made for real: hard links, holes, FIFOs, sockets, devices (as root), xattrs,
// ACLs and capabilities as their bytes, any mode, any time, any name, any depth.
//
//     const root = tree({ 'a/b': file('x'), l: symlink('a') }).temporary(t);
//     assert.deepEqual(describeTree(copy), describeTree(root));
//
// Parents that are not mentioned are made as plain directories. Keys follow tree-names.ts; '.' is the root itself.

import { mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import {
  AT_FDCWD,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_RDONLY,
  O_WRONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFSOCK,
  check,
  close,
  fchmod,
  fchown,
  fchmodat,
  fchownat,
  fsetxattr,
  ftruncate,
  futimens,
  linkat,
  mkdirat,
  mknodat,
  openat,
  pwriteFrom,
  setxattrAt,
  symlinkat,
  utimensat,
} from '../../mover/posix/libc.ts';
import { nameBytes } from './tree-names.ts';
import { removeTree, step } from './tree-walk.ts';

export { describeTree, type TreeDescription } from './describe-tree.ts';
export { nameBytes, nameText, rawName } from './tree-names.ts';
export { removeTree } from './tree-walk.ts';

export interface Attributes {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Nanoseconds since 1970; negative and beyond int64 are fine. */
  readonly mtimeNs?: bigint;
  readonly xattrs?: Readonly<Record<string, Uint8Array | string>>;
}

type Kind =
  | { readonly type: 'file'; readonly size: number; readonly parts: readonly (readonly [number, Uint8Array])[] }
  | { readonly type: 'directory' }
  | { readonly type: 'symlink'; readonly target: Uint8Array }
  | { readonly type: 'hard-link'; readonly to: string }
  | { readonly type: 'node'; readonly mode: number; readonly major: number; readonly minor: number };

export type TreeEntry = Kind & { readonly attributes: Attributes };

export interface Tree {
  /** Makes the tree in the directory `root` (made when missing) and answers `root`. */
  build(root: string): string;
  /** Makes it in a new temporary directory that goes away with the test. */
  temporary(t: Pick<TestContext, 'after'>): string;
}

export function file(content: string | Uint8Array = '', attributes: Attributes = {}): TreeEntry {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  return { type: 'file', size: bytes.length, parts: bytes.length === 0 ? [] : [[0, bytes]], attributes };
}

/** A file of `size` bytes with data only in `parts` ([offset, bytes]); the rest is holes. */
export function sparseFile(
  size: number,
  parts: readonly (readonly [number, string | Uint8Array])[] = [],
  attributes: Attributes = {},
): TreeEntry {
  const encoded = parts.map(([at, data]) => [at, typeof data === 'string' ? Buffer.from(data) : data] as const);
  return { type: 'file', size, parts: encoded, attributes };
}

export function directory(attributes: Attributes = {}): TreeEntry {
  return { type: 'directory', attributes };
}

export function symlink(target: string, attributes: Attributes = {}): TreeEntry {
  return { type: 'symlink', target: nameBytes(target), attributes };
}

/** Another name of the entry at path `to`, which is made first. */
export function hardLink(to: string): TreeEntry {
  return { type: 'hard-link', to, attributes: {} };
}

export function fifo(attributes: Attributes = {}): TreeEntry {
  return { type: 'node', mode: S_IFIFO, major: 0, minor: 0, attributes };
}

export function socket(attributes: Attributes = {}): TreeEntry {
  return { type: 'node', mode: S_IFSOCK, major: 0, minor: 0, attributes };
}

/** A device node; making one needs root. */
export function device(kind: 'char' | 'block', major: number, minor: number, attributes: Attributes = {}): TreeEntry {
  return { type: 'node', mode: kind === 'char' ? S_IFCHR : S_IFBLK, major, minor, attributes };
}

/** A chain of `depth` directories named `name`, for a key: `deepPath('d', 3) === 'd/d/d'`. */
export function deepPath(name: string, depth: number): string {
  return Array.from({ length: depth }, () => name).join('/');
}

export function tree(entries: Readonly<Record<string, TreeEntry>>): Tree {
  const build = (root: string): string => {
    const top = nest(entries);
    const made = mkdirat(AT_FDCWD, root, 0o755);
    if (made !== -17) check(made, 'mkdirat', root);
    visit(root, top, makeEntry);
    for (const [name, entry] of Object.entries(entries)) {
      if (entry.type === 'hard-link') makeHardLink(root, name, entry.to);
    }
    // Last, because making something in a directory changes its time, and a read-only one would refuse.
    visit(root, top, undefined);
    return root;
  };
  return {
    build,
    temporary(t) {
      const root = mkdtempSync(path.join(os.tmpdir(), 'windlass-tree-'));
      t.after(() => removeTree(root));
      return build(root);
    },
  };
}

interface Node {
  entry: TreeEntry;
  readonly children: Map<string, Node>;
}

function nest(entries: Readonly<Record<string, TreeEntry>>): Node {
  const top: Node = { entry: directory(), children: new Map() };
  for (const [name, entry] of Object.entries(entries)) {
    let node = top;
    for (const part of name === '.' ? [] : name.split('/')) {
      let child = node.children.get(part);
      if (child === undefined) node.children.set(part, (child = { entry: directory(), children: new Map() }));
      node = child;
    }
    node.entry = entry;
  }
  return top;
}

/** Goes down the literal with one descriptor; without `make`, only sets the attributes of directories on the way up. */
function visit(root: string, top: Node, make: typeof makeEntry | undefined): void {
  let fd = check(openat(AT_FDCWD, root, O_RDONLY | O_DIRECTORY), 'openat', root);
  const stack = [{ node: top, rest: [...top.children] }];
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const next = frame.rest.pop();
    if (next === undefined) {
      const inner = fd;
      if (stack.length > 1) fd = check(openat(inner, '..', O_RDONLY | O_DIRECTORY), 'openat', '..');
      if (make === undefined) setAttributesOf(inner, frame.node.entry.attributes);
      close(inner);
      stack.pop();
      continue;
    }
    const [name, node] = next;
    make?.(fd, nameBytes(name), node.entry);
    if (node.entry.type === 'directory') {
      fd = step(fd, nameBytes(name));
      stack.push({ node, rest: [...node.children] });
    }
  }
}

function makeEntry(dirFd: number, name: Uint8Array, entry: TreeEntry): void {
  switch (entry.type) {
    case 'file': {
      const fd = check(openat(dirFd, name, O_WRONLY | O_CREAT | O_EXCL, 0o644), 'openat', name);
      check(ftruncate(fd, entry.size), 'ftruncate', name);
      for (const [at, data] of entry.parts) check(pwriteFrom(fd, data, 0, data.length, at), 'pwrite', name);
      setAttributesOf(fd, { mode: 0o644, ...entry.attributes });
      close(fd);
      return;
    }
    case 'directory':
      check(mkdirat(dirFd, name, 0o755), 'mkdirat', name);
      check(fchmodat(dirFd, name, 0o755), 'fchmodat', name);
      return;
    case 'symlink':
      check(symlinkat(entry.target, dirFd, name), 'symlinkat', name);
      setAttributesAt(dirFd, name, entry.attributes);
      return;
    case 'node':
      check(mknodat(dirFd, name, entry.mode | 0o644, entry.major, entry.minor), 'mknodat', name);
      setAttributesAt(dirFd, name, { mode: 0o644, ...entry.attributes });
      return;
    case 'hard-link':
      return;
  }
}

function makeHardLink(root: string, name: string, to: string): void {
  const [from, fromName] = openParent(root, to);
  const [into, intoName] = openParent(root, name);
  check(linkat(from, fromName, into, intoName), 'linkat', name);
  close(from);
  close(into);
}

function openParent(root: string, name: string): [fd: number, name: Uint8Array] {
  const parts = name.split('/');
  const last = parts.pop() ?? '';
  let fd = check(openat(AT_FDCWD, root, O_RDONLY | O_DIRECTORY), 'openat', root);
  for (const part of parts) fd = step(fd, nameBytes(part));
  return [fd, nameBytes(last)];
}

// Owner first (a change of owner clears setuid and capabilities), then mode, attributes, and the time last.
function setAttributesOf(fd: number, attributes: Attributes): void {
  const { uid, gid, mode, mtimeNs, xattrs = {} } = attributes;
  if (uid !== undefined || gid !== undefined) check(fchown(fd, uid ?? KEEP, gid ?? KEEP), 'fchown');
  if (mode !== undefined) check(fchmod(fd, mode), 'fchmod');
  for (const [key, value] of Object.entries(xattrs))
    check(fsetxattr(fd, nameBytes(key), toBytes(value)), 'fsetxattr', key);
  if (mtimeNs !== undefined) check(futimens(fd, ...timeParts(mtimeNs)), 'futimens');
}

function setAttributesAt(dirFd: number, name: Uint8Array, attributes: Attributes): void {
  const { uid, gid, mode, mtimeNs, xattrs = {} } = attributes;
  if (uid !== undefined || gid !== undefined) check(fchownat(dirFd, name, uid ?? KEEP, gid ?? KEEP), 'fchownat', name);
  if (mode !== undefined) check(fchmodat(dirFd, name, mode), 'fchmodat', name);
  for (const [key, value] of Object.entries(xattrs)) {
    check(setxattrAt(dirFd, name, nameBytes(key), toBytes(value)), 'setxattrat', key);
  }
  if (mtimeNs !== undefined) check(utimensat(dirFd, name, ...timeParts(mtimeNs)), 'utimensat', name);
}

/** (uid_t)-1: leave as it is. */
const KEEP = 0xffff_ffff;

function toBytes(value: Uint8Array | string): Uint8Array {
  return typeof value === 'string' ? new TextEncoder().encode(value) : value;
}

function timeParts(ns: bigint): [seconds: number, nanoseconds: number] {
  const nanoseconds = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return [Number((ns - nanoseconds) / 1_000_000_000n), Number(nanoseconds)];
}
