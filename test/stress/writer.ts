// Another process that backs up one tree and prints the snapshot's id: `writer.ts PLAN`, the plan as JSON.
import { writeSync } from 'node:fs';

import { Engine } from '../harness/engine.ts';

interface WriterPlan {
  readonly folder: string;
  readonly tree: string;
  readonly source: { readonly host: string; readonly userName: string; readonly path: string };
}

const plan = JSON.parse(process.argv[2] ?? '') as WriterPlan;
const result = await new Engine({ folder: plan.folder }).backUp(plan.tree, { source: plan.source });
writeSync(1, `${result.manifest.id}\n`);
