// What volumes of tests hold, and how a restored one is compared with its source.
import { describeTree, type TreeDescription } from '../harness/describe-tree.ts';
import { deepPath, directory, file, hardLink, sparseFile, symlink, tree, type Tree } from '../harness/tree.ts';

// As the file system stores them: revision 2, effective, cap_net_bind_service permitted.
const BIND_LOW_PORTS = Buffer.from('0100000200040000000000000000000000000000', 'hex');

/** A bit of everything that a backup keeps. */
export function variedTree(seed: string): Tree {
  const old = -2_161_728_000_123_456_789n; // 1901
  return tree({
    'hello.txt': file(`hello ${seed}\n`, { mtimeNs: 1_700_000_000_123_456_789n }),
    empty: file(),
    'empty.d': directory({ mode: 0o755 }),
    'old/file': file('old', { mtimeNs: old }),
    'modes/setuid': file('s', { mode: 0o4755 }),
    'modes/none': file('none', { mode: 0o000 }),
    'modes/sticky.d': directory({ mode: 0o1777 }),
    'modes/setgid.d': directory({ mode: 0o2750, gid: 1234 }),
    'modes/closed.d': directory({ mode: 0o000 }),
    'owned/by-other': file('other', { uid: 1234, gid: 5678, mode: 0o640 }),
    'links/relative': symlink('../hello.txt'),
    'links/absolute': symlink('/etc/passwd'),
    'links/dangling': symlink('nowhere'),
    'links/folder': symlink('../owned'),
    'links/first': file('linked'),
    'links/second': hardLink('links/first'),
    // Those of `trusted.` are for who may administer the whole machine, which no agent in a pod may.
    'attributes/file': file('x', { xattrs: { 'user.note': 'kept' } }),
    'attributes/capable': file('y', { mode: 0o755, xattrs: { 'security.capability': BIND_LOW_PORTS } }),
    sparse: sparseFile(1 << 20, [[700_000, 'in the middle']]),
    [deepPath('d', 8)]: directory(),
    [`${deepPath('d', 8)}/leaf`]: file('deep'),
    'names/smörgås': file('a'),
    'names/日本 語': file('b'),
    'names/new\nline': file('c'),
    'names/-dash': file('d'),
    [`names/${'n'.repeat(200)}`]: file('e'),
    // Several chunks of the splitter.
    large: file(noise(seed, 12 << 20)),
    ...Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`many/${at}.txt`, file(`${seed} ${at}\n`)])),
  });
}

/** `exact`: all that there is. `stock`: only what Velero's own agent keeps. */
export type Comparison = 'exact' | 'stock';

/** A description without what a restore leaves in a volume for its init container. */
export function describeVolume(path: string, comparison: Comparison): TreeDescription {
  const omit = comparison === 'exact' ? (['holes'] as const) : (['holes', 'xattrs', 'hardLinkOf'] as const);
  return Object.fromEntries(
    Object.entries(describeTree(path, { omit: [...omit] }))
      .filter(([name]) => name !== '.velero' && !name.startsWith('.velero/'))
      .map(([name, entry]) => {
        // The marker touches the root; Velero gives folders and links times of its own.
        const isOwn = name === '.' || (comparison === 'stock' && entry.type !== 'file');
        return [name, isOwn ? { ...entry, mtimeNs: '' } : entry];
      }),
  );
}

/** Bytes that neither compress nor repeat. */
export function noise(seed: string, length: number): Uint8Array {
  const bytes = new Uint32Array(length / 4);
  let state = Buffer.from(seed).reduce((sum, byte) => (Math.imul(sum, 31) + byte) | 0, 1) || 1;
  for (let at = 0; at < bytes.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state;
  }
  return new Uint8Array(bytes.buffer);
}
