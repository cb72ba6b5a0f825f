// Writes the CustomResourceDefinitions in charts/crds from the typed definitions: `npm run crds`, after a change of
// kube/api/velero-definitions.ts.
import { mkdir, writeFile } from 'node:fs/promises';
import { CRD_FOLDER, renderedDefinitions } from '../test/harness/crd-files.ts';

await mkdir(CRD_FOLDER, { recursive: true });
for (const { path, text } of renderedDefinitions()) {
  await writeFile(path, text);
  console.log(path);
}
