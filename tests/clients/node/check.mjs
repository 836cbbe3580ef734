// ioredis and node-redis against both faces: node check.mjs STANDALONE_PORT CLUSTER_PORT
import assert from "node:assert/strict";
import Redis from "ioredis";
import { createClient, createCluster } from "redis";

const [standalone, cluster] = process.argv.slice(2).map(Number);
const KEYS = 1000;
const host = "127.0.0.1";

async function roundTrip(name, set, get) {
  const numbers = Array.from({ length: KEYS }, (_, n) => n);
  await Promise.all(numbers.map((n) => set(`${name}:${n}`, String(n))));
  const got = await Promise.all(numbers.map((n) => get(`${name}:${n}`)));
  got.forEach((value, n) => assert.equal(value, String(n)));
}

{
  const client = new Redis({ host, port: standalone });
  await roundTrip("ioredis", (k, v) => client.set(k, v), (k) => client.get(k));
  console.log(`ok ioredis standalone: ${KEYS} keys`);
  await client.quit();
}
{
  const client = new Redis.Cluster([{ host, port: cluster }]);
  await roundTrip("ioredis-cluster", (k, v) => client.set(k, v), (k) => client.get(k));
  const nodes = client.nodes("all").map((node) => node.options.port);
  assert.ok(new Set(nodes).size >= 3, `knows ${nodes}`);
  const heard = new Promise((resolve) => client.once("message", (_, text) => resolve(text)));
  await client.subscribe("ioredis-news");
  await new Redis({ host, port: standalone, lazyConnect: false }).publish("ioredis-news", "hello");
  assert.equal(await heard, "hello");
  console.log(`ok ioredis cluster: ${KEYS} keys over ${[...new Set(nodes)].sort()}`);
  client.disconnect();
}
{
  const client = await createClient({ socket: { host, port: standalone } }).connect();
  await roundTrip("node-redis", (k, v) => client.set(k, v), (k) => client.get(k));
  console.log(`ok node-redis standalone: ${KEYS} keys`);
  client.destroy();
}
{
  const client = createCluster({ rootNodes: [{ socket: { host, port: cluster } }] });
  await client.connect();
  await roundTrip("node-redis-cluster", (k, v) => client.set(k, v), (k) => client.get(k));
  const nodes = client.masters.map((node) => node.address);
  assert.ok(new Set(nodes).size >= 3, `knows ${nodes}`);
  console.log(`ok node-redis cluster: ${KEYS} keys over ${nodes.sort()}`);
  client.destroy();
}
process.exit(0);
