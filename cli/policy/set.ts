// `policy set`: changes single rules of a target and leaves all others, also those of other versions, as they are.
import { loadPolicy, setPolicy } from '../../repo-format/snapshot/effective-policy.ts';
import type { FilesPolicy, Policy } from '../../repo-format/snapshot/policy.ts';
import { compressorId } from '../../repo-format/compression/compressor.ts';
import { SPLITTERS } from '../../repo-format/splitter/splitter.ts';
import { formatSource } from '../../repo-format/snapshot/source.ts';
import { usageError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { withRepository } from '../session.ts';
import { printPolicy } from './show.ts';
import { policyTarget } from './target.ts';

type Setting<T> = T | 'inherit';

export interface SetOptions {
  readonly global?: boolean;
  readonly keepLatest?: Setting<number>;
  readonly keepHourly?: Setting<number>;
  readonly keepDaily?: Setting<number>;
  readonly keepWeekly?: Setting<number>;
  readonly keepMonthly?: Setting<number>;
  readonly keepAnnual?: Setting<number>;
  readonly compression?: string;
  readonly metadataCompression?: string;
  readonly splitter?: string;
  readonly addIgnore?: readonly string[];
  readonly removeIgnore?: readonly string[];
  readonly clearIgnore?: boolean;
  readonly oneFileSystem?: Setting<boolean>;
  readonly ignoreCacheDirs?: Setting<boolean>;
  readonly ignoreFileErrors?: Setting<boolean>;
  readonly ignoreDirErrors?: Setting<boolean>;
  readonly maxParallelFileReads?: Setting<number>;
}

export async function setCommand(
  context: CliContext,
  text: string | undefined,
  options: SetOptions,
): Promise<ExitCode> {
  const target = policyTarget(context, text, options.global === true);
  checkNames(options);
  return withRepository(context, { readOnly: false }, async (repository) => {
    const stored = await loadPolicy(repository.manifests, target, context.signal);
    const policy = changePolicy(stored?.policy ?? {}, options);
    await setPolicy(repository.manifests, target, policy, context.signal);
    await repository.flush(context.signal);
    context.output.line(`Rules set on ${formatSource(target)}:`);
    printPolicy(context, policy);
    return EXIT.ok;
  });
}

/** A mistyped name would be taken by Kopia for its default, silently. */
function checkNames({ compression, metadataCompression, splitter }: SetOptions): void {
  for (const name of [compression, metadataCompression]) {
    if (name !== undefined && name !== 'inherit' && name !== 'none') compressorId(name);
  }
  if (splitter !== undefined && splitter !== 'inherit' && !SPLITTERS.includes(splitter)) {
    throw usageError(`splitter ${splitter} does not exist`, { splitter });
  }
}

export function changePolicy(policy: Policy, options: SetOptions): Policy {
  const { keepLatest, keepHourly, keepDaily, keepWeekly, keepMonthly, keepAnnual } = options;
  return {
    ...policy,
    retention: apply(policy.retention, { keepLatest, keepHourly, keepDaily, keepWeekly, keepMonthly, keepAnnual }),
    files: apply(changeIgnore(policy.files ?? {}, options), {
      oneFileSystem: options.oneFileSystem,
      ignoreCacheDirs: options.ignoreCacheDirs,
    }),
    errorHandling: apply(policy.errorHandling, {
      ignoreFileErrors: options.ignoreFileErrors,
      ignoreDirectoryErrors: options.ignoreDirErrors,
    }),
    compression: apply(policy.compression, { compressorName: options.compression }),
    metadataCompression: apply(policy.metadataCompression, { compressorName: options.metadataCompression }),
    splitter: apply(policy.splitter, { algorithm: options.splitter }),
    upload: apply(policy.upload, { maxParallelFileReads: options.maxParallelFileReads }),
  };
}

/** Sets what is given, takes off what is to be inherited, leaves the rest. */
function apply<T extends object>(
  section: T | undefined,
  changes: { readonly [K in keyof T]?: Setting<NonNullable<T[K]>> | undefined },
): T {
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  const removed = new Set(given.filter(([, value]) => value === 'inherit').map(([name]) => name));
  const kept = Object.entries({ ...section, ...Object.fromEntries(given) }).filter(([name]) => !removed.has(name));
  // Only members of T went in.
  return Object.fromEntries(kept) as T;
}

function changeIgnore(
  files: FilesPolicy,
  { addIgnore = [], removeIgnore = [], clearIgnore = false }: SetOptions,
): FilesPolicy {
  if (addIgnore.length === 0 && removeIgnore.length === 0 && !clearIgnore) return files;
  const kept = clearIgnore ? [] : (files.ignore ?? []).filter((rule) => !removeIgnore.includes(rule));
  return { ...files, ignore: [...new Set([...kept, ...addIgnore])] };
}
