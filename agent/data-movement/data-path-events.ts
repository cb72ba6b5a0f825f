// The events of a data path under Velero's reasons and texts (node-agent §2.6), so that whoever follows them sees no difference.
import type { EventRecorder, KubeObject } from '../../kube/index.ts';
import type { MoverResult } from '../datapath/mover-process.ts';
import type { Label } from './policy.ts';
import type { RunProgress } from './run-view.ts';

export class DataPathEvents {
  readonly #recorder: EventRecorder;
  readonly #label: Label;

  constructor(recorder: EventRecorder, label: Label) {
    this.#recorder = recorder;
    this.#label = label;
  }

  started(object: KubeObject): void {
    this.#record(object, 'Data-Path-Started', `Data path for ${object.metadata.name} started`);
  }

  /** Members that are zero are left out, as Go's encoder does. */
  progress(object: KubeObject, { totalBytes, bytesDone }: RunProgress): void {
    const shown = {
      ...(totalBytes === 0 ? {} : { totalBytes }),
      ...(bytesDone === 0 ? {} : { doneBytes: bytesDone }),
    };
    this.#record(object, 'Data-Path-Progress', JSON.stringify(shown));
  }

  completed(object: KubeObject, result: MoverResult): void {
    this.#record(object, 'Data-Path-Completed', JSON.stringify(resultOf(object, result)));
    this.#stopped(object);
  }

  failed(object: KubeObject, error: string): void {
    const { name } = object.metadata;
    this.#recorder.record(object, {
      type: 'Warning',
      reason: 'Data-Path-Failed',
      message: `Data path for ${this.#label} ${name} failed, error ${error}`,
    });
    this.#stopped(object);
  }

  canceling(object: KubeObject): void {
    this.#record(object, 'Data-Path-Canceling', `Canceling for ${this.#label} ${object.metadata.name}`);
  }

  canceled(object: KubeObject): void {
    this.#record(object, 'Data-Path-Canceled', `Data path for ${this.#label} ${object.metadata.name} canceled`);
    this.#stopped(object);
  }

  /** Not of Velero's: something that a person should look at although the object is fine. */
  warning(object: KubeObject, message: string): void {
    this.#recorder.record(object, { type: 'Warning', reason: 'Volume-Incomplete', message });
  }

  #stopped(object: KubeObject): void {
    this.#record(object, 'Data-Path-Stopped', `Data path for ${object.metadata.name} stopped`);
  }

  #record(object: KubeObject, reason: string, message: string): void {
    this.#recorder.record(object, { type: 'Normal', reason, message });
  }
}

function resultOf({ metadata }: KubeObject, result: MoverResult): object {
  const place = { byPath: `/${metadata.uid}`, volumeMode: 'Filesystem' };
  switch (result.type) {
    case 'backed-up': {
      const { snapshotId, totalBytes, incrementalBytes } = result.outcome;
      return { snapshotID: snapshotId, emptySnapshot: false, source: place, totalBytes, incrementalBytes };
    }
    case 'restored':
      return { target: place, totalBytes: result.outcome.totalBytes };
    case 'marked':
      return {};
  }
}
