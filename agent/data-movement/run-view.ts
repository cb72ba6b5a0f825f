// The state of a volume's data mover on this node, as decisions see it.
import type { SerializedError } from '../../base/errors.ts';
import type { MoverResult } from '../datapath/mover-process.ts';

export interface RunProgress {
  readonly bytesDone: number;
  readonly totalBytes: number;
  readonly files: number;
}

/** Why a mover was asked to end. */
export type StopReason = 'cancel' | 'pod-gone' | 'over';

export type RunView =
  | { readonly state: 'running'; readonly progress: RunProgress | undefined; readonly stopping: StopReason | undefined }
  /** It failed in a way that may pass. */
  | { readonly state: 'waiting'; readonly error: SerializedError; readonly attempts: number; readonly nextMs: number }
  | { readonly state: 'done'; readonly result: MoverResult }
  | { readonly state: 'failed'; readonly error: SerializedError }
  | { readonly state: 'stopped'; readonly reason: StopReason };
