// A headless Chromium for tests of pages, driven through its DevTools protocol: no library, no download. The browser is the
// machine's own (`chromium`, or the one named by CHROMIUM).
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { CleanUp } from './scratch.ts';

export function findChromium(): string | undefined {
  const names = process.env['CHROMIUM'] ? [process.env['CHROMIUM']] : ['chromium', 'chromium-browser', 'google-chrome'];
  return names.find((name) => spawnSync(name, ['--version']).status === 0);
}

// Without these a browser asks the network for updates and lists of its own at each start.
const QUIET = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];
const WAIT_MS = 60_000;
const POLL_MS = 50;

type Answer = { readonly id?: number; readonly result?: unknown; readonly error?: { readonly message: string } };

export class BrowserPage {
  /** Where the page's downloads go. */
  readonly downloads: string;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #next = 1;

  private constructor(socket: WebSocket, downloads: string) {
    this.#socket = socket;
    this.downloads = downloads;
    socket.addEventListener('message', ({ data }) => {
      const answer = JSON.parse(String(data)) as Answer;
      this.#waiting.get(answer.id ?? 0)?.(answer);
    });
  }

  /** Starts a browser of its own with one page, ended with the test. `folder` is scratch space. */
  static async open(
    t: CleanUp,
    program: string,
    folder: string,
    size: { width: number; height: number },
  ): Promise<BrowserPage> {
    const downloads = join(folder, 'downloads');
    mkdirSync(downloads, { recursive: true });
    const window = `--window-size=${size.width},${size.height}`;
    const child = spawn(program, [...QUIET, window, '--remote-debugging-port=0', `--user-data-dir=${folder}/profile`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    t.after(() => void child.kill('SIGKILL'));
    const port = new URL(await debuggerUrl(child)).port;
    const targets = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as {
      type: string;
      webSocketDebuggerUrl: string;
    }[];
    const target = targets.find(({ type }) => type === 'page');
    if (target === undefined) throw new Error('the browser has no page');
    const socket = new WebSocket(target.webSocketDebuggerUrl);
    await once(socket, 'open');
    t.after(() => socket.close());
    const page = new BrowserPage(socket, downloads);
    await page.send('Page.enable', {});
    await page.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: downloads });
    return page;
  }

  async send(method: string, params: object): Promise<unknown> {
    const id = this.#next++;
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
    this.#waiting.delete(id);
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  }

  async goTo(url: string): Promise<void> {
    await this.send('Page.navigate', { url });
    await this.until('document.readyState === "complete"');
  }

  /** The value of an expression in the page, as JSON carries it. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = (await this.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })) as { result: { value: Value }; exceptionDetails?: { exception?: { description?: string } } };
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? 'the page threw');
    return result.value;
  }

  /** Waits until the expression holds; fails with what the page shows. */
  async until(expression: string): Promise<void> {
    for (const start = Date.now(); !(await this.evaluate<boolean>(`Boolean(${expression})`));) {
      if (Date.now() - start > WAIT_MS)
        throw new Error(`not so: ${expression}\n${await this.evaluate<string>('document.body.innerText')}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Clicks the first element of `selector` whose text has `text`. */
  async click(selector: string, text = ''): Promise<void> {
    const find = `[...document.querySelectorAll(${JSON.stringify(selector)})].find((e) => e.textContent.includes(${JSON.stringify(text)}))`;
    await this.until(find);
    await this.evaluate(`${find}.click()`);
  }

  async type(selector: string, text: string): Promise<void> {
    await this.until(`document.querySelector(${JSON.stringify(selector)})`);
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).value = ${JSON.stringify(text)}`);
  }

  /** Puts files, or one folder, into a file input. */
  async choose(selector: string, paths: readonly string[]): Promise<void> {
    const { root } = (await this.send('DOM.getDocument', {})) as { root: { nodeId: number } };
    const { nodeId } = (await this.send('DOM.querySelector', { nodeId: root.nodeId, selector })) as { nodeId: number };
    await this.send('DOM.setFileInputFiles', { nodeId, files: paths });
  }
}

async function debuggerUrl(child: ChildProcess): Promise<string> {
  if (child.stderr === null) throw new Error('no standard error');
  for await (const line of createInterface({ input: child.stderr })) {
    const url = /^DevTools listening on (\S+)/.exec(line)?.[1];
    if (url !== undefined) {
      child.stderr.resume();
      return url;
    }
  }
  throw new Error('the browser ended before it listened');
}
