// The process of `relay.ts`: HOST PORT TARGET BYTES-A-SECOND.
import { FaultProxy } from '../harness/fault-proxy.ts';

const [host = '', port = '', target = '', bytesPerSecond = ''] = process.argv.slice(2);
await FaultProxy.start({ host, port: Number(port), target, bytesPerSecond: Number(bytesPerSecond) });
