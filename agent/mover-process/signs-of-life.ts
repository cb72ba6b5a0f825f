// Tells the agent that the store answers: indexes are read, blobs are asked for, long before and after bytes of the volume move.
// A data mover that says nothing of either kind for long is taken for one that hangs.
import type { StorageStats } from '../../repo-format/index.ts';
import type { Message } from '../datapath/job.ts';

const EVERY_MS = 10_000;

/** Until what it answers is called. */
export function tellOfLife(stats: StorageStats, send: (message: Message) => void): () => void {
  let most = 0;
  const timer = setInterval(() => {
    const now = answersOf(stats);
    if (now <= most) return;
    most = now;
    send({ type: 'alive' });
  }, EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Requests under way are in it, too: of one that hangs and is tried again and again, only the first is news. */
function answersOf({ get, head, put, list, delete: removal, blobsListed }: StorageStats): number {
  return [get, head, put, list, removal].reduce(
    (sum, { requests, failures }) => sum + requests - failures,
    blobsListed,
  );
}
