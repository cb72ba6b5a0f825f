// Which directories of a running backup have a descriptor, within what the process may open: when there are too many, the
// oldest that no lane uses are closed and opened again when their turn comes (directory-node.ts).
import { openFileLimit } from '../posix/libc.ts';
import type { DirectoryNode } from './directory-node.ts';

export class OpenDirectories {
  readonly #root: DirectoryNode;
  readonly #limit: number;
  /** How many open directories one message to a lane may come back with. */
  readonly perMessage: number;
  /** Oldest first. */
  readonly #open = new Set<DirectoryNode>();

  constructor(root: DirectoryNode, lanes: number) {
    this.#root = root;
    // Descriptors are also needed by lanes, packs and whatever else the process does.
    this.#limit = Math.max(64, Math.min(4096, Math.floor(openFileLimit() / 4)));
    // Two messages a lane are under way.
    this.perMessage = Math.max(1, Math.floor(this.#limit / (lanes * 2)));
  }

  /** Takes over the descriptor of a node. */
  add(node: DirectoryNode): void {
    this.#open.add(node);
  }

  /** The node's descriptor for one job, opened again if need be; give it back with {@link release}. `SOURCE_CHANGED`. */
  use(node: DirectoryNode): number {
    const fd = node.openFd((opened) => this.#open.add(opened));
    node.inUse++;
    this.#closeSome(node);
    return fd;
  }

  release(node: DirectoryNode): void {
    node.inUse--;
    node.unopened--;
    this.closeUnlessNeeded(node);
  }

  closeUnlessNeeded(node: DirectoryNode): void {
    if (node.unopened > 0 || node === this.#root) return;
    node.closeFd();
    this.#open.delete(node);
  }

  #closeSome(keep: DirectoryNode): void {
    if (this.#open.size <= this.#limit) return;
    for (const node of this.#open) {
      if (this.#open.size <= this.#limit / 2) return;
      if (node === keep || node === this.#root || node.inUse > 0) continue;
      node.closeFd();
      this.#open.delete(node);
    }
  }

  close(): void {
    for (const node of this.#open) node.closeFd();
    this.#open.clear();
    this.#root.closeFd();
  }
}
