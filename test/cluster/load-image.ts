// Puts images of ours, built anew, into the cluster that WINDLASS_TEST_CLUSTER names, and has their pods made again:
// `sh scripts/node test/cluster/load-image.ts agent`.
import { Cluster } from './cluster.ts';
import { importImages, type ImageName } from './images.ts';
import { VELERO_NAMESPACE } from './velero.ts';

const cluster = Cluster.attach(process.env['WINDLASS_TEST_CLUSTER'] ?? '');
await importImages(cluster.inside, process.argv.slice(2) as ImageName[], cluster.programs);
await cluster.kubectl.ok(['-n', VELERO_NAMESPACE, 'delete', 'pods', '-l', 'name=node-agent']);
