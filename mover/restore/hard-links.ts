// Hard links: the first entry of a group is restored like any file; the others are linked to it as soon as it is there.
import { errorCode } from '../../base/errors.ts';
import type { ObjectId } from '../../repo-format/index.ts';
import { ENOENT, PosixError, S_IFMT, StatRecord, linkat, renameat, sameFile, statAt, unlinkat } from '../posix/libc.ts';
import { type DirectoryTree, messageOf } from './directory-tree.ts';
import type { PlannedEntry, RunContext } from './run-context.ts';
import type { TargetDirectory } from './target-directory.ts';

/** The entry of a group that holds the data. */
export interface LinkLeader {
  readonly directory: TargetDirectory;
  readonly entry: PlannedEntry;
  state: 'pending' | 'there' | 'failed';
  /** Links that wait for it. */
  waiting: WaitingLink[];
}

interface WaitingLink {
  readonly directory: TargetDirectory;
  readonly entry: PlannedEntry;
}

export class HardLinks {
  readonly #run: RunContext;
  readonly #tree: DirectoryTree;
  readonly #leaders = new Map<string, LinkLeader>();
  readonly #from = new StatRecord();
  readonly #to = new StatRecord();

  constructor(run: RunContext, tree: DirectoryTree) {
    this.#run = run;
    this.#tree = tree;
  }

  find(link: string, objectId: ObjectId | ''): LinkLeader | undefined {
    return this.#leaders.get(`${link}\0${objectId}`);
  }

  /** Makes `entry` the one that others of its group are linked to. */
  lead(link: string, directory: TargetDirectory, entry: PlannedEntry): LinkLeader {
    const leader: LinkLeader = { directory, entry, state: 'pending', waiting: [] };
    this.#leaders.set(`${link}\0${entry.source.objectId}`, leader);
    return leader;
  }

  leaderEnded(leader: LinkLeader, isThere: boolean): void {
    leader.state = isThere ? 'there' : 'failed';
    const { waiting } = leader;
    leader.waiting = [];
    for (const link of waiting) {
      this.#make(leader, link);
      this.#tree.done(link.directory);
    }
  }

  /** Links `entry` now or when its leader is there. */
  follow(leader: LinkLeader, directory: TargetDirectory, entry: PlannedEntry): void {
    if (leader.state === 'pending') {
      directory.pending++;
      leader.waiting.push({ directory, entry });
      return;
    }
    this.#make(leader, { directory, entry });
  }

  #make(leader: LinkLeader, link: WaitingLink): void {
    const { receipt, control, dryRun } = this.#run;
    if (control.isStopped) return;
    const pathOf = (): string => link.directory.pathOf(link.entry.name);
    if (leader.state === 'failed') {
      receipt.fail(pathOf(), 'RESTORE_LINK_FAILED', 'the file it is a link of could not be restored');
      return;
    }
    if (dryRun) {
      receipt.restored.hardLinks++;
      return;
    }
    try {
      this.#link(leader, link);
    } catch (error) {
      receipt.fail(pathOf(), errorCode(error) ?? 'UNKNOWN', messageOf(error));
    }
  }

  #link(leader: LinkLeader, link: WaitingLink): void {
    const { handles, receipt, overwrite } = this.#run;
    const from = handles.acquire(leader.directory);
    handles.pin(leader.directory);
    try {
      const to = handles.acquire(link.directory);
      const found = statAt(from, leader.entry.name, this.#from);
      if (found < 0) throw new PosixError(-found, 'stat');
      // Somebody may have put something else in the leader's place.
      const isLeader =
        (this.#from.mode & S_IFMT) === (leader.entry.mode & S_IFMT) && this.#from.size === leader.entry.size;
      if (!isLeader) throw new PosixError(ENOENT, 'link');
      const there = statAt(to, link.entry.name, this.#to);
      if (there >= 0 && sameFile(this.#from, this.#to)) {
        receipt.unchanged.hardLinks++;
        return;
      }
      if (there >= 0 && overwrite === 'never') {
        receipt.kept.add(link.directory.pathOf(link.entry.name));
        return;
      }
      this.#place(leader, { from, to, isReplacing: there >= 0 }, link);
      receipt.restored.hardLinks++;
    } finally {
      handles.unpin(leader.directory);
    }
  }

  #place(
    leader: LinkLeader,
    at: { readonly from: number; readonly to: number; readonly isReplacing: boolean },
    link: WaitingLink,
  ): void {
    const name = at.isReplacing ? this.#run.temporaryNames.next() : link.entry.name;
    const linked = linkat(at.from, leader.entry.name, at.to, name);
    if (linked < 0) throw new PosixError(-linked, 'link');
    // The leader may have been swapped between the look and the link: then the link is not wanted.
    const checked = statAt(at.to, name, this.#to);
    if (checked < 0 || !sameFile(this.#from, this.#to)) {
      unlinkat(at.to, name);
      throw new PosixError(ENOENT, 'link');
    }
    if (!at.isReplacing) return;
    const moved = renameat(at.to, name, at.to, link.entry.name);
    if (moved >= 0) return;
    unlinkat(at.to, name);
    throw new PosixError(-moved, 'rename');
  }

  /** For tests: how many groups are remembered. */
  get groupCount(): number {
    return this.#leaders.size;
  }
}
