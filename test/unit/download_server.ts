import { createHash } from 'node:crypto';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a server does with one request to the storage path; returns true when it has answered. */
export type Trick = (request: http.IncomingMessage, response: http.ServerResponse, count: number) => boolean;

export interface HubServer {
  endpoint: string;
  files: Record<string, Buffer>;
  /** Requests so far, as "METHOD /path range". */
  log: string[];
  /** Answers GETs of a file's bytes before the usual answer would. */
  tricks: Record<string, Trick>;
  /** Answers HEADs of a file. */
  headTricks: Record<string, Trick>;
  /** Hashes that the hub announces instead of the right ones. */
  announced: Record<string, string>;
  ranges: boolean;
  close(): Promise<void>;
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const gitSha1 = (bytes: Buffer) =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

/** Large files are stored apart: the hub redirects to the storage and states hash and size on the redirect. */
function isLarge(name: string): boolean {
  return name.endsWith('.onnx');
}

function sendBytes(
  hub: HubServer,
  name: string,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): void {
  const bytes = hub.files[name] as Buffer;
  const etag = `"storage-${sha256(bytes).slice(0, 12)}"`;
  const match = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  const ifRange = request.headers['if-range'];
  const start =
    match !== null && hub.ranges && (ifRange === undefined || ifRange === etag)
      ? Number(match[1])
      : undefined;
  if (start !== undefined && start >= bytes.length) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
    return;
  }
  const body = bytes.subarray(start ?? 0);
  const headers: http.OutgoingHttpHeaders = { etag, 'content-length': body.length };
  if (start !== undefined) headers['content-range'] = `bytes ${start}-${bytes.length - 1}/${bytes.length}`;
  response.writeHead(start === undefined ? 200 : 206, headers).end(body);
}

function answer(
  hub: HubServer,
  counts: Map<string, number>,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): void {
  const url = request.url ?? '';
  const name = decodeURIComponent(url.split('/').at(-1) ?? '');
  hub.log.push(`${request.method} ${url} ${request.headers.range ?? ''}`.trim());
  const key = `${request.method} ${url}`;
  const count = (counts.get(key) ?? 0) + 1;
  counts.set(key, count);
  const bytes = hub.files[name];
  if (bytes === undefined) {
    response.writeHead(404).end('Entry not found');
    return;
  }
  if (request.method === 'HEAD' && hub.headTricks[name]?.(request, response, count) === true) return;
  if (isLarge(name) && !url.startsWith('/storage/')) {
    const headers = {
      'x-linked-etag': `"${hub.announced[name] ?? sha256(bytes)}"`,
      'x-linked-size': bytes.length,
    };
    response.writeHead(302, { ...headers, location: `/storage/${name}` }).end();
    return;
  }
  if (request.method === 'HEAD') {
    response
      .writeHead(200, { etag: `"${hub.announced[name] ?? gitSha1(bytes)}"`, 'content-length': bytes.length })
      .end();
    return;
  }
  if (hub.tricks[name]?.(request, response, count) === true) return;
  sendBytes(hub, name, request, response);
}

/** A hub on loopback that serves `files` under every repository, as the real one does. */
export async function startHub(files: Record<string, Buffer>): Promise<HubServer> {
  const counts = new Map<string, number>();
  const server = http.createServer((request, response) => answer(hub, counts, request, response));
  const hub: HubServer = {
    endpoint: '',
    files,
    log: [],
    tricks: {},
    headTricks: {},
    announced: {},
    ranges: true,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  hub.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return hub;
}

/** Promises the whole file, sends the first `bytes` of it and cuts the connection. */
export function cutAfter(hub: HubServer, name: string, bytes: number): Trick {
  return (_request, response, count) => {
    if (count > 1) return false;
    const all = hub.files[name] as Buffer;
    response.writeHead(200, { etag: `"storage-${sha256(all).slice(0, 12)}"`, 'content-length': all.length });
    response.write(all.subarray(0, bytes), () => setTimeout(() => response.destroy(), 20));
    return true;
  };
}
