// The members of a policy: their order, when each is written, and how several policies combine (snapshots §4.7). One table
// drives reading, writing and merging, so that the three cannot disagree.

/**
 * `optional…` are written whenever they are set, the others only when they say something (not 0, false or empty).
 * `struct` is always written, `{}` when empty.
 */
export type PolicyValueKind =
  'optionalInt' | 'optionalBool' | 'int' | 'bool' | 'string' | 'strings' | 'timesOfDay' | 'command' | 'struct';

/**
 * `first`: the most specific policy that sets it (for lists: with an element) wins. `union`: elements of all policies, up
 * to one whose `stop` member is true. `own`: of the exact target only.
 */
export type PolicyMerge = 'first' | 'union' | 'own';

export interface PolicyField {
  readonly name: string;
  readonly kind: PolicyValueKind;
  readonly merge: PolicyMerge;
  /** Of `union`: the flag that keeps more general policies out. */
  readonly stop?: string;
  /** Of `struct`. */
  readonly fields?: readonly PolicyField[];
}

function first(kind: PolicyValueKind, ...names: string[]): PolicyField[] {
  return names.map((name) => ({ name, kind, merge: 'first' }));
}

function struct(name: string, ...fields: PolicyField[]): PolicyField {
  return { name, kind: 'struct', merge: 'first', fields };
}

function union(name: string, kind: PolicyValueKind, stop: string): PolicyField {
  return { name, kind, merge: 'union', stop };
}

function own(name: string): PolicyField {
  return { name, kind: 'command', merge: 'own' };
}

export const POLICY_FIELDS: readonly PolicyField[] = [
  struct(
    'retention',
    ...first('optionalInt', 'keepLatest', 'keepHourly', 'keepDaily', 'keepWeekly', 'keepMonthly', 'keepAnnual'),
    ...first('optionalBool', 'ignoreIdenticalSnapshots'),
  ),
  struct(
    'files',
    ...first('strings', 'ignore'),
    ...first('bool', 'noParentIgnore'),
    ...first('strings', 'ignoreDotFiles'),
    ...first('bool', 'noParentDotFiles'),
    ...first('optionalBool', 'ignoreCacheDirs'),
    ...first('int', 'maxFileSize'),
    ...first('optionalBool', 'oneFileSystem'),
  ),
  struct('errorHandling', ...first('optionalBool', 'ignoreFileErrors', 'ignoreDirectoryErrors', 'ignoreUnknownTypes')),
  struct(
    'scheduling',
    ...first('int', 'intervalSeconds'),
    union('timeOfDay', 'timesOfDay', 'noParentTimeOfDay'),
    ...first('bool', 'noParentTimeOfDay', 'manual'),
    ...first('strings', 'cron'),
    ...first('optionalBool', 'runMissed'),
  ),
  struct(
    'compression',
    ...first('string', 'compressorName'),
    union('onlyCompress', 'strings', 'noParentOnlyCompress'),
    ...first('bool', 'noParentOnlyCompress'),
    union('neverCompress', 'strings', 'noParentNeverCompress'),
    ...first('bool', 'noParentNeverCompress'),
    ...first('int', 'minSize', 'maxSize'),
  ),
  struct('metadataCompression', ...first('string', 'compressorName')),
  struct('splitter', ...first('string', 'algorithm')),
  struct(
    'actions',
    own('beforeFolder'),
    own('afterFolder'),
    ...first('command', 'beforeSnapshotRoot', 'afterSnapshotRoot'),
  ),
  struct('osSnapshots', struct('volumeShadowCopy', ...first('optionalInt', 'enable'))),
  struct(
    'logging',
    struct('directories', ...first('optionalInt', 'snapshotted', 'ignored')),
    struct('entries', ...first('optionalInt', 'snapshotted', 'ignored', 'cacheHit', 'cacheMiss')),
  ),
  struct('upload', ...first('optionalInt', 'maxParallelSnapshots', 'maxParallelFileReads', 'parallelUploadAboveSize')),
  ...first('bool', 'noParent'),
];

/** Of a `command`; it is replaced whole, never merged. */
export const COMMAND_FIELDS: readonly PolicyField[] = [
  ...first('string', 'path'),
  ...first('strings', 'args'),
  ...first('string', 'script'),
  ...first('int', 'timeout'),
  ...first('string', 'mode'),
];
