// The process of `csi-driver.ts`: NAME SOCKET REGISTRATION-SOCKET VOLUMES. The least of a CSI driver that a kubelet works with: it
// registers itself and mounts a folder of VOLUMES, named by the volume's handle, where the kubelet wants it. No stages, no attaching, no
// controller. gRPC is HTTP/2 with a length before each message, and of the messages only strings count here (CSI specification v1.11,
// kubelet pluginregistration v1).
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import { basename, dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';

/** By their numbers. */
type Fields = ReadonlyMap<number, string>;
type Method = (request: Fields) => readonly (readonly [number: number, value: string])[];

const [name = '', socket = '', registrationSocket = '', volumes = ''] = process.argv.slice(2);

const OK = '0';
const UNIMPLEMENTED = '12';
const INTERNAL = '13';
/** Of a protocol buffer's fields: strings and messages, and what else there is. */
const VARINT = 0;
const BYTES = 2;

const METHODS: Readonly<Record<string, Method>> = {
  '/pluginregistration.Registration/GetInfo': () => [
    [1, 'CSIPlugin'],
    [2, name],
    [3, socket],
    [4, '1.0.0'],
  ],
  '/pluginregistration.Registration/NotifyRegistrationStatus': () => [],
  '/csi.v1.Identity/GetPluginInfo': () => [
    [1, name],
    [2, '1'],
  ],
  '/csi.v1.Identity/GetPluginCapabilities': () => [],
  '/csi.v1.Identity/Probe': () => [],
  '/csi.v1.Node/NodeGetInfo': () => [[1, 'node']],
  '/csi.v1.Node/NodeGetCapabilities': () => [],
  '/csi.v1.Node/NodePublishVolume': (request) => publish(request.get(1) ?? '', request.get(4) ?? ''),
  '/csi.v1.Node/NodeUnpublishVolume': (request) => unpublish(request.get(2) ?? ''),
};

for (const path of [socket, registrationSocket]) {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  createServer()
    .on('stream', (stream, headers) => void answer(stream, headers[':path'] ?? ''))
    .listen(path);
}

function publish(handle: string, target: string): [] {
  mkdirSync(target, { recursive: true });
  const { status, stderr } = spawnSync('mount', ['--bind', join(volumes, basename(handle)), target], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return [];
}

/** Asked again after it was done, it is done. */
function unpublish(target: string): [] {
  const { status, stderr } = spawnSync('umount', [target], { encoding: 'utf8' });
  if (status !== 0 && !/not mounted|no mount point|not found/.test(stderr)) throw new Error(stderr);
  try {
    rmdirSync(target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return [];
}

async function answer(stream: ServerHttp2Stream, path: string): Promise<void> {
  let [status, message] = [OK, ''];
  let body: Uint8Array = Buffer.alloc(0);
  try {
    const request = decode((await buffer(stream)).subarray(5));
    const method = METHODS[path];
    if (method === undefined) status = UNIMPLEMENTED;
    else body = encode(method(request));
    console.log(path, status);
  } catch (error) {
    [status, message] = [INTERNAL, String(error)];
    console.error(path, message);
  }
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status, 'grpc-message': encodeURI(message) }));
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  stream.end(status === OK ? Buffer.concat([head, body]) : undefined);
}

function encode(fields: ReturnType<Method>): Buffer {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      const bytes = Buffer.from(value);
      if (bytes.length > 127) throw new RangeError('a length of more than one byte');
      return [Buffer.from([(number << 3) | BYTES, bytes.length]), bytes];
    }),
  );
}

function decode(message: Buffer): Fields {
  const fields = new Map<number, string>();
  let at = 0;
  const varint = (): number => {
    for (let [value, factor] = [0, 1]; ; factor *= 128) {
      const byte = message.readUInt8(at++);
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const value = varint();
    if ((key & 7) === VARINT) continue;
    if ((key & 7) !== BYTES) throw new TypeError('a field that nobody sends');
    fields.set(key >> 3, message.toString('utf8', at, at + value));
    at += value;
  }
  return fields;
}
