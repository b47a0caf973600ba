// Serves the built page with a made-up state, as cli/src/dashboard/serve.rs serves it with a true one.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';

const KINDS = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', html: 'text/html; charset=utf-8' };
const FIRST = '<script type="application/json" id="first">';
// the one that cli/src/dashboard/serve.rs sends
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const number = (url) => (url.searchParams.has('study') ? Number(url.searchParams.get('study')) : undefined);

/** Serves what `state` makes for a study that is asked for, or for none; after `wait` milliseconds. */
export async function serve(state, wait = 0) {
  const listeners = new Set();
  const asked = [];
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://x');
    if (url.pathname.endsWith('/events')) {
      asked.push(number(url));
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`event: state\ndata: ${JSON.stringify(state(number(url)))}\n\n`);
      listeners.add(response);
      return;
    }
    const name = url.pathname === '/' ? 'index.html' : url.pathname.slice(1);
    response.writeHead(200, { 'content-type': KINDS[name.split('.').pop()] ?? 'text/plain', 'content-security-policy': POLICY });
    const file = readFileSync(new URL(`../dist/${name}`, import.meta.url));
    if (name !== 'index.html') return response.end(file);
    const [head, tail] = file.toString().split(FIRST);
    response.write(head + FIRST);
    await new Promise((ready) => { setTimeout(ready, wait); });
    response.end(JSON.stringify(state(number(url))).replaceAll('<', '\\u003c') + tail);
  });
  await new Promise((ready) => { server.listen(0, '127.0.0.1', ready); });
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    asked,
    tell: (news) => listeners.forEach((listener) => listener.write(`event: state\ndata: ${JSON.stringify(news)}\n\n`)),
    close: () => { server.closeAllConnections(); server.close(); },
  };
}
