// The bytes behind the compressed streams of this folder: text, a long run of zeros, the text again at a distance above
// 64 KiB with changes, noise. Long and short matches, near and far ones, repeats and literals all occur.

export function goldenInput(): Uint8Array {
  let state = 0x2545f491;
  const next = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const words = ['pod', 'volume', 'snapshot', 'restore', 'kopia', 'node', 'claim', 'bucket', 'epoch', 'pack'];
  let text = '';
  while (text.length < 6000) text += `${words[next(words.length)]}-${next(1000)}${next(8) === 0 ? '\n' : ' '}`;
  const first = Buffer.from(text, 'latin1');
  const changed = Buffer.from(first);
  for (let i = 0; i < 40; i++) changed[next(changed.length)] = 33 + next(90);
  const noise = Uint8Array.from({ length: 700 }, () => next(256));
  return Buffer.concat([
    first,
    Buffer.alloc(70_000),
    changed,
    noise,
    Buffer.alloc(90_000, first.subarray(0, 777)),
    noise,
  ]);
}
