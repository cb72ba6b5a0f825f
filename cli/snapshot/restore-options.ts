// The options of `snapshot restore` as the command line gives them.

export const SKIPPABLE = ['owners', 'modes', 'times', 'xattrs'] as const;
export type Skippable = (typeof SKIPPABLE)[number];

export interface RestoreOptions {
  readonly source?: string;
  readonly overwrite: 'never' | 'if-different' | 'always';
  readonly deleteExtra?: boolean;
  readonly skip?: readonly Skippable[];
  readonly dryRun?: boolean;
  readonly verify?: boolean;
  readonly receipt?: string;
  readonly parallel?: number;
}
