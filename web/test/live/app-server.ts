// An application: its pages, their scripts, and its server's functions.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { signSession } from "../../src/client/index.js";
import { block, led, loadFunction, reactPage, type Places } from "./snippets.js";

type Route = (request: Request) => Response | Promise<Response>;

export interface App {
  port: number;
  /** Serves, now that it is known where everything is. */
  open(places: Places): Promise<void>;
  stop(): void;
}

/** Takes a port, which Grantkeep has to know before it starts. */
export async function startApp(): Promise<App> {
  let routes: Record<string, Route> = {};
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? "/", "http://app").pathname;
    const route = routes[path] ?? (() => new Response("", { status: 404 }));
    await answer(request, response, route);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    port: (server.address() as AddressInfo).port,
    open: async (places) => void (routes = await routesOf(places)),
    stop: () => void server.close(),
  };
}

async function routesOf(places: Places): Promise<Record<string, Route>> {
  const script = await bundle();
  const react = await reactPage(places);
  const settings = (bySession: boolean) =>
    `<script>window.settings = ${JSON.stringify({ grantkeep: places.url, bySession })}</script>
     <script type="module" src="/app.js"></script>`;
  return {
    "/app.js": () => javascript(script),
    "/session": async () =>
      new Response(await signSession({ secret: places.secret, actor: "default" })),
    "/by-cookie": () => page(settings(false)),
    "/by-session": () => page(settings(true)),
    "/docs/html": () => page(led(block("html button"), places)),
    "/docs/react.js": () => javascript(react),
    "/docs/react": () => page('<script type="module" src="/docs/react.js"></script>'),
    "/api/grantkeep-session": await loadFunction("ts session", places),
    "/api/inbox": await loadFunction("ts token", places),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  route: Route,
): Promise<void> {
  const headers = new Headers({ cookie: request.headers.cookie ?? "" });
  const made = await route(new Request(`http://app${request.url}`, { headers }));
  response.writeHead(made.status, Object.fromEntries(made.headers)).end(await made.text());
}

async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("app.tsx", import.meta.url))],
    bundle: true,
    write: false,
    format: "esm",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  return outputFiles[0]?.text ?? "";
}

function javascript(text: string): Response {
  return new Response(text, { headers: { "content-type": "text/javascript" } });
}

function page(content: string): Response {
  const text = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>An application</title>
<main><h1>Settings</h1><div id="app"></div>
${content}
</main>
</html>`;
  return new Response(text, { headers: { "content-type": "text/html; charset=utf-8" } });
}
