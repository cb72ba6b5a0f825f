// What an API server was asked, by its own count.

/** By verb and resource. */
export type RequestCounts = ReadonlyMap<string, number>;

const OURS = new Set([
  'podvolumebackups',
  'podvolumerestores',
  'backuprepositories',
  'backupstoragelocations',
  'pods',
  'nodes',
  'configmaps',
]);

/** From the text of its metrics; those of resources that agents do not ask for are left out. A watch counts when it ends. */
export function readRequests(metrics: string): RequestCounts {
  const counts = new Map<string, number>();
  for (const [, labels = '', count = '0'] of metrics.matchAll(/^apiserver_request_total\{([^}]*)\} (\S+)$/gm)) {
    const label = (name: string): string => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? '';
    const resource = label('resource');
    if (!OURS.has(resource)) continue;
    const name = `${label('verb')} ${resource}`;
    counts.set(name, (counts.get(name) ?? 0) + Number(count));
  }
  return counts;
}

/** The largest first. */
export function requestsSince(before: RequestCounts, after: RequestCounts): RequestCounts {
  const since = [...after].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const);
  return new Map(since.filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a));
}
