// What stored policies say about the files of one directory, as lanes need it. There are few different policies in a tree
// and many directories: lanes get all of them at the start, and each job carries a number.
import { WindlassError } from '../../base/errors.ts';
import {
  COMPRESSORS,
  type CompressionPolicy,
  metadataCompressor,
  type Policy,
  type PolicyNode,
} from '../../repo-format/index.ts';

export interface DirectoryPolicy {
  readonly compression: CompressionPolicy;
  readonly metadataCompressor: string;
  /** Of file data; directory and index objects are always cut with the repository's own. */
  readonly splitterName: string;
  /** True when folders with a valid CACHEDIR.TAG are stored empty, because a stored policy says so. */
  readonly ignoreCacheDirs: boolean;
  /** Files that cannot be read do not count as failures; they are listed all the same. */
  readonly ignoreFileErrors: boolean;
  readonly ignoreDirectoryErrors: boolean;
  /** Entries that are none of the types there are. */
  readonly ignoreUnknownTypes: boolean;
}

export interface PolicyTableOptions {
  /** What stored policies alone say at the root: built-in defaults leave nothing out. */
  readonly storedAtRoot: Policy;
  readonly defaultSplitter: string;
  /** Overrides every policy's compressor. */
  readonly compression: string | undefined;
}

/** `FORMAT_UNSUPPORTED` for a compressor that does not exist or is only read. */
export function requireCompressor(name: string | undefined): void {
  if (name === undefined || name === 'none' || name === '') return;
  if (COMPRESSORS.some((known) => known.name === name && known.writable)) return;
  throw new WindlassError(`there is no compressor ${name} to write with`, {
    code: 'FORMAT_UNSUPPORTED',
    context: { compressor: name },
  });
}

/** All policies of a tree of them, numbered. */
export class PolicyTable {
  readonly entries: readonly DirectoryPolicy[];
  readonly #numbers = new Map<Policy, number>();

  constructor(root: PolicyNode, options: PolicyTableOptions) {
    const entries: DirectoryPolicy[] = [];
    for (const policy of root.policies()) {
      if (this.#numbers.has(policy)) continue;
      this.#numbers.set(policy, entries.length);
      // Those below the root apply as stored, so there nothing is a default.
      const stored = policy === root.policy ? options.storedAtRoot : policy;
      entries.push(directoryPolicy(policy, stored, options));
    }
    this.entries = entries;
  }

  numberOf(policy: Policy): number {
    return this.#numbers.get(policy) ?? 0;
  }

  of(policy: Policy): DirectoryPolicy | undefined {
    return this.entries[this.numberOf(policy)];
  }
}

export function policyOf(policies: readonly DirectoryPolicy[], policyNumber: number): DirectoryPolicy {
  const policy = policies[policyNumber];
  if (policy === undefined) throw new WindlassError(`no policy number ${policyNumber}`, { code: 'INTERNAL' });
  return policy;
}

function directoryPolicy(policy: Policy, stored: Policy, options: PolicyTableOptions): DirectoryPolicy {
  const { compression, defaultSplitter } = options;
  const errors = policy.errorHandling ?? {};
  return {
    compression: compression === undefined ? (policy.compression ?? {}) : { compressorName: compression },
    metadataCompressor: metadataCompressor(policy),
    splitterName: policy.splitter?.algorithm || defaultSplitter,
    ignoreCacheDirs: stored.files?.ignoreCacheDirs === true,
    ignoreFileErrors: errors.ignoreFileErrors === true,
    ignoreDirectoryErrors: errors.ignoreDirectoryErrors === true,
    ignoreUnknownTypes: errors.ignoreUnknownTypes !== false,
  };
}
