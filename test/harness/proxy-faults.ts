// What may go wrong between us and a store, as plain plans. `fault-proxy.ts` carries them out.
import type { IncomingHttpHeaders } from 'node:http';

export interface ProxiedRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly verb: Verb;
  readonly headers: IncomingHttpHeaders;
}

/** What a request is for, whichever of the three protocols it is written in. */
export type Verb = 'get' | 'head' | 'put' | 'list' | 'delete' | 'other';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/**
 * - `answer`: the store is not asked, the proxy answers in its place
 * - `refuse`: the connection is reset before anything is read
 * - `reset-request`, `stall-request`: when so many bytes of the body have gone up
 * - `reset-response`, `stall-response`: when so many bytes of the body have come down
 * - `cut-response`: the connection is closed in good order before all bytes promised have come
 * - `short-response`: fewer bytes come, and only those are promised
 * - `corrupt-response`: the byte at this offset is another one
 * - `silence`: nothing is asked and nothing is answered
 * - `lose-answer`: the store does what it is asked, its answer never arrives
 * - `headers`: the answer's headers are changed; undefined removes one
 */
export type Fault =
  | { readonly kind: 'answer'; readonly answer: Answer | ((request: ProxiedRequest) => Answer) }
  | { readonly kind: 'refuse' | 'lose-answer' | 'silence' }
  | {
      readonly kind:
        | 'reset-request'
        | 'stall-request'
        | 'reset-response'
        | 'stall-response'
        | 'cut-response'
        | 'short-response'
        | 'corrupt-response';
      readonly atByte: number;
    }
  | { readonly kind: 'headers'; readonly headers: Readonly<Record<string, string | undefined>> };

export interface FaultPlan {
  readonly fault: Fault;
  /** Which requests; default all. */
  readonly matching?: (request: ProxiedRequest) => boolean;
  /** Matching requests to let pass first. */
  readonly skip?: number;
  /** How many to hit; default all from then on. */
  readonly times?: number;
}

interface ArmedPlan extends FaultPlan {
  seen: number;
  hits: number;
}

export class FaultPlans {
  #armed: ArmedPlan[] = [];

  add(plan: FaultPlan): void {
    this.#armed.push({ ...plan, seen: 0, hits: 0 });
  }

  /** Nothing goes wrong from here on. Returns how often each plan was hit. */
  clear(): number[] {
    const hits = this.#armed.map((plan) => plan.hits);
    this.#armed = [];
    return hits;
  }

  /** The fault that this request meets: that of the first plan which is due. */
  take(request: ProxiedRequest): Fault | undefined {
    for (const plan of this.#armed) {
      if (plan.matching?.(request) === false) continue;
      if (plan.seen++ < (plan.skip ?? 0) || plan.hits >= (plan.times ?? Infinity)) continue;
      plan.hits++;
      return plan.fault;
    }
    return undefined;
  }

  /** Plans that were not hit as often as they say; one without a number, not at all. */
  unmet(): string[] {
    return this.#armed
      .filter((plan) => plan.hits < (plan.times ?? 1))
      .map((plan) => `${plan.fault.kind}: hit ${plan.hits} of ${plan.times ?? 'some'} times`);
  }
}

/** Tells verbs of S3, Azure Blob and Google Cloud Storage's JSON API apart. */
export function verbOf(method: string, path: string): Verb {
  const [place = '', query = ''] = path.split('?');
  if (method === 'DELETE') return 'delete';
  if (method === 'HEAD') return 'head';
  if (method === 'PUT') return 'put';
  const isGoogle = /^\/(?:download\/|upload\/)?storage\/v1\//.test(place);
  if (method === 'POST') return /^\/upload\/|[?&]uploadId=|[?&]uploads/.test(path) ? 'put' : 'other';
  if (method !== 'GET') return 'other';
  if (isGoogle) return googleReadVerb(place, query);
  return /(?:^|&)(?:list-type=|comp=list)/.test(query) || isBucket(place) ? 'list' : 'get';
}

function googleReadVerb(place: string, query: string): Verb {
  if (/\/o\/?$/.test(place)) return 'list';
  if (!/\/o\/./.test(place)) return 'other';
  return place.startsWith('/download/') || /(?:^|&)alt=media/.test(query) ? 'get' : 'head';
}

function isBucket(place: string): boolean {
  return /^\/[^/]*\/?$/.test(place);
}
