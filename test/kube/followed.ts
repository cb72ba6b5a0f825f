// A cache of ConfigMaps that runs for the length of a test, and what it told.
import type { TestContext } from 'node:test';
import { KINDS, Reflector, type ConfigMap, type KubeClient, type ReflectorOptions } from '../../kube/index.ts';
import { aConfigMap, deps, hurriedClock, until, type KubeFixture } from './fixture.ts';

export interface Followed {
  readonly reflector: Reflector<ConfigMap>;
  /** `+name`, `~name`, `-name`. */
  readonly told: string[];
  /** Asked for by the reflector, instead of waited for. */
  readonly sleepsMs: readonly number[];
  /** Names in the store. */
  names(): string[];
}

export function follow(
  t: TestContext,
  client: KubeClient,
  options: Partial<ReflectorOptions<ConfigMap>> & { namespace: string },
): Followed {
  const clock = hurriedClock();
  const reflector = new Reflector({ client, kind: KINDS.configMap, ...deps, clock, ...options });
  const told: string[] = [];
  reflector.onChange((key, now, before) => {
    const sign = now === undefined ? '-' : before === undefined ? '+' : '~';
    told.push(`${sign}${key.split('/')[1]}`);
  });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
  });
  const names = (): string[] =>
    reflector.store
      .list()
      .map(({ metadata }) => metadata.name)
      .sort();
  return { reflector, told, sleepsMs: clock.sleepsMs, names };
}

export function createConfigMaps(
  { admin }: KubeFixture,
  namespace: string,
  names: readonly string[],
): Promise<ConfigMap[]> {
  return Promise.all(names.map((name) => admin.create(KINDS.configMap, aConfigMap(namespace, name))));
}

/** Whether the cache still follows: a new object must come. */
export async function checkFollows(
  fixture: KubeFixture,
  namespace: string,
  followed: Followed,
  name: string,
): Promise<void> {
  await createConfigMaps(fixture, namespace, [name]);
  await until(() => followed.names().includes(name));
}
