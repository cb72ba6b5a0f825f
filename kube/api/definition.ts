// A kind that is defined by us and by Velero alike, and the CustomResourceDefinition that makes an API server serve it.
import type { Kind, KubeObject } from './object.ts';
import type { JsonSchema, Schema } from './schema.ts';

/** What `kubectl get` shows. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'date' | 'integer';
  readonly jsonPath: string;
  readonly format?: 'int64';
  /** Above 0: only with `-o wide`. */
  readonly priority?: number;
}

export interface Definition<Spec, Status> {
  readonly kind: string;
  readonly plural: string;
  readonly version: 'v1' | 'v2alpha1';
  readonly description: string;
  readonly spec: Schema<Spec>;
  readonly status: Schema<Status>;
  readonly columns: readonly PrinterColumn[];
}

export type ObjectOf<D> =
  D extends Definition<infer Spec, infer Status>
    ? KubeObject & { readonly spec: Spec; readonly status?: Status }
    : never;

const GROUP = 'velero.io';

export function kindOf<T extends KubeObject>(
  definition: Pick<Definition<unknown, unknown>, 'kind' | 'plural' | 'version'>,
): Kind<T> {
  const { kind, plural, version } = definition;
  return { group: GROUP, version, plural, kind, namespaced: true };
}

export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: { readonly name: string };
  readonly spec: object;
}

export function customResourceDefinition(definition: Definition<unknown, unknown>): CustomResourceDefinition {
  const { kind, plural, version, columns } = definition;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase() },
      scope: 'Namespaced',
      versions: [
        {
          name: version,
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: wholeSchema(definition) },
          served: true,
          storage: true,
          // None: a status is written with its object.
          subresources: {},
        },
      ],
    },
  };
}

function wholeSchema({ description, spec, status }: Definition<unknown, unknown>): JsonSchema {
  return {
    type: 'object',
    description,
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      spec: spec.json,
      status: status.json,
    },
  };
}
