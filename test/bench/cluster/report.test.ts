import assert from 'node:assert/strict';
import { test } from 'node:test';

import { renderClusterSection } from './report.ts';
import { ClusterResults, type ClusterPhase, type SetupName, type StepRecord } from './results.ts';

function step(setup: SetupName, phase: ClusterPhase, figures: Partial<StepRecord>): StepRecord {
  return {
    kind: 'step',
    setup,
    phase,
    pods: 2,
    volumes: 3,
    volumeBytes: 1_000_000,
    wallSeconds: 1,
    volumeSeconds: 1,
    movingSeconds: 1,
    completed: 6,
    outcome: 'Completed',
    peakRssBytes: 100 << 20,
    peakPssBytes: 50 << 20,
    peakProcesses: 2,
    requests: { agent: 60, server: 6, others: 6 },
    load: 0.5,
    ...figures,
  };
}

function rowOf(text: string, title: string): string | undefined {
  return text.split('\n').find((line) => line.startsWith(`| ${title} |`));
}

test('medians beside each other, ratios against what is aimed at', () => {
  const results = new ClusterResults(undefined);
  for (const wallSeconds of [90, 100, 130]) results.add(step('velero', 'many-backup', { wallSeconds }));
  results.add(step('windlass', 'many-backup', { wallSeconds: 20, requests: { agent: 30, server: 6, others: 0 } }));
  results.add(step('windlass-4', 'many-backup', { wallSeconds: 8 }));
  const text = renderClusterSection(results, { date: '2026-01-01', versions: [] });
  assert.equal(
    rowOf(text, 'many volumes, backup'),
    '| many volumes, backup | 100.0 s | 20.0 s | 8.00 s | **5.0 ×** (≥ 10 ✗) | **12.5 ×** (≥ 10) |',
  );
  assert.match(text, /\| 10\.0 \/ 12\.0 \| 5\.0 \/ 6\.0 \|/);
});

test('a volume that is lost and a pod that never runs show', () => {
  const results = new ClusterResults(undefined);
  const lost = { completed: 5, podsRunning: 1, runningSeconds: 90, outcome: 'PartiallyFailed' };
  results.add(step('velero', 'many-restore', lost));
  results.add(step('windlass', 'many-restore', { podsRunning: 2, runningSeconds: 5 }));
  const text = renderClusterSection(results, { date: '2026-01-01', versions: [] });
  assert.equal(
    rowOf(text, 'many volumes, restore'),
    '| many volumes, restore | 1.00 s | 1.00 s | **1.0 ×** (≥ 10 ✗) |',
  );
  assert.ok(text.includes('5 of 6, 1 of 2 pods, PartiallyFailed | 6 of 6, 2 of 2 pods, Completed'));
});
