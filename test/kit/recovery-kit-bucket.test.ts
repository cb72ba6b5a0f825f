// Recovery kits on a real S3 server: a page opened from a file reads a bucket by ranges, when the server allows it (CORS).
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

import { BrowserPage, findChromium } from '../harness/browser.ts';
import { buildGoProgram } from '../harness/go-program.ts';
import { startS3Server, type S3Server } from '../harness/s3-server.ts';
import { scratchFolder } from '../harness/scratch.ts';
import { SeededRandom } from '../harness/seeded-random.ts';
import { WindlassClient } from '../harness/windlass-command.ts';

const PASSWORD = 'kit-password';
const BUCKET = 'backups';
const chromium = findChromium();
const program = buildGoProgram('versitygw');
const skip = missing();

function missing(): string | false {
  if (chromium === undefined) return 'there is no Chromium on PATH';
  return 'missing' in program ? program.missing : false;
}

before(() => {
  if (skip !== false) console.log(`recovery kits on a bucket: skipped, ${skip}`);
});

interface Made {
  readonly server: S3Server;
  readonly source: string;
  readonly page: BrowserPage;
  readonly bytes: Buffer;
}

/** A snapshot in a bucket, and its kit in a browser. */
async function makeBucket(t: TestContext, cors: { readonly corsOrigin?: string }): Promise<Made> {
  const server = await startS3Server(cors);
  t.after(() => server.stop());
  await server.createBucket(BUCKET);
  const folder = scratchFolder(t, 'kit-bucket');
  const [source, kit] = [join(folder, 'source'), join(folder, 'kit.html')];
  mkdirSync(join(source, 'sub'), { recursive: true });
  const bytes = Buffer.from(new SeededRandom(3).bytes(3 << 20));
  writeFileSync(join(source, 'sub/data.bin'), bytes);
  const windlass = new WindlassClient({
    repository: `s3://${BUCKET}/some/place/?endpoint=${server.endpoint}&region=us-east-1`,
    password: PASSWORD,
    cacheFolder: join(folder, 'cache'),
    environment: server.environment,
  });
  await windlass.ok('repository', 'create');
  await windlass.ok('snapshot', 'create', source);
  await windlass.ok('recovery-kit', kit);
  const size = { width: 1200, height: 900 };
  const page = await BrowserPage.open(t, chromium ?? '', scratchFolder(t, 'chromium'), size);
  await page.goTo(pathToFileURL(kit).href);
  return { server, source, page, bytes };
}

/** Endpoint, bucket, prefix and region are in the kit. */
async function useBucket(page: BrowserPage, server: S3Server, secret = server.secretAccessKey): Promise<void> {
  await page.type('#access-key', server.accessKeyId);
  await page.type('#secret-key', secret);
  await page.click('#bucket-form button');
  await page.type('#password', PASSWORD);
  await page.click('#password-form button');
}

async function says(page: BrowserPage, text: string): Promise<void> {
  await page.until(`document.getElementById("message").textContent.includes(${JSON.stringify(text)})`);
}

test('a bucket is listed, browsed and read by ranges', { skip }, async (t) => {
  const { server, source, page, bytes } = await makeBucket(t, { corsOrigin: '*' });
  await useBucket(page, server);
  await page.click('#snapshots button', source);
  await page.click('#entries button', 'sub/');
  await page.click('#entries button.file', 'data.bin');
  const path = join(page.downloads, 'data.bin');
  for (let tries = 0; tries < 600 && !(existsSync(path) && statSync(path).size > 0); tries++) await delay(50);
  assert.ok(readFileSync(path).equals(bytes));
});

test('keys that are wrong are said to be refused, and other ones may follow', { skip }, async (t) => {
  const { server, source, page } = await makeBucket(t, { corsOrigin: '*' });
  await useBucket(page, server, 'not the secret key');
  // This server's refusals carry no permission for the page.
  await says(page, 'refuses the keys');
  await page.evaluate('location.reload()');
  await page.until('document.getElementById("bucket-form")');
  await useBucket(page, server);
  await page.click('#snapshots button', source);
});

test('a server that does not allow the page is told apart, with what to allow', { skip }, async (t) => {
  const { server, page } = await makeBucket(t, {});
  await useBucket(page, server);
  await says(page, 'CORS rules allow the origin "null"');
});
