// The numbers of a stat record as a message carries them.
import type { StatRecord } from '../posix/libc.ts';
import type { EntryFacts } from './lane-protocol.ts';

export function factsOf(stat: StatRecord): EntryFacts {
  return {
    mode: stat.mode,
    uid: stat.uid,
    gid: stat.gid,
    size: stat.size,
    blocks: stat.blocks,
    mtimeSeconds: stat.mtimeSeconds,
    mtimeNanos: stat.mtimeNanoseconds,
    ctimeSeconds: stat.ctimeSeconds,
    ctimeNanos: stat.ctimeNanoseconds,
    ino: stat.ino,
    dev: stat.dev,
  };
}
