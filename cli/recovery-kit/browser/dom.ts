// A few words for making elements. Text is always text: nothing that comes from a repository is ever read as HTML.

type Child = Node | string | undefined;

export function el<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Readonly<Record<string, string | boolean | ((event: Event) => void)>>,
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

export function show(...parts: readonly Node[]): void {
  document.getElementById('main')?.replaceChildren(...parts);
}

/** One line under the page; nothing for an undefined one. */
export function say(text: string | undefined): void {
  const message = document.getElementById('message');
  if (message === null) return;
  message.hidden = text === undefined;
  message.textContent = text ?? '';
}

/** Runs what a button does; a failure becomes the line under the page. */
export function guarded(work: () => Promise<void>): () => void {
  return () => {
    say(undefined);
    work().catch((error: unknown) => say(describe(error)));
  };
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? `${error.message} [${code}]` : error.message;
}

export function sizeText(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return unit === 0 ? `${bytes} bytes` : `${value.toFixed(1)} ${units[unit]}`;
}

export function timeText(ns: bigint): string {
  const ms = Number(ns / 1_000_000n);
  return Number.isNaN(new Date(ms).getTime()) ? '' : new Date(ms).toISOString().replace('T', ' ').slice(0, 19);
}
