// `npm run bench -- --cluster`: what its options mean, and where its figures go.
import { build, today, writeSection } from '../output.ts';
import { renderClusterSection } from './report.ts';
import { ClusterResults } from './results.ts';
import { CLUSTER_PARTS, runClusterBench } from './run.ts';

export const CLUSTER_OPTIONS = {
  cluster: { type: 'boolean', default: false },
  setup: { type: 'string', default: 'velero,windlass,windlass-4' },
  part: { type: 'string', default: CLUSTER_PARTS.join(',') },
  pods: { type: 'string', default: '3' },
  volumes: { type: 'string', default: '4' },
  'volume-size': { type: 'string', default: '1000000' },
  large: { type: 'string', default: '0.25' },
  repeat: { type: 'string', default: '5' },
} as const;

export const CLUSTER_USAGE = `--cluster [--setup velero,windlass,windlass-4,velero-4] [--part tiny,many,large] [--pods 3] [--volumes 4]
  [--volume-size BYTES] [--large GIB] [--repeat 5] [--results FILE] [--out FILE | --no-out] [--report-only] [--no-build]`;

export type ClusterBenchValues = Readonly<
  Record<Exclude<keyof typeof CLUSTER_OPTIONS, 'cluster'>, string> &
    Partial<Record<'results' | 'out', string>> &
    Record<'no-out' | 'no-build' | 'report-only', boolean>
>;

/** A report is changed only where it is named: sizes and the machine's load decide what a run is worth. */
export async function benchCluster(values: ClusterBenchValues): Promise<void> {
  const stored = new ClusterResults(values.results);
  if (!values['report-only']) {
    if (!values['no-build']) build();
    await runClusterBench(optionsOf(values), stored);
  }
  const section = renderClusterSection(stored, {
    versions: ['Velero 1.18.3', `Node.js ${process.versions.node}`],
    date: today(),
  });
  console.log(`\n${section}\n\n${stored.records.map((record) => JSON.stringify(record)).join('\n')}`);
  if (values.out !== undefined && !values['no-out']) writeSection(values.out, 'node agents', section);
}

function optionsOf(values: ClusterBenchValues): Parameters<typeof runClusterBench>[0] {
  return {
    setups: values.setup.split(','),
    parts: values.part.split(','),
    pods: Number(values.pods),
    volumes: Number(values.volumes),
    volumeBytes: Number(values['volume-size']),
    largeBytes: Math.round(Number(values.large) * 2 ** 30),
    repeat: Number(values.repeat),
  };
}
