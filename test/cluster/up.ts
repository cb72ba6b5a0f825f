// A cluster for trying things by hand: `sh scripts/node test/cluster/up.ts [--velero] [--real-node-agent] [--image agent]…`. It says how
// to enter and stays until it is told to end (SIGTERM, Ctrl-C).
import { parseArgs } from 'node:util';
import { Cluster } from './cluster.ts';
import { entering } from './holder.ts';
import type { ImageName } from './images.ts';

const { values } = parseArgs({
  options: {
    velero: { type: 'boolean', default: false },
    'real-node-agent': { type: 'boolean', default: false },
    image: { type: 'string', multiple: true, default: [] },
  },
});

const staying = setInterval(() => undefined, 60_000);
const told = new Promise<void>((resolve) => {
  process.once('SIGTERM', resolve);
  process.once('SIGINT', resolve);
});
const cluster = await Cluster.start({
  ...(values['real-node-agent'] ? { velero: 'with-node-agent' } : values.velero ? { velero: 'server' } : {}),
  images: values.image as ImageName[],
  log: (line) => console.log(line),
});
const { folder, holderPid } = cluster.inside;
console.log(`
folder: ${folder} (logs/, audit.log, s3/, kubelet/pods/, volumes/ = /srv/pv inside)
enter:  ${entering(holderPid, []).join(' ')} env KUBECONFIG=${folder}/admin.kubeconfig PATH=${cluster.programs.kubernetes}:${cluster.programs.velero}:$PATH bash
tests:  WINDLASS_TEST_CLUSTER=${folder} sh scripts/node --test test/cluster/FILE.test.ts
`);

await told;
clearInterval(staying);
await cluster.stop();
