// What the state of all volumes means, and how it is told. Pure.
import type { VolumeSight } from './marker-folder.ts';
import { DEFAULT_DEADLINE_SECONDS, type RestoreFailure, type RestoreOptions, shown } from './marker-text.ts';

export type Verdict =
  | { readonly kind: 'done'; readonly volumes: readonly string[]; readonly tidy: boolean }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'waiting'; readonly done: number; readonly missing: readonly string[] };

/**
 * One failed volume ends the wait: the pod must not start, whatever becomes of the others. Done is only said when every volume has
 * its marker; `tidy`, when every volume's agent has promised to write the markers again.
 */
export function judge(sights: ReadonlyMap<string, VolumeSight>): Verdict {
  const failures: string[] = [];
  const missing: string[] = [];
  const done: string[] = [];
  let tidy = true;
  for (const [name, sight] of sights) {
    if (sight.state === 'failed') failures.push(`volume ${shown(name)}: ${tellFailure(sight.failure)}`);
    else if (sight.state === 'waiting')
      missing.push(sight.note === undefined ? shown(name) : `${shown(name)} (${shown(sight.note)})`);
    else {
      done.push(name);
      tidy &&= sight.options.tidy === true;
    }
  }
  if (failures.length > 0) return { kind: 'failed', reason: failures.join('; ') };
  if (missing.length > 0 || done.length === 0) return { kind: 'waiting', done: done.length, missing };
  return { kind: 'done', volumes: done, tidy };
}

/** The longest of what the agent asked for: a volume with more time must not be cut short by another. */
export function deadlineSeconds(sights: ReadonlyMap<string, VolumeSight>): number {
  const asked = [...sights.values()].flatMap((sight) =>
    sight.state === 'failed' ? [] : (optionsDeadline(sight.options) ?? []),
  );
  return asked.length === 0 ? DEFAULT_DEADLINE_SECONDS : Math.max(...asked);
}

const optionsDeadline = (options: RestoreOptions): number | undefined => options.deadlineSeconds;

export interface Waiting {
  readonly verdict: Verdict & { readonly kind: 'waiting' };
  readonly unanswered: ReadonlySet<string>;
  readonly problem: string | undefined;
}

/** What is still missing, as the end of a sentence. */
export function tellMissing({ verdict, unanswered, problem }: Waiting): string {
  const parts: string[] = [];
  if (problem !== undefined) parts.push(problem);
  if (verdict.missing.length > 0)
    parts.push(
      `${verdict.missing.length} of ${verdict.missing.length + verdict.done} volumes: ${verdict.missing.join(', ')}`,
    );
  if (unanswered.size > 0) parts.push(`no answer from the file system of ${[...unanswered].map(shown).join(', ')}`);
  return parts.join('; ');
}

function tellFailure({ message, code, podVolumeRestore }: RestoreFailure): string {
  const of = podVolumeRestore === undefined ? '' : ` (PodVolumeRestore ${podVolumeRestore})`;
  // The agent's messages end with it already.
  const isSaid = code === undefined || message.endsWith(`[${code}]`);
  return `${message}${isSaid ? '' : ` [${code}]`}${of}`;
}
