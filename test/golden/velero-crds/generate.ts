// Writes v1.18.3.json: `sh scripts/node test/golden/velero-crds/generate.ts`, with the Velero that test/peers pins.
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { customResourceDefinition } from '../../../kube/api/definition.ts';
import { DEFINITIONS } from '../../../kube/api/velero-definitions.ts';
import { definitionFacts } from '../../harness/crd-files.ts';
import { printVeleroCrds } from '../../harness/velero-crds.ts';

const ours = new Set(DEFINITIONS.map((definition) => customResourceDefinition(definition).metadata.name));
const list = JSON.parse(await printVeleroCrds(tmpdir())) as { items: Parameters<typeof definitionFacts>[0] };
const facts = definitionFacts(list.items.filter(({ metadata }) => ours.has(metadata.name)));
writeFileSync(new URL('v1.18.3.json', import.meta.url), `${JSON.stringify(facts, undefined, 1)}\n`);
