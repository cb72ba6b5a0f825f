// Listens with the shortest queue there is and tells its port; its parent then stops it.
import { createServer, type AddressInfo } from 'node:net';

const server = createServer();
server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
  process.send?.((server.address() as AddressInfo).port); // it listens on TCP
});
