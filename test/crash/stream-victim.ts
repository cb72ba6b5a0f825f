// A process that dies in the middle of a stream: `stream-victim.ts PLAN` with the plan as JSON. The stream is the same each
// time, and long ones cost no memory.
import { Engine } from '../harness/engine.ts';
import { SeededRandom } from '../harness/seeded-random.ts';

export interface StreamPlan {
  readonly folder: string;
  /** Dies when this many bytes have been asked for. */
  readonly killAfterBytes: number;
  readonly streamBytes: number;
}

const PIECE_BYTES = 1 << 20;

export async function* streamPieces(
  totalBytes: number,
  beforePiece: (at: number) => void = () => undefined,
): AsyncGenerator<Uint8Array, void, void> {
  const random = new SeededRandom(1);
  for (let at = 0; at < totalBytes; at += PIECE_BYTES) {
    beforePiece(at);
    yield random.bytes(PIECE_BYTES);
    // As from a pipe: other work has its turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function main(): Promise<void> {
  const { folder, killAfterBytes, streamBytes } = JSON.parse(process.argv[2] ?? '') as StreamPlan;
  const die = (at: number): void => {
    if (at >= killAfterBytes) process.kill(process.pid, 'SIGKILL');
  };
  await new Engine({ folder }).backUpStream('stream', streamPieces(streamBytes, die));
}

if (import.meta.main) await main();
