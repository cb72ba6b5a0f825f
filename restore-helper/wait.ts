// Waits for all volumes: a look a second, a word a minute, and an end in any case.
import { codeOf, tidyVolume, type VolumeSight } from './marker-folder.ts';
import { shown } from './marker-text.ts';
import { deadlineSeconds, judge, tellMissing, type Verdict } from './verdict.ts';
import type { Volumes } from './volumes.ts';

const POLL_MS = 1000;
const REPORT_SECONDS = 60;

export type Outcome =
  | { readonly kind: 'done'; readonly volumes: readonly string[]; readonly tidy: boolean }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'deadline'; readonly reason: string }
  | { readonly kind: 'stopped' };

export interface WaitDeps {
  readonly volumes: Volumes;
  /** Seconds since the start; only ever grows. */
  readonly elapsedSeconds: () => number;
  /** Resolves after the time, or at once when either signal is given. */
  readonly pause: (ms: number, enough?: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/** Resolves with what became of the restore; never rejects for what it meets in a volume. */
export async function waitForVolumes(deps: WaitDeps): Promise<Outcome> {
  const { volumes, log } = deps;
  const told = new Map<string, string>();
  let nextReport = REPORT_SECONDS;
  let looking: Promise<'seen'> | undefined;
  for (;;) {
    looking ??= volumes.look().then(() => 'seen');
    // A file system may never answer; the deadline and the word a minute come all the same.
    const enough = new AbortController();
    const isSeen = (await Promise.race([looking, deps.pause(POLL_MS, enough.signal)])) === 'seen';
    enough.abort();
    if (deps.signal.aborted) return { kind: 'stopped' };
    const verdict = judge(volumes.sights);
    if (isSeen) {
      looking = undefined;
      for (const line of newsOf(volumes.sights, told)) log(line);
    }
    // What one volume said holds, even while another does not answer.
    if (verdict.kind === 'failed') return verdict;
    if (verdict.kind === 'done' && isSeen && volumes.problem === undefined) return verdict;
    const missing = tellMissing({
      verdict: asWaiting(verdict),
      unanswered: volumes.unanswered,
      problem: volumes.problem,
    });
    const elapsed = deps.elapsedSeconds();
    if (elapsed >= deadlineSeconds(volumes.sights))
      return { kind: 'deadline', reason: `not restored within ${Math.floor(elapsed)} s: ${missing}` };
    if (elapsed >= nextReport) {
      nextReport = elapsed + REPORT_SECONDS;
      log(`waiting for ${Math.floor(elapsed / 60)} min: ${missing}`);
    }
    if (isSeen) await deps.pause(POLL_MS);
    if (deps.signal.aborted) return { kind: 'stopped' };
  }
}

/** Takes the markers away, as far as they may be; what stays does no harm and is said. */
export async function tidyUp(
  folderOf: (volume: string) => string,
  names: readonly string[],
  restoreUid: string,
  log: (line: string) => void,
): Promise<void> {
  for (const name of names) {
    const left = await tidyVolume(folderOf(name), restoreUid).catch(codeOf);
    if (left !== undefined) log(`volume ${shown(name)}: markers left to the agent: ${left}`);
  }
}

function asWaiting(verdict: Verdict): Verdict & { readonly kind: 'waiting' } {
  if (verdict.kind === 'waiting') return verdict;
  return { kind: 'waiting', missing: [], done: verdict.kind === 'done' ? verdict.volumes.length : 0 };
}

/** A line for each volume whose state has changed since it was told. */
function newsOf(sights: ReadonlyMap<string, VolumeSight>, told: Map<string, string>): string[] {
  const lines: string[] = [];
  for (const [name, sight] of sights) {
    const note = sight.state === 'failed' || sight.note === undefined ? '' : `: ${shown(sight.note)}`;
    const text = sight.state === 'done' ? `restored${note}` : `waiting${note}`;
    if (sight.state === 'failed' || told.get(name) === text) continue;
    if (sight.state === 'done' || note !== '') lines.push(`volume ${shown(name)} ${text}`);
    told.set(name, text);
  }
  return lines;
}
