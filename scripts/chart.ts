// Renders the chart into the files of the tree that show what it becomes: `npm run chart`, after a change of charts/windlass.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { render, RENDERINGS } from '../test/chart/renderings.ts';

for (const rendering of RENDERINGS) {
  await mkdir(dirname(rendering.path), { recursive: true });
  await writeFile(rendering.path, await render(rendering));
  console.log(rendering.path);
}
