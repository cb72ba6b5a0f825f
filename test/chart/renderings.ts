// What the chart becomes with some values, each kept in the tree: a change of the chart shows as a change of these.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { CHART, helm } from '../harness/helm.ts';

export interface Rendering {
  readonly path: string;
  readonly args: readonly string[];
  readonly header: string;
}

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

export const RENDERINGS: readonly Rendering[] = [
  {
    path: at('charts/windlass.yaml'),
    args: [],
    header: `# Windlass beside a Velero server in the namespace velero, for those who use no helm: docs/installation.md.
# Made by \`npm run chart\` from charts/windlass; the images' names are to be replaced.
`,
  },
  {
    path: at('test/chart/golden/everything.yaml'),
    args: ['-f', at('test/chart/values/everything.yaml')],
    header: '# Made by `npm run chart`.\n',
  },
];

export async function render({ args, header }: Rendering): Promise<string> {
  return header + (await helm(['template', 'windlass', CHART, '--namespace=velero', ...args]));
}

/** What is in the tree; nothing where there is none yet. */
export async function kept({ path }: Rendering): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
