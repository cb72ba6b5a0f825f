// kubectl inside a cluster, as an administrator.
import type { KubeObject } from '../../kube/api/object.ts';
import { describeResult, type CommandOptions, type CommandResult } from '../harness/run-command.ts';
import type { Inside } from './inside.ts';
import { waitFor, type WaitOptions } from './wait.ts';

export class Kubectl {
  readonly #inside: Inside;
  readonly #program: string;

  constructor(inside: Inside, program: string) {
    this.#inside = inside;
    this.#program = program;
  }

  run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return this.#inside.run([this.#program, ...args], options);
  }

  async ok(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    const result = await this.run(args, options);
    if (result.code !== 0) throw new Error(describeResult(['kubectl', ...args], result));
    return result.stdout;
  }

  /** Creates or changes what is given, as YAML or as objects. */
  async apply(...documents: readonly (string | object)[]): Promise<void> {
    const text = documents.map((document) => (typeof document === 'string' ? document : JSON.stringify(document)));
    await this.ok(['apply', '-f', '-'], { input: text.join('\n---\n') });
  }

  /** Undefined when there is none. `place` is a name, or flags before it: `['-n', 'demo', 'web']`. */
  async get<T extends KubeObject>(kind: string, ...place: readonly string[]): Promise<T | undefined> {
    const text = await this.ok(['get', kind, ...place, '-o', 'json', '--ignore-not-found']);
    return text === '' ? undefined : (JSON.parse(text) as T);
  }

  async list<T extends KubeObject>(kind: string, ...flags: readonly string[]): Promise<readonly T[]> {
    const text = await this.ok(['get', kind, ...flags, '-o', 'json']);
    return (JSON.parse(text) as { readonly items: readonly T[] }).items;
  }

  /** Waits until the object exists and is as wanted. */
  whenObject<T extends KubeObject>(
    kind: string,
    place: readonly string[],
    isWanted: (object: T) => boolean,
    options: WaitOptions = {},
  ): Promise<T> {
    let last: T | undefined;
    return waitFor(
      `${kind} ${place.join(' ')}`,
      async () => {
        last = await this.get<T>(kind, ...place);
        return last !== undefined && isWanted(last) ? last : undefined;
      },
      { explain: () => JSON.stringify(last, undefined, 1) ?? 'there is none', ...options },
    );
  }

  /** Waits until there is none any more. */
  async whenGone(kind: string, place: readonly string[], options: WaitOptions = {}): Promise<void> {
    await waitFor(
      `the end of ${kind} ${place.join(' ')}`,
      async () => ((await this.get(kind, ...place)) === undefined ? true : undefined),
      options,
    );
  }
}
