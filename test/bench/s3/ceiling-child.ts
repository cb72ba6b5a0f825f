// The other end of `ceiling.ts`, in a process of its own: swallows what is put, answers a GET with as many bytes as it names.
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const piece = Buffer.alloc(1 << 20);

function give(response: ServerResponse, bytes: number): void {
  response.setHeader('content-length', bytes);
  let left = bytes;
  const send = (): void => {
    while (left > 0) {
      const part = piece.subarray(0, Math.min(left, piece.length));
      left -= part.length;
      if (!response.write(part) && left > 0) return void response.once('drain', send);
    }
    response.end();
  };
  send();
}

const server = createServer((request, response) => {
  if (request.method === 'GET') give(response, Number(request.url?.split('/').at(-1)));
  else request.resume().on('end', () => response.end());
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port)); // it listens on TCP
process.on('disconnect', () => process.exit());
