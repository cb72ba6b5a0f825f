// The door to clusters: typed objects, a client, caches that follow the server, and what controllers are made of.
export type * from './api/core.ts';
export { KINDS } from './api/kinds.ts';
export { ANNOTATION, FINALIZER, LABEL, labelValue, repositoryLabels, repositoryNameLabel } from './api/labels.ts';
export {
  type Draft,
  type Kind,
  type KubeObject,
  nameOfKey,
  objectKey,
  type ObjectList,
  type ObjectMeta,
  type ObjectName,
  type OwnerReference,
} from './api/object.ts';
export * from './api/velero.ts';
export { connectKube, type ConnectOptions } from './client/connect.ts';
export type {
  DeleteOptions,
  KubeClient,
  ListOptions,
  Selection,
  WatchEvent,
  WatchOptions,
} from './client/kube-client.ts';
export { KubeError, type KubeErrorCode } from './client/kube-error.ts';
export { Reflector, type ReflectorOptions } from './cache/reflector.ts';
export { Secrets, type SecretsDeps } from './cache/secrets.ts';
export type { Store } from './cache/store.ts';
export { runController, type ReconcileResult } from './runtime/controller.ts';
export { EventRecorder, type RecordedEvent } from './runtime/event-recorder.ts';
export { type LeaderOptions, runAsLeader } from './runtime/leader.ts';
export { guarded, updateObject } from './runtime/update.ts';
export { WorkQueue } from './runtime/work-queue.ts';
