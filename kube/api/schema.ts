// Shapes of objects, written once: each is a TypeScript type and the OpenAPI schema by which an API server checks the same. Only
// what a structural schema of Kubernetes may say.

/** As controller-gen writes it. */
export interface JsonSchema {
  readonly type: 'string' | 'boolean' | 'integer' | 'object' | 'array';
  readonly description?: string;
  readonly format?: 'date-time' | 'int64';
  readonly nullable?: true;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly 'x-kubernetes-map-type'?: 'atomic';
}

/** `T` is the type of what it describes; nothing holds a value of it. */
export interface Schema<T> {
  readonly json: JsonSchema;
  readonly valueType?: T;
}

export interface OptionalSchema<T> extends Schema<T> {
  readonly isOptional: true;
}

export type ValueOf<S> = S extends Schema<infer T> ? T : never;

type Shape = Readonly<Record<string, Schema<unknown>>>;
type OptionalNames<S extends Shape> = {
  [Name in keyof S]: S[Name] extends OptionalSchema<unknown> ? Name : never;
}[keyof S];
type Members<S extends Shape> = { readonly [Name in Exclude<keyof S, OptionalNames<S>>]: ValueOf<S[Name]> } & {
  readonly [Name in OptionalNames<S>]?: ValueOf<S[Name]>;
};
type Flat<T> = { [Name in keyof T]: T[Name] };

export function text(): Schema<string> {
  return { json: { type: 'string' } };
}

export function flag(): Schema<boolean> {
  return { json: { type: 'boolean' } };
}

/** A count that JavaScript's numbers hold exactly: 2⁵³ bytes are 8 PiB. */
export function count(): Schema<number> {
  return { json: { type: 'integer', format: 'int64' } };
}

/** RFC 3339. */
export function time(): Schema<string | null> {
  return { json: { type: 'string', format: 'date-time', nullable: true } };
}

export function oneOf<const Value extends string>(values: readonly Value[]): Schema<Value> {
  return { json: { type: 'string', enum: values } };
}

/** Any names, each with a text. */
export function texts(): Schema<Readonly<Record<string, string>>> {
  return { json: { type: 'object', additionalProperties: { type: 'string' } } };
}

export function listOf<T>(item: Schema<T>): Schema<readonly T[]> {
  return { json: { type: 'array', items: item.json } };
}

export function object<const S extends Shape>(shape: S): Schema<Flat<Members<S>>> {
  const names = Object.keys(shape).sort();
  const required = names.filter((name) => !isOptional(shape[name]));
  return {
    json: {
      type: 'object',
      properties: Object.fromEntries(Object.entries(shape).map(([name, { json }]) => [name, json])),
      ...(required.length === 0 ? {} : { required }),
    },
  };
}

export function optional<T>(schema: Schema<T>): OptionalSchema<T> {
  return { json: schema.json, isOptional: true };
}

export function nullable<T>(schema: Schema<T>): Schema<T | null> {
  return { json: { ...schema.json, nullable: true } };
}

/** Whoever applies it, applies all of it. */
export function atomic<T>(schema: Schema<T>): Schema<T> {
  return { json: { ...schema.json, 'x-kubernetes-map-type': 'atomic' } };
}

export function described<S extends Schema<unknown>>(description: string, schema: S): S {
  return { ...schema, json: { ...schema.json, description } };
}

function isOptional(schema: Schema<unknown> | undefined): boolean {
  return schema !== undefined && 'isOptional' in schema;
}
