// A real cluster of one node, and a real Velero in it: started and ended as one thing.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { makeKeys, NODE_NAME } from './certificates.ts';
import { startControlPlane } from './control-plane.ts';
import { startHolder, stopHolder } from './holder.ts';
import { isAlive } from './host-processes.ts';
import { importImages, type ImageName } from './images.ts';
import { Inside } from './inside.ts';
import { Kubectl } from './kubectl.ts';
import { cgroupNames, makeCgroups, removeCgroups, startContainerd, startKubelet } from './node.ts';
import { startObjectStore } from './object-store.ts';
import { preparePrograms, type Programs } from './programs.ts';
import { Velero } from './velero.ts';
import { waitFor } from './wait.ts';

export interface ClusterOptions {
  /** A real Velero server; `with-node-agent`: and its own node agent. */
  readonly velero?: 'server' | 'with-node-agent';
  /** Besides those of pods without data and of Velero. */
  readonly images?: readonly ImageName[];
  /** Called with what is done and how long it took. */
  readonly log?: (line: string) => void;
}

interface ClusterRecord {
  readonly folder: string;
  readonly holderPid: number;
  readonly programs: Programs;
}

const PREFIX = 'windlass-cluster-';
const RECORD = 'cluster.json';

export class Cluster {
  readonly inside: Inside;
  readonly kubectl: Kubectl;
  readonly velero: Velero;
  readonly programs: Programs;

  private constructor({ folder, holderPid, programs }: ClusterRecord) {
    this.programs = programs;
    this.inside = new Inside(folder, holderPid);
    this.kubectl = new Kubectl(this.inside, join(programs.kubernetes, 'kubectl'));
    this.velero = new Velero(this.inside, this.kubectl, join(programs.velero, 'velero'));
  }

  /** The cluster of another process, by its folder. */
  static attach(folder: string): Cluster {
    return new Cluster(JSON.parse(readFileSync(join(folder, RECORD), 'utf8')) as ClusterRecord); // written by `start`
  }

  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const programs = preparePrograms();
    if ('missing' in programs) throw new Error(programs.missing);
    removeLeftovers();
    const folder = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
    let holderPid = 0;
    try {
      mkdirSync(join(folder, 'home'));
      holderPid = await startHolder(folder);
      const record: ClusterRecord = { folder, holderPid, programs };
      writeFileSync(join(folder, RECORD), JSON.stringify(record));
      const cluster = new Cluster(record);
      await cluster.#bringUp(options);
      return cluster;
    } catch (error) {
      await end(folder, holderPid);
      throw error;
    }
  }

  async #bringUp({ velero, images = [], log = () => undefined }: ClusterOptions): Promise<void> {
    const begun = performance.now();
    const report = (what: string): void => log(`${((performance.now() - begun) / 1000).toFixed(1)} s: ${what}`);
    const { inside, programs, kubectl } = this;
    const keys = makeKeys(inside.folder);
    makeCgroups(inside.folder);
    await startContainerd(inside);
    await Promise.all([
      startControlPlane(inside, programs, keys).then(() => report('control plane')),
      startObjectStore(inside, programs.versitygw).then(() => report('S3 server')),
      importImages(
        inside,
        ['pause', 'busybox', ...(velero === undefined ? [] : VELERO_IMAGES), ...images],
        programs,
      ).then(() => report('images')),
    ]);
    await startKubelet(inside, join(programs.kubernetes, 'kubelet'), keys);
    await waitFor('the node', async () => ((await kubectl.get('node', NODE_NAME)) === undefined ? undefined : true));
    await kubectl.ok(['wait', '--for=condition=Ready', `node/${NODE_NAME}`, '--timeout=120s']);
    await kubectl.whenObject('serviceaccount', ['default'], () => true);
    report('node');
    if (velero === undefined) return;
    await this.velero.install({ nodeAgent: velero === 'with-node-agent' });
    report('Velero');
  }

  /** Ends every process and leaves nothing behind. */
  async stop(): Promise<void> {
    await end(this.inside.folder, this.inside.holderPid);
  }
}

const VELERO_IMAGES: readonly ImageName[] = ['velero', 'velero-plugin-for-aws'];

async function end(folder: string, holderPid: number): Promise<void> {
  if (holderPid > 0) await stopHolder(holderPid);
  await waitFor('the end of the cgroups', () => attempt(() => removeCgroups(basename(folder))));
  await waitFor('the end of the mounts', () => attempt(() => rmSync(folder, { recursive: true, force: true })));
}

/** What a starter that was killed could not take away: its processes have ended with it. */
function removeLeftovers(): void {
  const folders = readdirSync(tmpdir()).filter((name) => name.startsWith(PREFIX));
  for (const name of new Set([...cgroupNames(PREFIX), ...folders])) {
    const starter = Number(name.slice(PREFIX.length).split('-')[0]);
    if (isAlive(starter)) continue;
    attempt(() => removeCgroups(name));
    attempt(() => rmSync(join(tmpdir(), name), { recursive: true, force: true }));
  }
}

function attempt(action: () => void): true | undefined {
  try {
    action();
    return true;
  } catch {
    return undefined;
  }
}
